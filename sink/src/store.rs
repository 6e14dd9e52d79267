mod upload;

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use autorma_stream::Disposition;
use autorma_stream::retry::{Backoff, retry};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::{Builder, Runtime};

use crate::Error;
pub(crate) use upload::Upload;

/// What may pass, like an error of a network file system, is tried again for about three seconds.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(1), attempts: 6 };

/// The output folder. Paths are relative to it.
///
/// What `put` and an upload have returned from is durable and was never to be seen half-written: `object_store` 0.14
/// (`local.rs`: `new_staged_upload`, `finish_staged_rename`, `create_parent_dirs`) writes `<name>#<n>`, fsyncs it,
/// renames it, and fsyncs the folder and every folder that it had to create. It doesn't fsync after a removal.
#[derive(Debug)]
pub(crate) struct Store {
    /// Without links, for these may lead elsewhere later.
    output: PathBuf,
    /// Which folder that was when it was opened.
    identity: (u64, u64),
    files: LocalFileSystem,
    /// For `object_store` alone: its local files are blocking calls that it sends to a thread.
    runtime: Runtime,
    /// Bytes that were read from files.
    read: Cell<u64>,
}

impl Store {
    /// Opens the folder. One that isn't there isn't made: it may have been moved away, and its lock with it.
    pub(crate) fn open(output: &Path) -> Result<Self, Error> {
        let place = output.display().to_string();
        let failed = |error: io::Error| Error::at(&*place, &error);
        let output = output.canonicalize().map_err(failed)?;
        let identity = identity(&output).map_err(failed)?;
        let files = LocalFileSystem::new_with_prefix(&output).map_err(|error| Error::at(&*place, &error))?;
        let files = files.with_fsync(true).with_automatic_cleanup(true);
        let runtime = Builder::new_current_thread().build().map_err(Error::Runtime)?;
        Ok(Self { output, identity, files, runtime, read: Cell::new(0) })
    }

    /// The folder itself, without links.
    pub(crate) fn output(&self) -> &Path {
        &self.output
    }

    /// A file's path, for people.
    pub(crate) fn place(&self, path: &str) -> String {
        self.output.join(path).display().to_string()
    }

    /// Writes a file, durably and all at once. One that exists is replaced.
    pub(crate) fn put(&self, path: &str, content: Vec<u8>) -> Result<(), Error> {
        let (location, content) = (Location::from(path), PutPayload::from(content));
        self.persist(|| {
            self.expect_in_place()?;
            let put = self.files.put(&location, content.clone());
            self.runtime.block_on(put).map_err(|error| Error::at(self.place(path), &error))?;
            Ok(())
        })
    }

    /// Writes a file piece by piece, so that it needn't fit in memory; it appears when it is whole. `write` is called
    /// again if writing failed.
    pub(crate) fn stream(
        &self,
        path: &str,
        mut write: impl FnMut(&mut Upload<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.persist(|| {
            self.expect_in_place()?;
            let failed = |error| Error::at(self.place(path), &error);
            let location = Location::from(path);
            let upload = self.runtime.block_on(self.files.put_multipart(&location)).map_err(failed)?;
            let mut upload = Upload::new(self, path, upload);
            // An upload that is dropped removes its temporary file.
            write(&mut upload)?;
            upload.complete()
        })
    }

    /// A file's content, if there is the file.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Bytes>, Error> {
        let location = Location::from(path);
        let content = self.persist(|| {
            let get = async { self.files.get(&location).await?.bytes().await };
            self.found(path, self.runtime.block_on(get))
        })?;
        content.iter().for_each(|content| self.count(content));
        Ok(content)
    }

    /// Pieces of a file, if there is the file. What isn't asked for isn't read.
    pub(crate) fn get_ranges(
        &self,
        path: &str,
        ranges: &[Range<usize>],
    ) -> Result<Option<Vec<Bytes>>, Error> {
        let location = Location::from(path);
        let ranges: Vec<_> = ranges.iter().map(|range| range.start as u64..range.end as u64).collect();
        let pieces = self.runtime.block_on(self.files.get_ranges(&location, &ranges));
        let pieces = self.found(path, pieces)?;
        pieces.iter().flatten().for_each(|piece| self.count(piece));
        Ok(pieces)
    }

    fn found<T>(&self, path: &str, got: object_store::Result<T>) -> Result<Option<T>, Error> {
        match got {
            Ok(content) => Ok(Some(content)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::at(self.place(path), &error)),
        }
    }

    fn count(&self, content: &Bytes) {
        self.read.set(self.read.get() + content.len() as u64);
    }

    /// How much was read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.get()
    }

    /// The files below a folder, in order; none if there is no such folder.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let mut paths = self.persist(|| {
            let listing = self.files.list(Some(&Location::from(folder)));
            let paths = listing.map_ok(|file| file.location.to_string()).try_collect::<Vec<_>>();
            self.runtime.block_on(paths).map_err(|error| Error::at(self.place(folder), &error))
        })?;
        paths.sort_unstable();
        Ok(paths)
    }

    /// Removes files, and the folders that become empty. What isn't there is fine.
    pub(crate) fn remove(&self, paths: &[String]) -> Result<(), Error> {
        self.persist(|| {
            let locations = futures::stream::iter(paths.to_vec()).map(|path| Ok(Location::from(path)));
            let mut removals = self.files.delete_stream(locations.boxed());
            self.runtime.block_on(async {
                while let Some(removed) = removals.next().await {
                    match removed {
                        Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                        Err(error) => return Err(Error::at(self.output.display().to_string(), &error)),
                    }
                }
                Ok(())
            })
        })
    }

    /// An error if the folder was moved away: a file that is written would make another one at its old place.
    fn expect_in_place(&self) -> Result<(), Error> {
        let is_there = match identity(&self.output) {
            Ok(identity) => identity == self.identity,
            // What else is wrong is found out by writing.
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        };
        let cause = "it was moved, removed or replaced while it was in use";
        let gone = || Error::Output { place: self.output.display().to_string(), cause: cause.into() };
        if is_there { Ok(()) } else { Err(gone()) }
    }

    /// Tries again what may pass. A full disk doesn't.
    fn persist<T>(&self, attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        let disposition = |error: &Error| match error {
            Error::Output { .. } | Error::Forbidden { .. } | Error::OutOfFiles { .. } => {
                Disposition::Transient
            }
            _ => Disposition::Fatal,
        };
        let pause = |error: &Error, pause: Duration| {
            tracing::warn!(?pause, %error, "the output folder fails: trying again");
            std::thread::sleep(pause);
            true
        };
        retry(BACKOFF, disposition, pause, attempt)
    }
}

/// Which folder it is, whatever its path: device and number.
fn identity(folder: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::metadata(folder)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Creates the output folder, and the hidden one in it, so that they are there after a power cut, for the results are all
/// that is left of a finished run. It is to be called before a lock is taken in there: that would create them, too, and see
/// to nothing.
pub fn create_output(output: &Path) -> Result<(), Error> {
    autorma_durable::create(&output.join(".autorma"))
        .map_err(|error| Error::at(output.display().to_string(), &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// As where a network's file system is away for a moment.
    #[test]
    fn what_can_not_be_read_is_tried_again_for_a_while() {
        let output = tempfile::tempdir().unwrap();
        let store = Store::open(output.path()).unwrap();
        // Nobody can open a link to itself.
        std::os::unix::fs::symlink("loop", output.path().join("loop")).unwrap();
        let begun = Instant::now();
        assert!(matches!(store.get("loop"), Err(Error::Output { .. })));
        assert!(begun.elapsed() >= BACKOFF.longest, "{:?}", begun.elapsed());
    }

    #[test]
    fn where_a_link_led_when_it_was_opened_all_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let [link, here, there] = ["link", "here", "there"].map(|name| folder.join(name));
        [&here, &there].into_iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
        std::os::unix::fs::symlink(&here, &link).unwrap();
        let store = Store::open(&link).unwrap();
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&there, &link).unwrap();
        store.put("file", Vec::new()).unwrap();
        assert_eq!(store.place("file"), here.join("file").display().to_string());
        assert!(here.join("file").exists() && store.output() == here);
    }
}
