//! Files are opened by path, not through `object_store`: its paths can't express names that aren't UTF-8.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use autorma_schemas::Reason;
use autorma_service::{Shutdown, files};

use super::Trouble;
use super::readers::Readers;
use super::roots::Roots;
use crate::Failure;
use crate::decode::too_many_bytes;

/// The content of a file below one of the roots.
pub(super) fn read(
    path: PathBuf,
    roots: &Roots<'_>,
    max_bytes: u64,
    (readers, over): (&Readers, &Shutdown),
) -> Result<Vec<u8>, Trouble> {
    let path = readers.unless_over(over, move || path.canonicalize()).ok_or(Trouble::Over)??;
    if !roots.are_above(&path, (readers, over))? {
        let message = format!("{} is not below an allowed root (classifier.roots)", path.display());
        return Err(Failure::new(Reason::ForbiddenReference, message).into());
    }
    readers.unless_over(over, move || content(&path, max_bytes)).ok_or(Trouble::Over)?
}

/// The content of a file of at most so many bytes, wherever it is; the classifier itself reads only below its roots.
pub fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Failure> {
    content(path, max_bytes).map_err(|trouble| match trouble {
        Trouble::Passing(error) => Failure::new(Reason::Unreadable, error.to_string()),
        Trouble::Lasting(failure) => failure,
        // Nothing here asks the log or hears of an end; it would be no reason to read on.
        Trouble::Log(error) => Failure::new(Reason::Unreadable, error.to_string()),
        Trouble::Over => Failure::new(Reason::Unreadable, "nobody waits for it"),
    })
}

fn content(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Trouble> {
    // Before it is opened: for a device, or for who writes to a pipe, that does something.
    expect_file(&fs::metadata(path)?)?;
    let file = files::open(path)?;
    let metadata = file.metadata()?;
    expect_file(&metadata)?;
    if metadata.len() > max_bytes {
        return Err(too_many_bytes(metadata.len(), max_bytes).into());
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_many_bytes(bytes.len() as u64, max_bytes).into());
    }
    Ok(bytes)
}

fn expect_file(metadata: &Metadata) -> Result<(), Failure> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(Failure::new(Reason::Unreadable, "not a file")),
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied};
        match error.kind() {
            NotFound | NotADirectory => Failure::new(Reason::Missing, error.to_string()).into(),
            PermissionDenied | IsADirectory | InvalidInput => {
                Failure::new(Reason::Unreadable, error.to_string()).into()
            }
            _ => Trouble::Passing(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;
    use autorma_stream::embedded::Embedded;

    fn reason(path: &Path, root: &Path) -> Option<Reason> {
        let log = Embedded::in_memory().unwrap();
        let (readers, over) = (Readers::default(), Shutdown::new());
        match read(path.to_owned(), &Roots::new(&[root.to_owned()], &log), 10, (&readers, &over)) {
            Err(Trouble::Lasting(failure)) => Some(failure.reason),
            _ => None,
        }
    }

    #[test]
    fn only_files_below_a_root_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let [inside, outside] = ["in", "out"].map(|name| folder.path().join(name));
        fs::create_dir(&inside).unwrap();
        for path in [inside.join("a.jpg"), outside.clone()] {
            fs::write(path, b"0123456789").unwrap();
        }
        symlink(&outside, inside.join("link.jpg")).unwrap();
        fs::write(inside.join("large.jpg"), b"0123456789+").unwrap();
        assert_eq!(reason(&inside.join("a.jpg"), &inside), None);
        assert_eq!(reason(&inside.join("../out"), &inside), Some(Reason::ForbiddenReference));
        assert_eq!(reason(&inside.join("link.jpg"), &inside), Some(Reason::ForbiddenReference));
        assert_eq!(reason(&inside.join("none.jpg"), &inside), Some(Reason::Missing));
        assert_eq!(reason(&inside.join("large.jpg"), &inside), Some(Reason::TooManyBytes));
        assert_eq!(reason(&inside, &inside), Some(Reason::Unreadable));
    }

    /// Between the look at a path and its opening, too.
    #[test]
    fn a_pipe_in_a_file_s_place_is_waited_for_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let [file, pipe, next, photo] =
            ["file", "pipe", "next", "photo.jpg"].map(|name| folder.path().join(name));
        fs::write(&file, b"photo").unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(reason(&pipe, folder.path()), Some(Reason::Unreadable));
        let put = |it: &Path| {
            symlink(it, &next).unwrap();
            fs::rename(&next, &photo).unwrap();
        };
        put(&file);
        let path = photo.clone();
        let read = move || (0..5000).map(|_| read_file(&path, 10)).collect::<Vec<_>>();
        let reading = std::thread::spawn(read);
        let begun = Instant::now();
        while !reading.is_finished() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it waits for who writes to the pipe");
            put(&pipe);
            put(&file);
        }
        for read in reading.join().unwrap() {
            match read {
                Ok(bytes) => assert_eq!(bytes, b"photo"),
                Err(failure) => assert_eq!(failure.message, "not a file"),
            }
        }
    }
}
