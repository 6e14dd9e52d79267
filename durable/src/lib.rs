//! Files that stay when the power fails, with the folders above them.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Makes a folder and all above it.
pub fn create(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    // Above the first name of a relative path is the current folder, which has no name here.
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        create(above)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }?;
    sync_around(folder)
}

/// Writes a file that nobody looks at yet. What can't be written whole is removed: the disk may be full.
pub fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    File::create(path).and_then(|file| fill(file, content)).inspect_err(|_| drop(fs::remove_file(path)))
}

/// Writes the content of a new file.
pub fn fill(mut file: File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.sync_all()
}

/// Gives what is on the disk already another name.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_around(to)
}

/// Removes a file, if there is one.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_around(path)),
    }
}

/// What is in a folder has the names that it has now.
pub fn sync(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

fn sync_around(path: &Path) -> io::Result<()> {
    sync(path.parent().unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    // What is synced, and when, is tested with the whole program: `e2e/tests/power.rs`.

    #[test]
    fn what_is_there_already_is_made_and_what_is_gone_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (deep, file) = (folder.path().join("a/b"), folder.path().join("a/b/file"));
        for _ in 0..2 {
            create(&deep).unwrap();
        }
        put(&file, b"content").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"content");
        for _ in 0..2 {
            remove(&file).unwrap();
        }
        assert!(!file.exists());
        let in_the_way = folder.path().join("file");
        put(&in_the_way, b"").unwrap();
        assert_eq!(create(&in_the_way.join("a")).unwrap_err().kind(), ErrorKind::NotADirectory);
    }

    #[test]
    fn what_cannot_be_written_whole_is_not_there() {
        let full = Path::new("/dev/full");
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(full, &link).unwrap();
        assert_eq!(put(&link, b"content").unwrap_err().kind(), ErrorKind::StorageFull);
        assert!(fs::symlink_metadata(&link).is_err() && full.exists());
    }
}
