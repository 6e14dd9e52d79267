use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::Error;

/// Whether files beside the log can't grow for want of space: found out by trying.
pub(super) fn is_full(log: &Path) -> bool {
    let mut probe = log.as_os_str().to_owned();
    probe.push(format!("-probe-{}", std::process::id()));
    let tried = File::create(&probe).and_then(|mut file| {
        file.write_all(&[1; 64 << 10])?;
        file.sync_data()
    });
    // Where it couldn't be created there is nothing to remove.
    drop(fs::remove_file(&probe));
    tried.is_err_and(|error| is_no_space(&error))
}

/// What an error of the file system beside the log means for it.
pub(super) fn error(cause: &io::Error, log: &Path) -> Error {
    let (place, text) = (log.display().to_string(), cause.to_string());
    if is_no_space(cause) {
        Error::DiskFull { place, cause: text }
    } else {
        Error::Storage { place, cause: text }
    }
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
