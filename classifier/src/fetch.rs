use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use autorma_schemas::{ImageEvent, Reason, sha256};
use percent_encoding::percent_decode_str;

use crate::Failure;
use crate::decode::too_many_bytes;

/// Gets the bytes of image events: inline ones, files below the allowed roots, objects of a store.
#[derive(Debug)]
pub(crate) struct Fetcher {
    /// Canonical.
    roots: Vec<PathBuf>,
    max_bytes: u64,
}

/// How often reading a file is tried again that failed in a way that may pass.
const ATTEMPTS: u32 = 3;

impl Fetcher {
    /// Roots that don't exist allow nothing.
    pub(crate) fn new(roots: &[PathBuf], max_bytes: u64) -> Self {
        let canonical = |root: &PathBuf| root.canonicalize();
        Self { roots: roots.iter().filter_map(|root| canonical(root).ok()).collect(), max_bytes }
    }

    /// The event's bytes, which are those that it was made for: length and SHA-256 are checked.
    pub(crate) fn fetch(&self, event: &ImageEvent) -> Result<Vec<u8>, Failure> {
        let bytes = match (&event.bytes, &event.uri) {
            (Some(bytes), _) if bytes.len() as u64 > self.max_bytes => {
                return Err(too_many_bytes(bytes.len() as u64, self.max_bytes));
            }
            (Some(bytes), _) => bytes.clone(),
            (None, Some(uri)) => self.dereference(uri)?,
            (None, None) => {
                return Err(Failure::new(
                    Reason::InvalidEvent,
                    "the event has neither bytes nor a reference",
                ));
            }
        };
        let found = sha256(&bytes);
        if event.sha256.eq_ignore_ascii_case(&found) {
            return Ok(bytes);
        }
        let (reason, what) = match event.bytes {
            Some(_) => (Reason::InvalidEvent, "the bytes in the event have"),
            None => (Reason::ContentChanged, "the content has by now"),
        };
        Err(Failure::new(reason, format!("{what} the sha-256 {found}, not {}", event.sha256)))
    }

    fn dereference(&self, uri: &str) -> Result<Vec<u8>, Failure> {
        let Some(path) = uri.strip_prefix("file://") else {
            let scheme = uri.split(':').next().unwrap_or_default();
            let message = format!("references of the scheme {scheme:?} aren't allowed; file:// is");
            return Err(Failure::new(Reason::ForbiddenReference, message));
        };
        let path = PathBuf::from(OsString::from_vec(percent_decode_str(path).collect()));
        let mut failed = 0;
        loop {
            match self.read(&path) {
                Err(Trouble::Passing(error)) if failed < ATTEMPTS => {
                    failed += 1;
                    tracing::debug!(%error, ?path, failed, "reading again");
                    std::thread::sleep(std::time::Duration::from_millis(50 << failed));
                }
                Err(Trouble::Passing(error)) => {
                    return Err(Failure::new(Reason::Unreadable, error.to_string()));
                }
                Err(Trouble::Lasting(failure)) => return Err(failure),
                Ok(bytes) => return Ok(bytes),
            }
        }
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Trouble> {
        let path = path.canonicalize()?;
        if !self.roots.iter().any(|root| path.starts_with(root)) {
            let message = format!("{} is not below an allowed root (classifier.roots)", path.display());
            return Err(Failure::new(Reason::ForbiddenReference, message).into());
        }
        // Before opening: to open a named pipe waits for its writer.
        let metadata = fs::metadata(&path)?;
        if !metadata.is_file() {
            return Err(Failure::new(Reason::Unreadable, "not a file").into());
        }
        if metadata.len() > self.max_bytes {
            return Err(too_many_bytes(metadata.len(), self.max_bytes).into());
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
        fs::File::open(&path)?.take(self.max_bytes + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > self.max_bytes {
            return Err(too_many_bytes(bytes.len() as u64, self.max_bytes).into());
        }
        Ok(bytes)
    }
}

/// Why a file can't be read now.
enum Trouble {
    Passing(io::Error),
    Lasting(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Lasting(failure)
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
