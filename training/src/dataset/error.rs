use std::io;
use std::path::{Path, PathBuf};

use autorma_classifier::Failure;

use super::{Broken, Split};

/// Why a data set can't be prepared or checked.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file system.
    #[error("{path}: {cause}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A list of photos that can't be read.
    #[error("{path}: {cause}")]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Nothing in it.
    #[error(
        "there is no photo of a class in {0}: expected a folder for each class, like shirts/1.jpg, or Kaggle's styles.csv \
         and images/"
    )]
    Empty(PathBuf),
    /// Sides of a split that aren't named as sides are.
    #[error(transparent)]
    Misnamed(#[from] Misnamed),
    /// Nothing in it that can be decoded.
    #[error("of {found} photos in {path} none can be decoded; the first: {first}")]
    AllBroken {
        /// The folder.
        path: PathBuf,
        /// How many were looked at.
        found: usize,
        /// What is wrong with the first.
        first: String,
    },
    /// A column that isn't there.
    #[error("{path} has no column {column} to group by; it has {columns}")]
    NoColumn {
        /// The list.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// Those that there are.
        columns: String,
    },
    /// A column of a list that isn't there.
    #[error("to group by the column {column}, {path} must be there, with the columns path and {column}")]
    NoList {
        /// Where it should be.
        path: PathBuf,
        /// The column asked for.
        column: String,
    },
    /// What is read and what is written aren't apart.
    #[error(
        "{to} and {from} are within each other: the photos that are read stay as they are, so name another --to"
    )]
    Within {
        /// Where it was to be written.
        to: PathBuf,
        /// What is read.
        from: PathBuf,
    },
    /// Somebody else's folder.
    #[error(
        "{path} isn't a data set that was prepared here ({why}): name another --to, or replace it with --force"
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// What speaks against it.
        why: String,
    },
    /// A folder that can't be renamed.
    #[error(
        "a file system is mounted at {0}, so it can't be replaced by a data set: name a folder in it with --to"
    )]
    Mounted(PathBuf),
    /// Another process writes there.
    #[error("another process prepares {0} just now: wait for it")]
    Busy(PathBuf),
    /// A photo isn't any more what it was.
    #[error("{0} has changed while the data set was prepared: start it again when nobody writes there")]
    Changed(PathBuf),
    /// Somebody wanted a preparation to stop.
    #[error("stopped: nothing was written")]
    Stopped,
    /// Somebody wanted a check to stop.
    #[error("stopped")]
    Unchecked,
}

impl DatasetError {
    /// That none of so many photos can be decoded.
    pub(super) fn all_broken(folder: &Path, found: usize, first: &Broken) -> Self {
        let first = format!("{}: {}", first.path, first.message);
        Self::AllBroken { path: folder.to_owned(), found, first }
    }
}

/// Sides of a split that aren't named as sides are.
#[derive(Debug, thiserror::Error)]
#[error(
    "{folder} is named like a side of a split, and so is a folder beside it, but the sides are called train, val and \
     test: rename it to {side}; or, if it is none, to something else"
)]
pub struct Misnamed {
    /// The first of them.
    pub folder: PathBuf,
    /// What it seems to be.
    pub side: Split,
}

/// Says of which file the system speaks.
pub(super) fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, DatasetError> {
    result.map_err(|cause| DatasetError::File { path: path.to_owned(), cause })
}

/// Says which list can't be read.
pub(super) fn list(path: &Path, failure: &Failure) -> DatasetError {
    DatasetError::List { path: path.to_owned(), cause: failure.message.clone() }
}
