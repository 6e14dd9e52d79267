//! Files that others write, and put in each other's place, while they are read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub use autorma_stream::is_out_of_files;
use rustix::fs::OFlags;

/// Opens it to be read. What was a file a moment ago may be a named pipe by now, and is opened without waiting for its
/// writer. Reads of a file are the same.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
}
