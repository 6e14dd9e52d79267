use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use autorma_schemas::is_photo;

use crate::unread::{UNREAD, is_unread};

/// Folders of what is none of the classes.
const STRANGERS: [&str; 5] = ["other", "unknown", "none", "background", "backgrounds"];

/// What a photo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// An article of the class with this number, in the model's order.
    Class(usize),
    /// None of them.
    Stranger,
}

/// A photo whose label is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labelled {
    /// The file.
    pub path: PathBuf,
    /// What it shows.
    pub label: Label,
}

/// Photos whose labels are known, in the order of their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataSet {
    /// The photos.
    pub photos: Vec<Labelled>,
    /// What is left out, but for what is hidden: photos beside the folders of classes, which nobody knows the labels of, and
    /// links to folders.
    pub loose: Vec<PathBuf>,
    /// Pictures that are left out for how their names end: see [`UNREAD`].
    pub unread: Vec<PathBuf>,
}

/// Why a folder is no data set.
#[derive(Debug, thiserror::Error)]
pub enum DataSetError {
    /// A folder can't be read.
    #[error("the data set, at {path}: {cause}")]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A folder that is neither a class nor something else.
    #[error(
        "{path} is no class of the model ({classes}), nor `other`, `unknown`, `none`, `background` or `backgrounds`: \
         rename it; or, if none of the classes is in it, name it with --unknown; or, if the classes are folders in it, as in a \
         data set that is split, name it with --data"
    )]
    Strange {
        /// The folder.
        path: PathBuf,
        /// What the model knows.
        classes: String,
    },
    /// Nothing where what is none of the classes should be.
    #[error(
        "there is no photo in {0}, which is named for what is none of the classes, or all that are in it lie in folders of \
         classes"
    )]
    NoStranger(PathBuf),
    /// Nothing to judge.
    #[error("there is no photo of a class in {0}: a data set has a folder for each class, like shirts/1.jpg")]
    Empty(String),
    /// Nothing to judge but what isn't looked at.
    #[error("there is no photo of a class in {folders}, but there is {first}, and {why}", why = UNREAD)]
    AllUnread {
        /// The folders of classes.
        folders: String,
        /// The first such picture.
        first: PathBuf,
    },
}

impl DataSet {
    /// The photos in the class folders of `folders`, whose names may have `_` or `-` for a space, and those of none of the
    /// classes: in folders named so, and everything in `strangers`.
    pub fn read(
        classes: &[String],
        folders: &[PathBuf],
        strangers: &[PathBuf],
    ) -> Result<Self, DataSetError> {
        let set = Self::read_without(classes, folders, strangers, &[])?;
        for folder in strangers {
            let real = real(folder)?;
            // What lies in the folder of a class as well is of that class.
            let is_in = |photo: &Labelled| photo.label == Label::Stranger && photo.path.starts_with(&real);
            if !set.photos.iter().any(is_in) {
                return Err(DataSetError::NoStranger(real));
            }
        }
        Ok(set)
    }

    /// The same, where the folders `apart` in `folders` are none of classes, and nobody looks into them. They are named as the
    /// system does. There may be nothing in those of `strangers`.
    pub fn read_without(
        classes: &[String],
        folders: &[PathBuf],
        strangers: &[PathBuf],
        apart: &[PathBuf],
    ) -> Result<Self, DataSetError> {
        // However somebody writes a folder's path, it is the same folder.
        let folders = folders.iter().map(|it| real(it)).collect::<Result<Vec<_>, _>>()?;
        let strangers = strangers.iter().map(|it| real(it)).collect::<Result<Vec<_>, _>>()?;
        let elsewhere = [&strangers[..], apart].concat();
        let mut set = Self::default();
        for folder in &folders {
            for (inner, is_folder) in read(folder)? {
                if is_folder && !elsewhere.contains(&inner) {
                    match label(&inner, classes) {
                        Ok(label) => set.collect(&inner, label, &elsewhere)?,
                        Err(strange) if may_have_photos(&inner)? => return Err(strange),
                        // What a training has written, for example: there is no photo in it.
                        Err(_) => set.collect(&inner, Label::Stranger, &elsewhere)?,
                    }
                } else if !is_folder && (is_photo(&inner) || inner.is_dir()) {
                    set.loose.push(inner);
                } else if !is_folder && is_unread(&inner) {
                    set.unread.push(inner);
                }
            }
        }
        if set.photos.iter().all(|photo| photo.label == Label::Stranger) {
            let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            let folders = folders.join(", ");
            return Err(match set.unread.into_iter().next() {
                Some(first) => DataSetError::AllUnread { folders, first },
                None => DataSetError::Empty(folders),
            });
        }
        for folder in &strangers {
            set.collect(folder, Label::Stranger, &[])?;
        }
        set.photos.sort();
        set.photos.dedup_by(|one, other| one.path == other.path);
        for left_out in [&mut set.loose, &mut set.unread] {
            left_out.sort();
            left_out.dedup();
        }
        Ok(set)
    }

    /// Takes all photos in the folder and those in it, but for what is elsewhere.
    fn collect(&mut self, folder: &Path, label: Label, elsewhere: &[PathBuf]) -> Result<(), DataSetError> {
        for (path, is_folder) in read(folder)? {
            if is_folder {
                if !elsewhere.contains(&path) {
                    self.collect(&path, label, elsewhere)?;
                }
            } else if path.is_dir() {
                self.loose.push(path);
            } else if is_photo(&path) {
                self.photos.push(Labelled { path, label });
            } else if is_unread(&path) {
                self.unread.push(path);
            }
        }
        Ok(())
    }

    /// The classes that no photo is of, by their numbers.
    pub fn missing(&self, classes: usize) -> impl Iterator<Item = usize> {
        let are: BTreeSet<_> = self.photos.iter().map(|photo| photo.label).collect();
        (0..classes).filter(move |class| !are.contains(&Label::Class(*class)))
    }
}

/// The classes that the folders in `folders` are named after, in alphabetical order: all but `other`, `unknown`, `none`,
/// `background` and `backgrounds`, what is hidden, and the folders `elsewhere`, which are something else. All are named as
/// the system does.
pub fn classes_in(folders: &[PathBuf], elsewhere: &[PathBuf]) -> Result<Vec<String>, DataSetError> {
    let mut classes = BTreeSet::new();
    for folder in folders {
        let is_class = |(path, is_folder): &(PathBuf, bool)| *is_folder && !elsewhere.contains(path);
        let names = read(folder)?.into_iter().filter(is_class);
        classes.extend(names.map(|(path, _)| plain(&path.file_name().unwrap_or_default().to_string_lossy())));
    }
    classes.retain(|name| !STRANGERS.contains(&name.as_str()));
    Ok(classes.into_iter().collect())
}

/// By the folder's name.
fn label(folder: &Path, classes: &[String]) -> Result<Label, DataSetError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = plain(&name);
    if let Some(number) = classes.iter().position(|class| plain(class) == name) {
        return Ok(Label::Class(number));
    }
    if is_stranger(&name) {
        return Ok(Label::Stranger);
    }
    Err(DataSetError::Strange { path: folder.to_owned(), classes: classes.join(", ") })
}

/// Whether a folder of this name holds photos that are none of the classes.
pub fn is_stranger(folder: &str) -> bool {
    STRANGERS.contains(&plain(folder).as_str())
}

/// What a folder's name names, however it is written.
pub fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', '-'], " ")
}

/// Whether there are photos in the folder and those in it, or links to folders.
fn may_have_photos(folder: &Path) -> Result<bool, DataSetError> {
    for (path, is_folder) in read(folder)? {
        let has_some = if is_folder { may_have_photos(&path)? } else { is_photo(&path) || path.is_dir() };
        if has_some {
            return Ok(true);
        }
    }
    Ok(false)
}

fn real(folder: &Path) -> Result<PathBuf, DataSetError> {
    let failed = |cause| DataSetError::Unreadable { path: folder.to_owned(), cause };
    folder.canonicalize().map_err(failed)
}

/// What is in a folder and isn't hidden.
fn read(folder: &Path) -> Result<Vec<(PathBuf, bool)>, DataSetError> {
    visible(folder).map_err(|cause| DataSetError::Unreadable { path: folder.to_owned(), cause })
}

/// What is in a folder and isn't hidden, as of [`entries`].
pub fn visible(folder: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut entries = entries(folder)?;
    entries.retain(|(path, _)| !is_hidden(path));
    Ok(entries)
}

/// Whether it is called so that people don't see it: what programs keep for themselves, as thumbnails.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// What is in a folder, in order, and whether it is a folder itself. A link to a folder is none: it may lead in a circle.
pub fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.path(), entry.file_type()?.is_dir()))
    };
    let mut entries = fs::read_dir(folder)?.map(entry).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    fn classes() -> Vec<String> {
        ["casual shoes", "shirts"].map(str::to_owned).into()
    }

    #[test]
    fn folders_name_classes_and_strangers() {
        let root = tempfile::tempdir().unwrap();
        let files =
            ["casual_shoes/b.JPG", "Shirts/x/a.png", "shirts/list.csv", "other/caps/c.jpg", "manifest.csv"];
        touch(root.path(), &files);
        touch(root.path(), &["caps/d.webp"]);
        let folders = [root.path().to_owned()];
        let refused = DataSet::read(&classes(), &folders, &[]).unwrap_err().to_string();
        assert!(refused.contains("caps is no class of the model (casual shoes, shirts)"), "{refused}");
        touch(root.path(), &["shirts/odd/e.gif"]);
        std::os::unix::fs::symlink("..", root.path().join("shirts/up")).unwrap();
        // The same folder twice, and strangers within a class, whose paths are written in another way.
        assert_eq!(classes_in(&[root.path().to_owned()], &[]).unwrap(), ["caps", "casual shoes", "shirts"]);
        let folders = [root.path().to_owned(), root.path().join("other/..")];
        let strangers = ["shirts/../caps", "shirts/odd"].map(|folder| root.path().join(folder));
        let set = DataSet::read(&classes(), &folders, &strangers).unwrap();
        let real = root.path().canonicalize().unwrap();
        let found: Vec<_> = set
            .photos
            .iter()
            .map(|it| (it.path.strip_prefix(&real).unwrap().to_str().unwrap(), it.label))
            .collect();
        let expected = [
            ("Shirts/x/a.png", Label::Class(1)),
            ("caps/d.webp", Label::Stranger),
            ("casual_shoes/b.JPG", Label::Class(0)),
            ("other/caps/c.jpg", Label::Stranger),
            ("shirts/odd/e.gif", Label::Stranger),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_without_classes_is_no_data_set() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["a.jpg", "other/b.jpg"]);
        let refused = DataSet::read(&classes(), &[root.path().to_owned()], &[]).unwrap_err();
        assert!(matches!(refused, DataSetError::Empty(_)));
        assert!(matches!(
            DataSet::read(&classes(), &[root.path().join("none such")], &[]).unwrap_err(),
            DataSetError::Unreadable { .. }
        ));
    }

    #[test]
    fn what_is_hidden_and_what_is_named_for_something_else_is_no_class() {
        let root = tempfile::tempdir().unwrap();
        let files = ["shirts/a.jpg", "shirts/.thumbnails/a.jpg", "shirts/._a.jpg", ".checkpoints/b.jpg"];
        touch(root.path(), &files);
        touch(root.path(), &["hats/c.jpg", "training/model/d.jpg"]);
        let root = root.path().canonicalize().unwrap();
        let [folders, hats, training] = ["", "hats", "training"].map(|name| vec![root.join(name)]);
        let elsewhere = [&hats[..], &training].concat();
        assert_eq!(classes_in(&folders, &elsewhere).unwrap(), ["shirts"]);
        let set = DataSet::read_without(&["shirts".into()], &folders, &hats, &training).unwrap();
        let found: Vec<_> = set.photos.iter().map(|it| it.path.strip_prefix(&root).unwrap()).collect();
        assert_eq!(found, ["hats/c.jpg", "shirts/a.jpg"].map(Path::new));
    }

    #[test]
    fn a_folder_without_photos_is_no_strange_one() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["shirts/a.jpg", "run/train.toml", "run/report.html", "run/model/manifest.json"]);
        let read = || DataSet::read(&classes(), &[root.path().to_owned()], &[]);
        assert_eq!(read().unwrap().photos.len(), 1, "a training writes there");
        let link = root.path().join("run/model/more");
        std::os::unix::fs::symlink(root.path().join("shirts"), &link).unwrap();
        assert!(matches!(read(), Err(DataSetError::Strange { .. })), "who knows what it leads to?");
        fs::remove_file(link).unwrap();
        touch(root.path(), &["run/model/b.jpg"]);
        assert!(matches!(read(), Err(DataSetError::Strange { .. })));
    }

    #[test]
    fn nothing_is_left_out_without_a_word() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        touch(root.path(), &["shirts/a.jpg", "list.csv", "c.jpg"]);
        touch(elsewhere.path(), &["shoes/b.jpg", "empty/c.txt"]);
        for link in ["casual shoes", "shirts/more.jpg"] {
            std::os::unix::fs::symlink(elsewhere.path().join("shoes"), root.path().join(link)).unwrap();
        }
        let read = |strangers: &[PathBuf]| DataSet::read(&classes(), &[root.path().to_owned()], strangers);
        let set = read(&[]).unwrap();
        let real = root.path().canonicalize().unwrap();
        assert_eq!(set.loose, ["c.jpg", "casual shoes", "shirts/more.jpg"].map(|name| real.join(name)));
        assert_eq!((set.photos.len(), set.missing(2).collect::<Vec<_>>()), (1, vec![0]));
        std::os::unix::fs::symlink(root.path(), elsewhere.path().join("shoes/up")).unwrap();
        let set = read(&[elsewhere.path().join("shoes")]).unwrap();
        assert!(set.loose.iter().any(|path| path.ends_with("shoes/up")), "{:?}", set.loose);
        let empty = read(&[elsewhere.path().join("empty")]);
        assert!(matches!(empty, Err(DataSetError::NoStranger(_))), "{empty:?}");
    }

    #[test]
    fn pictures_that_aren_t_looked_at_are_told() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["shirts/a.heic", "other/b.HEIF", "c.jfif", "caps/d.avif", "shirts/.e.heic"]);
        let folders = [root.path().to_owned(), root.path().join("shirts/..")];
        let read = || DataSet::read(&classes(), &folders, &[]);
        let refused = read().unwrap_err();
        assert!(matches!(&refused, DataSetError::AllUnread { .. }), "{refused}");
        touch(root.path(), &["shirts/a.jpg"]);
        let (real, set) = (root.path().canonicalize().unwrap(), read().unwrap());
        let unread = ["c.jfif", "caps/d.avif", "other/b.HEIF", "shirts/a.heic"];
        assert_eq!(set.unread, unread.map(|name| real.join(name)));
        assert_eq!((set.photos.len(), set.loose.len()), (1, 0));
    }

    #[test]
    fn where_all_photos_are_of_classes_there_is_no_stranger() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["shirts/a.jpg"]);
        let folders = [root.path().to_owned()];
        let none = DataSet::read(&classes(), &folders, &folders);
        assert!(matches!(none, Err(DataSetError::NoStranger(_))), "{none:?}");
        touch(root.path(), &["background/b.jpg"]);
        assert_eq!(classes_in(&folders, &[]).unwrap(), ["shirts"]);
        let set = DataSet::read(&classes(), &folders, &folders).unwrap();
        let labels: Vec<_> = set.photos.iter().map(|photo| photo.label).collect();
        assert_eq!(labels, [Label::Stranger, Label::Class(1)]);
    }
}
