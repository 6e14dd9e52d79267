//! Files that others write, and put in each other's place, while they are read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Opens it to be read. What was a file a moment ago may be a named pipe by now, and is opened without waiting for its
/// writer. Reads of a file are the same.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
}

/// Whether the system gives no more files to this process, or to any: that says nothing about the one that was asked for.
pub fn is_out_of_files(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_no_more_files_can_be_opened_is_no_files_fault() {
        let is_out = |errno: Errno| is_out_of_files(&errno.into());
        assert!(is_out(Errno::MFILE) && is_out(Errno::NFILE) && !is_out(Errno::ACCESS));
    }
}
