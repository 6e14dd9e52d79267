use std::io;

use autorma_service::files::is_out_of_files;
use autorma_stream::TopicPartition;

/// Why the stage stops. Nothing is lost: what isn't in the manifest is read again by the next start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] autorma_stream::Error),
    /// The output folder can't be created, read or written.
    #[error("the output folder {place}: {cause}; mend it and start again: nothing was lost")]
    Output {
        /// The folder, or the file in it.
        place: String,
        /// What the system said.
        cause: String,
    },
    /// This user may not do that there.
    #[error(
        "the output folder {place}: {cause}; it, or what is in it, may belong to another user, as whom autorma has run here: \
         give all of it to this user, and start again; nothing was lost"
    )]
    Forbidden {
        /// The folder, or the file in it.
        place: String,
        /// What the system said.
        cause: String,
    },
    /// The disk is full.
    #[error("no space left for {place}: free some and start again; nothing was lost ({cause})")]
    DiskFull {
        /// The file that had no room.
        place: String,
        /// What the system said.
        cause: String,
    },
    /// A file would be larger than any may be.
    #[error(
        "{place} may grow no more: allow larger files (ulimit -f) and start again; nothing was lost ({cause})"
    )]
    TooLarge {
        /// The file.
        place: String,
        /// What the system said.
        cause: String,
    },
    /// The system gives this process no more files, which is no folder's fault.
    #[error(
        "no more files can be opened for {place}: allow the process more (ulimit -n); nothing was lost ({cause})"
    )]
    OutOfFiles {
        /// The file or folder.
        place: String,
        /// What the system said.
        cause: String,
    },
    /// One of the sink's own files isn't what it wrote.
    #[error("{place} can't be read back: {cause}; {remedy}")]
    Unreadable {
        /// The file.
        place: String,
        /// What is wrong with it.
        cause: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Parts of a run have been removed from the output folder by somebody else.
    #[error(
        "files of run {run_id} have vanished from {place}, which the sink needs until the run is finished: start again, \
         and what they held is read anew from the log"
    )]
    PartsMissing {
        /// The run.
        run_id: String,
        /// Where its parts should be.
        place: String,
    },
    /// A newer version of autorma wrote to the log.
    #[error("record {offset} of {at} is of a newer autorma: start that one; nothing was lost")]
    Newer {
        /// The partition.
        at: TopicPartition,
        /// The record's offset.
        offset: i64,
    },
    /// The system gave no thread.
    #[error("no runtime could be started: {0}")]
    Runtime(io::Error),
}

impl Error {
    /// What a failure at a file or folder means.
    pub(crate) fn at(place: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        let (place, cause) = (place.into(), error.to_string());
        if says(error, is_full) {
            Error::DiskFull { place, cause }
        } else if says(error, is_too_large) {
            Error::TooLarge { place, cause }
        } else if says(error, is_out_of_files) {
            Error::OutOfFiles { place, cause }
        } else if says(error, is_forbidden) {
            Error::Forbidden { place, cause }
        } else {
            Error::Output { place, cause }
        }
    }
}

/// Whether an error, or what it came from, is such a one of the system.
fn says(error: &(dyn std::error::Error + 'static), is_such: fn(&io::Error) -> bool) -> bool {
    let says_so =
        |error: &io::Error| is_such(error) || error.get_ref().is_some_and(|inner| says(inner, is_such));
    let is_one = error.downcast_ref::<io::Error>().is_some_and(says_so);
    is_one || error.source().is_some_and(|source| says(source, is_such))
}

/// Whether there is no space left, or none left within the quota.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

fn is_too_large(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("unable to copy data to file")]
    struct Wrapped {
        source: io::Error,
    }

    #[test]
    fn what_the_system_lacks_is_found_under_other_errors() {
        for code in [13, 24, 27, 28] {
            let is_told = |told: &Error| match told {
                Error::OutOfFiles { .. } => code == 24,
                Error::TooLarge { .. } => code == 27 && told.to_string().contains("ulimit -f"),
                Error::DiskFull { .. } => code == 28,
                Error::Forbidden { .. } => code == 13,
                _ => false,
            };
            let error = || io::Error::from_raw_os_error(code);
            let wrapped = || Wrapped { source: error() };
            for error in [error(), io::Error::other(wrapped()), io::Error::other(error())] {
                assert!(is_told(&Error::at("x", &error)), "{error:?}");
            }
            let store = object_store::Error::Generic { store: "x", source: Box::new(wrapped()) };
            assert!(is_told(&Error::at("x", &store)), "{store:?}");
        }
        let gone = io::Error::from(io::ErrorKind::NotFound);
        assert!(matches!(Error::at("x", &gone), Error::Output { .. }));
    }
}
