use std::io;
use std::path::PathBuf;

use autorma_schemas::{DecodeError, readable};

/// Why the stage stops. What wasn't committed is found again by the next start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing at the input's path.
    #[error("the input folder {} doesn't exist: create it, or name another one with --input", .0.display())]
    InputMissing(PathBuf),
    /// What is there isn't a folder.
    #[error("the input {} isn't a folder: name the folder of the photos with --input", .0.display())]
    InputNotAFolder(PathBuf),
    /// The folder can't be read.
    #[error(
        "the input folder {} can't be read ({cause}): allow it to this user, or name another one with --input",
        path.display()
    )]
    InputUnreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The system gives this process no more files, which is no folder's fault.
    #[error("the process can't open more files: {0}; allow it more (ulimit -n)")]
    OutOfFiles(io::Error),
    /// It isn't there any more, or another folder is.
    #[error(
        "the input folder {} went away while it was read, or another one has come in its place: bring it back, and the same \
         command goes on",
        .0.display()
    )]
    InputGone(PathBuf),
    /// Its path, links resolved, isn't UTF-8, so no run could name it, and the classifier reads only where runs say.
    #[error(
        "the path of the input folder, {}, isn't UTF-8 (each \\x is a byte that isn't), so its runs couldn't name it: \
         rename what has that name, or mount the folder under another one (a link doesn't help: it is resolved)",
        readable(.0.as_os_str())
    )]
    InputNotUtf8(PathBuf),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] autorma_stream::Error),
    /// What ingest remembers can't be read; to go on without it would publish photos a second time.
    #[error(
        "what was published before can't be read (topic {topic}, partition {partition}, offset {offset}): {cause}; \
         was the log written by a newer autorma?"
    )]
    Memory {
        /// The topic.
        topic: String,
        /// The record's partition.
        partition: i32,
        /// Its offset there.
        offset: i64,
        /// What is wrong with it.
        cause: DecodeError,
    },
}
