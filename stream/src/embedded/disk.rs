use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::{Error, is_out_of_files};

/// What it means that SQLite can't use a file. Where one can't be created or grow, it doesn't say why: that is found out
/// by trying.
pub(super) fn found_out(cause: String, log: &Path) -> Error {
    meaning(probe(log).err().as_ref(), cause, log)
}

/// What an error of the file system beside the log means for it.
pub(super) fn error(error: &io::Error, log: &Path) -> Error {
    meaning(Some(error), error.to_string(), log)
}

fn meaning(error: Option<&io::Error>, cause: String, log: &Path) -> Error {
    let place = log.display().to_string();
    match error {
        Some(error) if is_no_space(error) => Error::DiskFull { place, cause },
        // Others may be closed by and by.
        Some(error) if is_out_of_files(error) => {
            Error::Busy(format!("no more files can be opened for {place} (ulimit -n)"))
        }
        _ => Error::Storage { place, cause },
    }
}

/// Creates a file beside the log that grows.
fn probe(log: &Path) -> io::Result<()> {
    let mut probe = log.as_os_str().to_owned();
    probe.push(format!("-probe-{}", std::process::id()));
    let tried = File::create(&probe).and_then(|mut file| {
        file.write_all(&[1; 64 << 10])?;
        file.sync_data()
    });
    // Where it couldn't be created there is nothing to remove.
    drop(fs::remove_file(&probe));
    tried
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
