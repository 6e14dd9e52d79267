use std::iter::repeat_n;
use std::path::Path;

use autorma_classifier::{Limits, read_file};
use autorma_evaluation::parallel::each;
use sha2::{Digest, Sha256};

use crate::cache::Key;
use crate::photos::{Photo, Photos};
use crate::{Error, Progress, What};

/// A hash of each photo's content, which names it wherever it lies.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Of each photo, or why it can't be read.
    all: Vec<Result<Content, String>>,
    /// Bytes of a photo, at most.
    most: u64,
}

#[derive(Debug)]
struct Content {
    hash: Key,
    /// Whether it begins like a picture.
    is_picture: bool,
}

impl Contents {
    /// Reads all of the photos, on so many threads.
    ///
    /// # Errors
    /// [`Error::Stopped`] if `progress` says false before all are read.
    pub(crate) fn read(
        photos: &Photos,
        limits: Limits,
        threads: usize,
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Self, Error> {
        let (of, most) = (photos.all.len(), limits.bytes);
        let read = |(): &mut (), number: usize| content(&photos.all[number], most);
        let report = |done| progress(Progress::Count { what: What::Read, done, of });
        let all = each(of, repeat_n((), threads), read, report).ok_or(Error::Stopped)?;
        Ok(Self { all, most })
    }

    /// The photo's file, if it is still what was read at first: features are kept under that.
    pub(crate) fn file(&self, photos: &Photos, photo: usize) -> Result<Vec<u8>, String> {
        let content = self.all[photo].as_ref().map_err(String::clone)?;
        file(&photos.all[photo].path, &content.hash, self.most)
    }

    /// Of the photo of this number; None if it can't be read.
    pub(crate) fn of(&self, photo: usize) -> Option<Key> {
        self.all[photo].as_ref().ok().map(|content| content.hash)
    }

    /// Of each photo what it has in common with its copies. Files that are no pictures have nothing in common: two
    /// contributors are no relatives because a download of each has failed in the same way.
    pub(crate) fn pictures(&self) -> impl Iterator<Item = Option<Key>> {
        self.all.iter().map(|content| content.as_ref().ok().filter(|it| it.is_picture).map(|it| it.hash))
    }

    /// Forgets the photos that don't stay.
    pub(crate) fn retain(&mut self, stays: &[bool]) {
        let mut stays = stays.iter();
        self.all.retain(|_| stays.next() == Some(&true));
    }
}

/// What is in a photo's file, of at most so many bytes, or why it can't be read.
fn content(photo: &Photo, most: u64) -> Result<Content, String> {
    let file = read_file(&photo.path, most).map_err(|failure| failure.to_string())?;
    let is_picture = image::guess_format(&file).is_ok();
    Ok(Content { hash: Sha256::digest(file).into(), is_picture })
}

/// The file at `path`, of at most so many bytes, if it is what has this hash.
fn file(path: &Path, content: &Key, most: u64) -> Result<Vec<u8>, String> {
    let file = read_file(path, most).map_err(|failure| failure.to_string())?;
    match Key::from(Sha256::digest(&file)) == *content {
        true => Ok(file),
        false => Err("it has changed since the training began".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::Folders;

    const LIMITS: Limits = Limits { bytes: 9, pixels: 1 << 20, memory: 1 << 24 };

    /// Each with a photo of a class.
    fn photos(root: &Path) -> Photos {
        for class in ["shirts", "tops"] {
            fs::create_dir(root.join(class)).unwrap();
            fs::write(root.join(class).join("1.jpg"), class).unwrap();
        }
        Photos::find(&Folders { data: vec![root.into()], ..Folders::default() }, &root.join("run")).unwrap()
    }

    fn read(photos: &Photos) -> Contents {
        Contents::read(photos, LIMITS, 2, &mut |_| true).unwrap()
    }

    #[test]
    fn who_stops_the_reading_waits_for_no_photo() {
        let root = tempfile::tempdir().unwrap();
        let (photos, mut heard) = (photos(root.path()), Vec::new());
        let stopped = Contents::read(&photos, LIMITS, 2, &mut |progress| {
            heard.push(progress);
            false
        });
        assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
        assert_eq!(heard, [Progress::Count { what: What::Read, done: 0, of: 2 }]);
    }

    #[test]
    fn a_photo_that_changes_is_no_photo_any_more() {
        let root = tempfile::tempdir().unwrap();
        let photos = photos(root.path());
        let contents = read(&photos);
        assert_eq!(contents.file(&photos, 1).unwrap(), b"tops");
        fs::write(&photos.all[1].path, "shoes").unwrap();
        assert!(contents.file(&photos, 1).unwrap_err().contains("has changed"));
        assert_eq!(contents.file(&photos, 0).unwrap(), b"shirts");
    }

    #[test]
    fn what_is_no_file_or_too_large_a_one_is_not_read() {
        let root = tempfile::tempdir().unwrap();
        let photos = photos(root.path());
        fs::write(&photos.all[0].path, [0; 10]).unwrap();
        fs::remove_file(&photos.all[1].path).unwrap();
        assert!(Command::new("mkfifo").arg(&photos.all[1].path).status().unwrap().success());
        let contents = read(&photos);
        assert_eq!([contents.of(0), contents.of(1)], [None, None]);
        let why = |photo| contents.file(&photos, photo).unwrap_err();
        assert!(why(0).contains("at most 9") && why(1).contains("not a file"), "{} {}", why(0), why(1));
    }
}
