use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::Error;
use crate::error::at;

/// Takes the file, which is created with its folder and may be read and written, as long as what is returned lives.
pub(crate) fn lock(path: &Path) -> Result<File, Error> {
    at(path, autorma_durable::create(path.parent().unwrap_or(path)))?;
    let mut options = File::options();
    let file = at(path, options.read(true).write(true).create(true).truncate(false).open(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::InUse(path.to_owned())),
        Err(fs::TryLockError::Error(cause)) => at(path, Err(cause)),
    }
}

/// Writes a file that appears when it is whole, and after what was written before; its folder is created.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    prepare(path, content)?;
    appear(path)
}

/// Writes all of a file without its appearing: what takes room on the disk.
pub(crate) fn prepare(path: &Path, content: &[u8]) -> Result<(), Error> {
    at(path, autorma_durable::create(path.parent().unwrap_or(path)))?;
    at(path, autorma_durable::put(&temporary(path), content))
}

/// Lets a file appear that was prepared.
pub(crate) fn appear(path: &Path) -> Result<(), Error> {
    at(path, autorma_durable::rename(&temporary(path), path))
}

fn temporary(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

/// Removes a file, if there is one, before what is written after.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    at(path, autorma_durable::remove(path))
}

/// Where the path leads, as far as something is there already.
pub(crate) fn meant(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there =
        path.ancestors().find_map(|above| Some((above.canonicalize().ok()?, path.strip_prefix(above).ok()?)));
    Ok(match there {
        // What isn't there can't be gone back from.
        Some((above, rest)) if !rest.components().any(|it| it == Component::ParentDir) => above.join(rest),
        _ => path,
    })
}

#[cfg(test)]
mod tests {
    use super::lock;
    use crate::Error;

    #[test]
    fn only_one_trains_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training").join("lock");
        let held = lock(&path).unwrap();
        assert!(matches!(lock(&path), Err(Error::InUse(_))));
        drop(held);
        lock(&path).unwrap();
    }
}
