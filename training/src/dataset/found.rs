use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use autorma_evaluation::{UNREAD, is_stranger, is_unread, plain};
use autorma_schemas::{is_photo, readable};
use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::error::at;
use super::{Broken, DatasetError, Split, misnamed};
use crate::training::{MODEL, RECIPE};

/// Kaggle's list.
pub(super) const STYLES: &str = "styles.csv";
/// Kaggle's articles that are classes, and the names of their folders.
const ARTICLES: [(&str, &str); 5] = [
    ("Casual Shoes", "casual_shoes"),
    ("Handbags", "handbags"),
    ("Shirts", "shirts"),
    ("Tops", "tops"),
    ("Watches", "watches"),
];

/// How photos were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A folder for each class, maybe below folders for each split.
    ClassFolders,
    /// Kaggle's Fashion Product Images: `styles.csv` and `images/<id>.jpg`.
    KaggleFashion,
}

/// A photo that was found, and not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The file.
    pub(super) path: PathBuf,
    /// Its path below the folder, for people (see [`readable`]).
    pub(super) name: String,
    /// Its path below the folder of its class.
    pub(super) rest: PathBuf,
    /// Its class, named as the first folder of it is.
    pub(super) class: String,
    /// The side of the split on which it is, if the folder is split.
    pub(super) split: Option<Split>,
    /// Kaggle's row about it.
    pub(super) row: Option<usize>,
}

/// What is in a folder.
#[derive(Debug)]
pub(super) struct Found {
    /// Which.
    pub(super) folder: PathBuf,
    /// How it was found.
    pub(super) kind: Kind,
    /// The photos, in the order of their names.
    pub(super) candidates: Vec<Candidate>,
    /// What the list names and what isn't there, or can't be understood.
    pub(super) broken: Vec<Broken>,
    /// The classes that folders are named after, whether there is a photo in them or not.
    pub(super) classes: BTreeSet<String>,
    /// The folders of classes that lie beside the sides of a split, by their names.
    pub(super) beside: Vec<String>,
    /// Kaggle's list.
    pub(super) styles: Option<Columns>,
    /// The list `manifest.csv`, if there is one.
    pub(super) listed: Option<Columns>,
}

impl Found {
    /// The photos in `folder`: those of Kaggle's list, if there is one, or else those in class folders. Folders `train`,
    /// `val` and `test` are sides of a split, and classes are in them. A link to a folder isn't followed: it may lead in a circle.
    /// What is hidden isn't looked at, nor is what a training has written.
    pub(super) fn read(folder: &Path) -> Result<Self, DatasetError> {
        let mut found = match folder.join(STYLES).is_file() {
            true => Self::by_list(folder)?,
            false => Self::by_folders(folder)?,
        };
        if found.candidates.is_empty() {
            let unread: Vec<_> = found.broken.iter().filter(|it| it.reason == "unread").collect();
            return Err(match unread.first() {
                Some(first) => DatasetError::all_broken(folder, unread.len(), first),
                None => DatasetError::Empty(folder.to_owned()),
            });
        }
        found.candidates.sort_by(|one, other| one.name.cmp(&other.name));
        found.listed = Columns::listed(folder)?;
        Ok(found)
    }

    fn by_folders(root: &Path) -> Result<Self, DatasetError> {
        let (kind, candidates, broken) = (Kind::ClassFolders, Vec::new(), loose(root, root)?);
        let (classes, beside) = (BTreeSet::new(), Vec::new());
        let folder = root.to_owned();
        let mut found =
            Self { folder, kind, candidates, broken, classes, beside, styles: None, listed: None };
        let inner = folders(root)?;
        if let Some(misnamed) = misnamed(inner.iter().cloned()) {
            return Err(misnamed.into());
        }
        let mut is_split = false;
        for folder in inner {
            match named(&folder).parse() {
                Ok(split) => {
                    is_split = true;
                    found.broken.extend(loose(root, &folder)?);
                    for class in folders(&folder)? {
                        found.take(root, &class, Some(split))?;
                    }
                }
                Err(_) => {
                    found.take(root, &folder, None)?;
                    found.beside.push(named(&folder));
                }
            }
        }
        found.beside.retain(|class| is_split && !is_stranger(class));
        Ok(found)
    }

    /// Takes a class with what is in its folder. It is one class however its folders write its name.
    fn take(&mut self, root: &Path, folder: &Path, split: Option<Split>) -> Result<(), DatasetError> {
        let name = named(folder);
        let known = self.classes.iter().find(|class| plain(class) == plain(&name)).cloned();
        let class = known.unwrap_or(name);
        self.collect(root, &class, folder, split, folder)?;
        self.classes.insert(class);
        Ok(())
    }

    /// Takes what is in a folder of a class, whose outermost one is `whole`.
    fn collect(
        &mut self,
        root: &Path,
        class: &str,
        whole: &Path,
        split: Option<Split>,
        folder: &Path,
    ) -> Result<(), DatasetError> {
        for (path, is_folder) in visible(folder)? {
            if is_folder {
                self.collect(root, class, whole, split, &path)?;
            } else if let Some(broken) = left_out(root, &path) {
                self.broken.push(broken);
            } else if is_photo(&path) {
                let (name, rest) = (below(root, &path), path.strip_prefix(whole).unwrap_or(&path).to_owned());
                let class = class.to_owned();
                self.candidates.push(Candidate { path, name, rest, class, split, row: None });
            }
        }
        Ok(())
    }

    fn by_list(root: &Path) -> Result<Self, DatasetError> {
        let list = root.join(STYLES);
        let styles = Columns::read_lines(&list)?;
        let (Some(id), Some(article)) = (styles.place("id"), styles.place("articleType")) else {
            let cause = "expected the columns id and articleType".to_owned();
            return Err(DatasetError::List { path: list, cause });
        };
        let (mut candidates, mut broken, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for (number, row) in styles.rows.iter().enumerate() {
            // Of the list's lines, the first has the names.
            let here = || format!("{STYLES}, row {}", number + 2);
            let (Some(id), Some(article)) = (row.get(id), row.get(article)) else {
                broken.push(Broken::new(here(), "bad_row", "it has too few columns"));
                continue;
            };
            let Some((_, class)) = ARTICLES.iter().find(|(name, _)| name == article) else { continue };
            if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
                broken.push(Broken::new(here(), "bad_row", "its id is no number"));
                continue;
            }
            let rest = PathBuf::from(format!("{id}.jpg"));
            let name = format!("images/{id}.jpg");
            if !seen.insert(id) {
                broken.push(Broken::new(here(), "bad_row", &format!("an earlier row has {name}")));
                continue;
            }
            let (path, class) = (root.join(&name), (*class).to_owned());
            candidates.push(Candidate { path, name, rest, class, split: None, row: Some(number) });
        }
        let (kind, classes, beside) = (Kind::KaggleFashion, BTreeSet::new(), Vec::new());
        let (folder, styles) = (root.to_owned(), Some(styles));
        Ok(Self { folder, kind, candidates, broken, classes, beside, styles, listed: None })
    }
}

fn named(folder: &Path) -> String {
    readable(folder.file_name().unwrap_or_default())
}

/// The folders in it that aren't hidden, and that no training has written.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let folders = visible(folder)?.into_iter().filter(|(_, is_folder)| *is_folder).map(|(path, _)| path);
    Ok(folders.filter(|folder| !is_of_training(folder)).collect())
}

/// Whether a training has written in the folder, and it has no photos: it is neither a class nor a side. So is the model's
/// where a training has written into the folder of the photos itself.
pub(crate) fn is_of_training(folder: &Path) -> bool {
    let is_model = folder.ends_with(MODEL) && folder.with_file_name(RECIPE).is_file();
    (is_model || has(folder, &|path| path.ends_with(RECIPE))) && !has(folder, &is_photo)
}

/// Whether such a file is somewhere in the folder. What can't be read is told of when its photos are looked for.
fn has(folder: &Path, is_it: &dyn Fn(&Path) -> bool) -> bool {
    let mut inner = visible(folder).into_iter().flatten();
    inner.any(|(path, is_folder)| if is_folder { has(&path, is_it) } else { is_it(&path) })
}

/// What stands beside folders of classes: photos of which nobody knows what they show, and what is left out anywhere.
fn loose(root: &Path, folder: &Path) -> Result<Vec<Broken>, DatasetError> {
    let photo = |path: &Path| {
        is_photo(path).then(|| Broken::new(below(root, path), "no_class", "it is in no folder of a class"))
    };
    let beside = visible(folder)?.into_iter().filter(|(_, is_folder)| !is_folder);
    Ok(beside.filter_map(|(path, _)| left_out(root, &path).or_else(|| photo(&path))).collect())
}

/// Why a file is left out wherever it is: it is a link to a folder, or a picture that isn't looked at.
fn left_out(root: &Path, path: &Path) -> Option<Broken> {
    let broken = |reason, why| Some(Broken::new(below(root, path), reason, why));
    match path {
        _ if path.is_dir() => broken("link", "links to folders aren't followed"),
        _ if is_unread(path) => broken("unread", UNREAD),
        _ => None,
    }
}

/// Its path below the folder, for people.
fn below(root: &Path, path: &Path) -> String {
    readable(path.strip_prefix(root).unwrap_or(path).as_os_str())
}

/// What is in a folder and isn't hidden.
fn visible(folder: &Path) -> Result<Vec<(PathBuf, bool)>, DatasetError> {
    at(folder, autorma_evaluation::visible(folder))
}

/// What is in a folder, in order, and whether it is a folder itself.
pub(super) fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>, DatasetError> {
    at(folder, autorma_evaluation::entries(folder))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn touch(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    #[test]
    fn folders_are_classes_or_sides_of_a_split() {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &["shirts/b.JPG", "shirts/anna/a.png", "shirts/list.csv", "loose.jpg", ".hidden/tops/c.jpg"],
        );
        touch(
            root.path(),
            &["train/tops/d.webp", "test/tops/e.gif", "shirts/.thumbnails/b.jpg", "tops/._f.jpg"],
        );
        std::os::unix::fs::symlink("..", root.path().join("shirts/up")).unwrap();
        std::os::unix::fs::symlink("shirts", root.path().join("blouses")).unwrap();
        let found = Found::read(root.path()).unwrap();
        let told: Vec<_> = found
            .candidates
            .iter()
            .map(|it| (it.name.as_str(), it.class.as_str(), it.split, it.rest.to_str().unwrap()))
            .collect();
        let expected = [
            ("shirts/anna/a.png", "shirts", None, "anna/a.png"),
            ("shirts/b.JPG", "shirts", None, "b.JPG"),
            ("test/tops/e.gif", "tops", Some(Split::Test), "e.gif"),
            ("train/tops/d.webp", "tops", Some(Split::Train), "d.webp"),
        ];
        assert_eq!(told, expected);
        let loose: Vec<_> = found.broken.iter().map(|it| (it.path.as_str(), it.reason.as_str())).collect();
        assert_eq!(loose, [("blouses", "link"), ("loose.jpg", "no_class"), ("shirts/up", "link")]);
    }

    #[test]
    fn pictures_that_aren_t_looked_at_are_told() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["shirts/a.heic", "tops/deeper/b.JFIF", "c.avif", "tops/.d.heic"]);
        let refused = Found::read(root.path()).unwrap_err();
        assert!(matches!(&refused, DatasetError::AllBroken { found: 3, .. }), "{refused}");
        touch(root.path(), &["shirts/a.jpg"]);
        let found = Found::read(root.path()).unwrap();
        let told: Vec<_> = found.broken.iter().map(|it| (it.path.as_str(), it.reason.as_str())).collect();
        assert_eq!(told, ["c.avif", "shirts/a.heic", "tops/deeper/b.JFIF"].map(|path| (path, "unread")));
        assert_eq!(found.candidates.len(), 1);
    }

    #[test]
    fn sides_that_are_named_otherwise_are_no_classes() {
        for names in [["Train", "Test"], ["training", "test"], ["train", "validation"]] {
            let root = tempfile::tempdir().unwrap();
            names.iter().for_each(|side| touch(root.path(), &[format!("{side}/shirts/1.jpg").as_str()]));
            let refused = Found::read(root.path()).unwrap_err();
            assert!(matches!(refused, DatasetError::Misnamed(_)), "{names:?}: {refused}");
        }
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["training/1.jpg", "shirts/2.jpg"]);
        assert_eq!(Found::read(root.path()).unwrap().candidates.len(), 2, "one alone may be a class");
    }

    #[test]
    fn what_a_training_has_written_is_no_class_and_no_side() {
        for output in ["training", "training/run1", "train/run1"] {
            let written = [format!("{output}/lock"), format!("{output}/train.toml")];
            let (split, unsplit) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            touch(split.path(), &["train/shirts/1.jpg", "test/shirts/2.jpg"]);
            touch(unsplit.path(), &["shirts/1.jpg", "shirts/2.jpg"]);
            for root in [split.path(), unsplit.path()] {
                touch(root, &written.each_ref().map(|file| file.as_str()));
                let found = Found::read(root).unwrap();
                assert_eq!((found.candidates.len(), found.classes.len()), (2, 1), "{output}");
            }
            touch(split.path(), &["training/3.jpg"]);
            let refused = Found::read(split.path());
            assert!(matches!(refused, Err(DatasetError::Misnamed(_))), "it has photos, too: {refused:?}");
        }
    }

    #[test]
    fn a_model_beside_its_recipe_is_no_class() {
        let root = tempfile::tempdir().unwrap();
        let classes = || Found::read(root.path()).unwrap().classes.len();
        touch(root.path(), &["shirts/1.jpg", "model/manifest.json"]);
        assert_eq!(classes(), 2, "no training has written there");
        touch(root.path(), &["train.toml"]);
        assert_eq!(classes(), 1);
        touch(root.path(), &["model/2.jpg"]);
        assert_eq!(classes(), 2, "it has photos");
    }

    #[test]
    fn a_row_that_is_wrong_costs_no_other() {
        let root = tempfile::tempdir().unwrap();
        let rows = "id,gender,articleType,productDisplayName\n1,Men,Shirts,A, B\n2,Men,Jeans,C\n../3,Men,Shirts,D\n\
                    4\n1,Men,Tops,E\n5,Women,Casual Shoes,F\n";
        fs::write(root.path().join(STYLES), rows).unwrap();
        let found = Found::read(root.path()).unwrap();
        let told: Vec<_> = found.candidates.iter().map(|it| (it.name.as_str(), it.class.as_str())).collect();
        assert_eq!(told, [("images/1.jpg", "shirts"), ("images/5.jpg", "casual_shoes")]);
        let broken: Vec<_> = found.broken.iter().map(|it| format!("{}: {}", it.path, it.message)).collect();
        let expected = [
            "styles.csv, row 4: its id is no number",
            "styles.csv, row 5: it has too few columns",
            "styles.csv, row 6: an earlier row has images/1.jpg",
        ];
        assert_eq!(broken, expected);
    }
}
