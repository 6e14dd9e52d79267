use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use autorma_evaluation::{entries, is_hidden};
use autorma_schemas::{is_photo_name, readable};

use super::{Folders, Part};
use crate::Error;

/// Names of the folders of a split, and what each is for.
const SPLIT: [(&str, Part); 3] = [("train", Part::Train), ("val", Part::Validation), ("test", Part::Test)];
/// Of what isn't used, so many are named.
const NAMED: usize = 3;

/// A folder whose photos are for one thing.
#[derive(Debug)]
pub(super) struct Source {
    /// As the system names it.
    pub(super) folder: PathBuf,
    /// The number of the folder that was named; those of a split have the same.
    pub(super) number: usize,
    pub(super) role: Role,
    pub(super) part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Role {
    Data,
    Other,
    Backgrounds,
}

/// Inner folders first: a photo belongs to the first that it is in. In those `apart` nobody looks for photos.
///
/// # Errors
/// [`Error::Beside`] if there may be photos in a folder that is split, and on none of its sides.
pub(super) fn sources(folders: &Folders, apart: &[PathBuf]) -> Result<Vec<Source>, Error> {
    let Folders { data, other, backgrounds } = folders;
    let named = [(data, Role::Data), (other, Role::Other), (backgrounds, Role::Backgrounds)];
    let named = named.into_iter().flat_map(|(folders, role)| folders.iter().map(move |it| (it, role)));
    let (mut sources, mut split) = (Vec::new(), Vec::new());
    for (number, (folder, role)) in named.enumerate() {
        let folder = real(folder)?;
        let sides = sides(&folder);
        if sides.is_empty() {
            sources.push(Source { folder, number, role, part: Part::Train });
        } else {
            for (side, part) in sides {
                sources.push(Source { folder: real(&side)?, number, role, part });
            }
            split.push(folder);
        }
    }
    let used: Vec<_> = sources.iter().map(|it| &it.folder).chain(apart).collect();
    split.iter().try_for_each(|folder| nothing_beside(folder, &used))?;
    sources.sort_by_key(|it| Reverse(it.folder.components().count()));
    Ok(sources)
}

/// The sides of a split that are in the folder.
fn sides(folder: &Path) -> Vec<(PathBuf, Part)> {
    let sides = SPLIT.iter().map(|(name, part)| (folder.join(name), *part));
    sides.filter(|(side, _)| side.is_dir()).collect()
}

/// Nothing that may be photos lies beside the sides of a split, unless somebody has named it: nobody would notice that it
/// isn't used. What is hidden isn't meant.
fn nothing_beside(folder: &Path, used: &[&PathBuf]) -> Result<(), Error> {
    let unreadable = |cause| Error::File { path: folder.to_owned(), cause };
    let is_used =
        |path: &Path| path.canonicalize().is_ok_and(|it| used.iter().any(|used| used.starts_with(&it)));
    let beside = entries(folder).map_err(unreadable)?.into_iter().filter_map(|(path, _)| {
        let name = path.file_name()?;
        let may_be_photos = path.is_dir() || is_photo_name(name);
        (may_be_photos && !is_used(&path) && !is_hidden(&path)).then(|| readable(name))
    });
    let beside: Vec<_> = beside.collect();
    if beside.is_empty() {
        return Ok(());
    }
    let mut names = beside[..beside.len().min(NAMED)].join(", ");
    if beside.len() > NAMED {
        names += &format!(" and {} more", beside.len() - NAMED);
    }
    Err(Error::Beside { folder: folder.to_owned(), names })
}

pub(super) fn real(folder: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(folder).map_err(|cause| Error::File { path: folder.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_the_sides_of_a_split_is_used_or_refused() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        for name in ["train/shirts", "test/shirts", "other/caps", ".cache"] {
            fs::create_dir_all(data.join(name)).unwrap();
        }
        for name in ["manifest.csv", "dataset_info.json", "contact_sheet.html", ".thumbnail.jpg"] {
            fs::write(data.join(name), "").unwrap();
        }
        let folders = |other: &[&str]| Folders {
            data: vec![data.clone()],
            other: other.iter().map(|name| data.join(name)).collect(),
            ..Folders::default()
        };
        let refused = |other: &[&str]| sources(&folders(other), &[]).unwrap_err().to_string();
        assert!(
            refused(&[]).contains("not used: other;") && refused(&[]).contains("--other"),
            "{}",
            refused(&[])
        );
        assert_eq!(sources(&folders(&["other/../other"]), &[]).unwrap().len(), 3, "it is named");
        assert_eq!(sources(&folders(&["other/caps"]), &[]).unwrap().len(), 3, "what is in it is named");
        let apart = data.join("other").canonicalize().unwrap();
        assert_eq!(sources(&folders(&[]), &[apart]).unwrap().len(), 2, "a training writes there");
        for name in ["1.JPG", "2.png", "3.gif", "4.bmp"] {
            fs::write(data.join(name), "").unwrap();
        }
        assert!(refused(&["other"]).contains("1.JPG, 2.png, 3.gif and 1 more"), "{}", refused(&["other"]));
        assert!(refused(&[]).contains("and 2 more"), "{}", refused(&[]));
    }

    #[test]
    fn whatever_lies_in_a_folder_that_isn_t_split_is_its_own_affair() {
        let root = tempfile::tempdir().unwrap();
        for name in ["shirts", "other"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let folders = Folders { data: vec![root.path().to_owned()], ..Folders::default() };
        assert_eq!(sources(&folders, &[]).unwrap().len(), 1);
    }
}
