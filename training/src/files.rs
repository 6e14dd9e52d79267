use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::Error;

/// Takes the file, which is created with its folder and may be read and written, as long as what is returned lives.
pub(crate) fn lock(path: &Path) -> Result<File, Error> {
    let failed = |cause| Error::File { path: path.to_owned(), cause };
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::InUse(path.to_owned())),
        Err(fs::TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

/// Writes a file that appears when it is whole, and after what was written before; its folder is created.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let failed = |cause| Error::File { path: path.to_owned(), cause };
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(failed)?;
    let temporary = path.with_extension("tmp");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let appeared = written.and_then(|()| fs::rename(&temporary, path));
    appeared.and_then(|()| File::open(folder)?.sync_all()).map_err(failed)
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
