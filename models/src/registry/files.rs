use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::RegistryError;

/// How long who waits for another writer says nothing, and how often it looks.
const SILENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);

/// Writes a file that appears when it is whole. Its folder is there.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), RegistryError> {
    let temporary = path.with_extension("tmp");
    put(&temporary, content)?;
    rename(&temporary, path)
}

/// [`autorma_durable::put`].
pub(super) fn put(path: &Path, content: &[u8]) -> Result<(), RegistryError> {
    at(path, autorma_durable::put(path, content))
}

/// [`autorma_durable::rename`], to a name that nobody has.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), RegistryError> {
    at(to, autorma_durable::rename(from, to))
}

/// [`autorma_durable::create`].
pub(super) fn create(folder: &Path) -> Result<(), RegistryError> {
    at(folder, autorma_durable::create(folder))
}

/// [`autorma_durable::sync`].
pub(super) fn sync(folder: &Path) -> Result<(), RegistryError> {
    at(folder, autorma_durable::sync(folder))
}

/// Waits until nobody else has the file locked, which is created; others wait until what is returned is dropped.
pub(super) fn lock(path: &Path) -> Result<File, RegistryError> {
    let file = at(path, lockable(path))?;
    at(path, file.lock())?;
    Ok(file)
}

/// The same for who says that it waits, and waits no longer than that: who writes may hang, or be stopped.
pub(super) fn lock_within(path: &Path, patience: Duration) -> Result<File, RegistryError> {
    let (file, begun) = (at(path, lockable(path))?, Instant::now());
    let mut is_told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(cause)) => return at(path, Err(cause)),
            Err(TryLockError::WouldBlock) => {}
        }
        let waited = begun.elapsed();
        if waited >= patience {
            return Err(RegistryError::Locked { path: path.to_owned(), waited: patience });
        }
        if waited >= SILENCE && !is_told {
            is_told = true;
            tracing::warn!(lock = ?path, "another command is writing to the registry; waiting");
        }
        std::thread::sleep(LOOK);
    }
}

/// A file to be locked, which is created.
pub(super) fn lockable(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// Removes a folder with all that is in it, if it is there.
pub(super) fn remove(folder: &Path) -> Result<(), RegistryError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => at(folder, removed),
    }
}

/// The names in a folder, in order; none if it isn't there.
pub(super) fn list(folder: &Path) -> Result<Vec<String>, RegistryError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => at(folder, entries)?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names: Vec<_> = at(folder, names.collect::<io::Result<_>>())?;
    let mut names: Vec<_> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    Ok(names)
}

pub(super) fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, RegistryError> {
    result.map_err(|cause| RegistryError::File { path: path.to_owned(), cause })
}
