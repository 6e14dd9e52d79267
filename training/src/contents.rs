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

    /// Of the photo of this number; None if it can't be read.
    pub(crate) fn of(&self, photo: usize) -> Option<Key> {
        self.0[photo]
    }
}
