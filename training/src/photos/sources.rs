use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use autorma_evaluation::visible;
use autorma_schemas::{is_photo, readable};

use super::Folders;
use crate::Error;
use crate::dataset::{Split, misnamed};
use crate::error::at;

/// Of what isn't used, so many are named.
const NAMED: usize = 3;

/// A folder whose photos are for one thing.
#[derive(Debug)]
pub(super) struct Source {
    /// As the system names it.
    pub(super) folder: PathBuf,
    /// What the folder that was named was called then.
    pub(super) name: PathBuf,
    /// Which side of that it is, if that is split.
    pub(super) side: Option<Split>,
    /// The number of the folder that was named; those of a split have the same.
    pub(super) number: usize,
    pub(super) role: Role,
}

impl Source {
    /// The path of a photo in it from the folder that was named on, wherever that lies.
    pub(super) fn below(&self, photo: &Path) -> PathBuf {
        self.name.join(self.inside(photo))
    }

    /// The path of a photo in it below the folder that was named, wherever a side leads that is a link.
    pub(super) fn inside(&self, photo: &Path) -> PathBuf {
        let below = photo.strip_prefix(&self.folder).unwrap_or(photo);
        self.side.map_or_else(|| below.to_owned(), |side| Path::new(side.as_str()).join(below))
    }

    /// What its photos are for.
    pub(super) fn part(&self) -> Split {
        self.side.unwrap_or(Split::Train)
    }
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
/// [`Error::Beside`] if there may be photos in a folder that is split, and on none of its sides; [`Error::Misnamed`] if
/// sides seem to be named otherwise.
pub(super) fn sources(folders: &Folders, apart: &[PathBuf]) -> Result<Vec<Source>, Error> {
    let Folders { data, other, backgrounds } = folders;
    let named = [(data, Role::Data), (other, Role::Other), (backgrounds, Role::Backgrounds)];
    let named = named.into_iter().flat_map(|(folders, role)| folders.iter().map(move |it| (it, role)));
    let named = named.map(|(folder, role)| Ok((real(folder)?, called(folder)?, role)));
    let named = named.collect::<Result<Vec<_>, Error>>()?;
    let elsewhere: Vec<_> = named.iter().map(|(folder, ..)| folder).chain(apart).collect();
    named.iter().try_for_each(|(folder, ..)| nothing_misnamed(folder, &elsewhere))?;
    let (mut sources, mut split) = (Vec::new(), Vec::new());
    for (number, (folder, name, role)) in named.into_iter().enumerate() {
        let sides = sides(&folder);
        if sides.is_empty() {
            sources.push(Source { folder, name, side: None, number, role });
        } else {
            for side in sides {
                let path = real(&folder.join(side.as_str()))?;
                sources.push(Source { folder: path, name: name.clone(), side: Some(side), number, role });
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
fn sides(folder: &Path) -> Vec<Split> {
    Split::ALL.into_iter().filter(|side| folder.join(side.as_str()).is_dir()).collect()
}

/// No folder in it is meant as a side of a split and named otherwise: all that is in it would be of one kind.
fn nothing_misnamed(folder: &Path, elsewhere: &[&PathBuf]) -> Result<(), Error> {
    // One that can't be read is told of when its photos are looked for.
    let inner = visible(folder).into_iter().flatten();
    // One around run folders may be called training.
    let inner = inner.filter(|(path, is_folder)| *is_folder && !is_one_of(path, elsewhere));
    match misnamed(inner.map(|(path, _)| path)) {
        Some(misnamed) => Err(misnamed.into()),
        None => Ok(()),
    }
}

/// Whether the folder is one of these, or around some of them, with all its photos in there.
fn is_one_of(folder: &Path, those: &[&PathBuf]) -> bool {
    let is_there = |path: &Path| those.iter().any(|it| it.as_path() == path);
    let is_around = || those.iter().any(|it| it.starts_with(folder)) && !has_photos(folder, &is_there);
    is_there(folder) || is_around()
}

/// Whether there are photos in the folder, but for what is hidden and what lies in folders that are something else.
pub(super) fn has_photos(folder: &Path, is_apart: &dyn Fn(&Path) -> bool) -> bool {
    let mut inner = visible(folder).into_iter().flatten();
    inner.any(|(path, is_folder)| match is_folder {
        true => !is_apart(&path) && has_photos(&path, is_apart),
        false => is_photo(&path),
    })
}

/// Nothing that may be photos lies beside the sides of a split, unless somebody has named it: nobody would notice that it
/// isn't used. What is hidden isn't meant.
fn nothing_beside(folder: &Path, used: &[&PathBuf]) -> Result<(), Error> {
    let is_used = |path: &Path| path.canonicalize().is_ok_and(|it| is_one_of(&it, used));
    let beside = at(folder, visible(folder))?.into_iter().filter_map(|(path, _)| {
        let name = path.file_name()?;
        let may_be_photos = path.is_dir() || is_photo(&path);
        (may_be_photos && !is_used(&path)).then(|| readable(name))
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

/// The name of the folder as somebody writes it: that of a link stays when what it leads to moves. `.` and `..` name nothing.
fn called(folder: &Path) -> Result<PathBuf, Error> {
    let real = real(folder)?;
    Ok(folder.file_name().or(real.file_name()).unwrap_or_default().into())
}

pub(super) fn real(folder: &Path) -> Result<PathBuf, Error> {
    at(folder, fs::canonicalize(folder))
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
        fs::create_dir_all(data.join("other/.thumbnails")).unwrap();
        fs::write(data.join("other/.thumbnails/1.jpg"), "").unwrap();
        assert_eq!(sources(&folders(&["other/caps"]), &[]).unwrap().len(), 3, "what is in it is named");
        fs::create_dir_all(data.join("other/ties")).unwrap();
        fs::write(data.join("other/ties/1.jpg"), "").unwrap();
        let beside = sources(&folders(&["other/caps"]), &[]);
        assert!(matches!(&beside, Err(Error::Beside { names, .. }) if names == "other"), "{beside:?}");
        assert_eq!(sources(&folders(&["other/caps", "other/ties"]), &[]).unwrap().len(), 4, "all are");
        let apart = data.join("other").canonicalize().unwrap();
        assert_eq!(sources(&folders(&[]), &[apart]).unwrap().len(), 2, "a training writes there");
        for name in ["1.JPG", "2.png", "3.gif", "4.bmp"] {
            fs::write(data.join(name), "").unwrap();
        }
        assert!(refused(&["other"]).contains("1.JPG, 2.png, 3.gif and 1 more"), "{}", refused(&["other"]));
        assert!(refused(&[]).contains("and 2 more"), "{}", refused(&[]));
    }

    #[test]
    fn sides_that_are_named_otherwise_are_no_classes() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["upper/Train/shirts", "upper/Test/shirts", "long/train/shirts", "long/validation/shirts"]
        {
            fs::create_dir_all(at(name)).unwrap();
        }
        for name in ["articles/Training/caps", "articles/valid/caps", "sports/training", "sports/shirts"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let refused = |folders: Folders| sources(&folders, &[]).unwrap_err().to_string();
        let of = |name: &str| Folders { data: vec![at(name)], ..Folders::default() };
        for (data, folder, side) in [("upper", "upper/Test", "test"), ("long", "long/validation", "val")] {
            let refused = refused(of(data));
            assert!(refused.contains(&format!("{folder} is named")), "{refused}");
            assert!(refused.contains(&format!("rename it to {side}")), "{refused}");
        }
        let refused = refused(Folders { other: vec![at("articles")], ..of("sports") });
        assert!(refused.contains("rename it to train"), "{refused}");
        assert_eq!(sources(&of("sports"), &[]).unwrap().len(), 1, "one alone may be a class");
        let named = Folders { other: vec![at("upper/Test")], ..of("upper") };
        assert_eq!(sources(&named, &[]).unwrap().len(), 2, "it is named for something else");
    }

    #[test]
    fn a_folder_in_which_a_training_writes_may_be_called_training() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["train/shirts", "val/shirts", "test/shirts", "training/run1/model", "training/run2"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let folders = Folders { data: vec![root.path().to_owned()], ..Folders::default() };
        for output in ["training", "training/run1"] {
            let apart = at(output).canonicalize().unwrap();
            assert_eq!(sources(&folders, &[apart]).unwrap().len(), 3, "{output}");
        }
        fs::write(at("training/1.jpg"), "").unwrap();
        let apart = at("training/run1").canonicalize().unwrap();
        let refused = sources(&folders, &[apart]).unwrap_err().to_string();
        assert!(refused.contains("rename it to train"), "it has photos, too: {refused}");
    }

    #[test]
    fn a_folder_is_called_what_somebody_calls_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["blob7/train/shirts", "blob8/shirts"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for (link, folder) in [("studio", "blob7"), ("home", "blob8")] {
            std::os::unix::fs::symlink(at(folder), at(link)).unwrap();
        }
        for (folder, name) in [
            ("studio", "studio/train"),
            ("home/", "home"),
            ("blob8", "blob8"),
            ("blob8/.", "blob8"),
            ("home/shirts/..", "blob8"),
        ] {
            let folders = Folders { data: vec![at(folder)], ..Folders::default() };
            let source = &sources(&folders, &[]).unwrap()[0];
            assert_eq!(source.below(&source.folder), Path::new(name), "{folder}");
        }
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
