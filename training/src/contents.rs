use std::path::Path;

use sha2::{Digest, Sha256};

use crate::cache::Key;
use crate::photos::Photos;

/// A hash of each photo's content, which names it wherever it lies.
#[derive(Debug)]
pub(crate) struct Contents(Vec<Option<Key>>);

impl Contents {
    /// Reads all of the photos.
    pub(crate) fn read(photos: &Photos) -> Self {
        let content = |path| std::fs::read(path).ok().map(|file| Sha256::digest(file).into());
        Self(photos.all.iter().map(|photo| content(&photo.path)).collect())
    }

    /// The photo's file, if it is still what was read at first: features are kept under that.
    pub(crate) fn file(&self, photos: &Photos, photo: usize) -> Result<Vec<u8>, String> {
        let content = self.of(photo).ok_or("it could not be read when the training began")?;
        file(&photos.all[photo].path, &content)
    }

    /// Of the photo of this number; None if it can't be read.
    pub(crate) fn of(&self, photo: usize) -> Option<Key> {
        self.0[photo]
    }
}

/// The file at `path`, if it is what has this hash.
pub(crate) fn file(path: &Path, content: &Key) -> Result<Vec<u8>, String> {
    let file = std::fs::read(path).map_err(|error| error.to_string())?;
    match Key::from(Sha256::digest(&file)) == *content {
        true => Ok(file),
        false => Err("it has changed since the training began".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Folders;

    #[test]
    fn a_photo_that_changes_is_no_photo_any_more() {
        let root = tempfile::tempdir().unwrap();
        for class in ["shirts", "tops"] {
            fs::create_dir(root.path().join(class)).unwrap();
            fs::write(root.path().join(class).join("1.jpg"), class).unwrap();
        }
        let photos = Photos::find(&Folders { data: vec![root.path().into()], ..Folders::default() }).unwrap();
        let contents = Contents::read(&photos);
        assert_eq!(contents.file(&photos, 1).unwrap(), b"tops");
        fs::write(&photos.all[1].path, "shoes").unwrap();
        assert!(contents.file(&photos, 1).unwrap_err().contains("has changed"));
        assert_eq!(contents.file(&photos, 0).unwrap(), b"shirts");
    }
}
