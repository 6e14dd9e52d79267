//! From an image event to the bytes that it was made for.

mod file;
mod object;
mod readers;
mod roots;
mod store;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use autorma_schemas::{ImageEvent, Reason, file_path, sha256};
use autorma_service::Shutdown;
use autorma_service::files::is_out_of_files;
use autorma_stream::{Error as LogError, Log};

use crate::decode::too_many_bytes;
use crate::{Error, Failure};
use object::Objects;
use readers::Readers;
use roots::Roots;

pub use file::read_file;
pub use object::StoreError;
pub use roots::{is_below, published_folders};

/// Gets the bytes of image events: inline ones, files below the allowed roots, objects of the allowed stores.
#[derive(Debug)]
pub(crate) struct Fetcher<'a> {
    roots: Roots<'a>,
    objects: Arc<Objects>,
    readers: Readers,
    max_bytes: u64,
}

/// Why bytes can't be had now.
#[derive(Debug)]
enum Trouble {
    Passing(io::Error),
    Lasting(Failure),
    /// The log, which is to say what may be read, can't be asked.
    Log(LogError),
    /// The stage is over, and nobody waits for them any more.
    Over,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Lasting(failure)
    }
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        Trouble::Log(error)
    }
}

/// How often reading is tried again that failed in a way that may pass.
const ATTEMPTS: u32 = 3;

impl<'a> Fetcher<'a> {
    /// `stores` are URLs that references may begin with; without `roots`, files may be below the folders that ingest
    /// has published from.
    pub(crate) fn new(
        roots: &[PathBuf],
        stores: &[String],
        max_bytes: u64,
        log: &'a dyn Log,
    ) -> Result<Self, StoreError> {
        let (roots, objects) = (Roots::new(roots, log), Arc::new(Objects::open(stores)?));
        Ok(Self { roots, objects, readers: Readers::default(), max_bytes })
    }

    /// The event's bytes, which are those that it was made for: length and SHA-256 are checked. What is inline is taken out
    /// of the event. None where it is `over` before they are there: they may never come. The outer error is the log's, or
    /// that there are no files left, and not this image's fault.
    pub(crate) fn fetch(
        &self,
        event: &mut ImageEvent,
        over: &Shutdown,
    ) -> Result<Option<Result<Vec<u8>, Failure>>, Error> {
        Ok(match (event.bytes.take(), &event.uri) {
            (Some(bytes), _) if bytes.len() as u64 > self.max_bytes => {
                Some(Err(too_many_bytes(bytes.len() as u64, self.max_bytes)))
            }
            (Some(bytes), _) => {
                Some(meant(event, bytes, Reason::InvalidEvent, "the bytes in the event have"))
            }
            (None, Some(uri)) => {
                let found = |bytes| meant(event, bytes, Reason::ContentChanged, "the content has by now");
                self.dereference(uri, over)?.map(|bytes| bytes.and_then(found))
            }
            (None, None) => {
                let message = "the event has neither bytes nor a reference";
                Some(Err(Failure::new(Reason::InvalidEvent, message)))
            }
        })
    }

    /// None where it is over before that.
    fn dereference(&self, uri: &str, over: &Shutdown) -> Result<Option<Result<Vec<u8>, Failure>>, Error> {
        let mut failed = 0;
        loop {
            match self.read(uri, over) {
                Err(Trouble::Passing(error)) if failed < ATTEMPTS => {
                    failed += 1;
                    tracing::debug!(%error, uri, failed, "reading again");
                    std::thread::sleep(Duration::from_millis(50 << failed));
                }
                Err(Trouble::Passing(error)) if is_out_of_files(&error) => {
                    return Err(Error::OutOfFiles(error));
                }
                Err(Trouble::Passing(error)) => {
                    return Ok(Some(Err(Failure::new(Reason::Unreadable, error.to_string()))));
                }
                Err(Trouble::Lasting(failure)) => return Ok(Some(Err(failure))),
                Err(Trouble::Log(error)) => return Err(error.into()),
                Err(Trouble::Over) => return Ok(None),
                Ok(bytes) => return Ok(Some(Ok(bytes))),
            }
        }
    }

    fn read(&self, uri: &str, over: &Shutdown) -> Result<Vec<u8>, Trouble> {
        let Some(path) = file_path(uri) else {
            let (objects, uri, most) = (Arc::clone(&self.objects), uri.to_owned(), self.max_bytes);
            let read = self.readers.unless_over(over, move || objects.read(&uri, most));
            return read.ok_or(Trouble::Over)?;
        };
        file::read(path, &self.roots, self.max_bytes, (&self.readers, over))
    }
}

/// The bytes, if they are those that the event was made for; if not, the reason with what it is that differs.
fn meant(event: &ImageEvent, bytes: Vec<u8>, reason: Reason, what: &str) -> Result<Vec<u8>, Failure> {
    let found = sha256(&bytes);
    if event.sha256.eq_ignore_ascii_case(&found) {
        return Ok(bytes);
    }
    Err(Failure::new(reason, format!("{what} the sha-256 {found}, not {}", event.sha256)))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use autorma_schemas::file_url;
    use autorma_stream::embedded::Embedded;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    const CHILD: &str = "FETCH_TEST_CHILD";

    /// In a process of its own, called by the test below: other tests need files.
    #[test]
    fn a_child_that_gets_no_more_files() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let photo = folder.path().join("a.jpg");
        std::fs::write(&photo, b"photo").unwrap();
        let log = Embedded::in_memory().unwrap();
        let fetcher = Fetcher::new(&[folder.path().to_owned()], &[], 10, &log).unwrap();
        let before = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: before.maximum }).unwrap();
        let read = fetcher.dereference(&file_url(&photo), &Shutdown::new());
        setrlimit(Resource::Nofile, before).unwrap();
        assert!(matches!(read, Err(Error::OutOfFiles(_))), "{read:?}");
        println!("\nno dead letter");
    }

    #[test]
    fn a_photo_that_no_file_is_left_for_is_no_dead_letter() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "fetch::tests::a_child_that_gets_no_more_files", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("no dead letter"), "{said}");
    }
}
