use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use crate::{Error, is_out_of_files};

/// What to look at where nobody can say what is wrong.
const ADVICE: &str =
    "look at the disk; the log, and the -wal and -shm beside it, must be files that this user may write";
/// How much is tried to be written.
const PIECE: usize = 64 << 10;

/// What it means that SQLite can't use a file. Where one can't be created or grow, it doesn't say why: that is found out
/// by trying.
pub(super) fn found_out(cause: String, log: &Path) -> Error {
    let known = probe(log).err().and_then(|error| known(&error, &cause, log));
    known.unwrap_or_else(|| Error::Storage { place: place(log), cause: format!("{cause}; {ADVICE}") })
}

/// What an error of the file system beside the log means for it.
pub(super) fn error(error: &io::Error, log: &Path) -> Error {
    let cause = error.to_string();
    known(error, &cause, log).unwrap_or_else(|| Error::Storage { place: place(log), cause })
}

/// What an error of the file system means, if it is one of those that say what to do.
fn known(error: &io::Error, cause: &str, log: &Path) -> Option<Error> {
    let (place, cause) = (place(log), cause.to_owned());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(Error::DiskFull { place, cause }),
        ErrorKind::FileTooLarge => {
            let cause = format!(
                "a file may grow no more ({cause}): allow larger ones (ulimit -f) and start again; nothing was lost"
            );
            Some(Error::Storage { place, cause })
        }
        ErrorKind::PermissionDenied => {
            let cause = format!(
                "{cause}; it, or the folder that it is in, may belong to another user, as whom autorma has run here: give \
                 both to this user"
            );
            Some(Error::Storage { place, cause })
        }
        // Others may be closed by and by.
        _ if is_out_of_files(error) => {
            Some(Error::Busy(format!("no more files can be opened for {place} (ulimit -n)")))
        }
        _ => None,
    }
}

fn place(log: &Path) -> String {
    log.display().to_string()
}

/// Whether the log and its write-ahead log may grow, and a file beside them can be created and written.
fn probe(log: &Path) -> io::Result<()> {
    let beside = |end: String| {
        let mut path = log.as_os_str().to_owned();
        path.push(end);
        PathBuf::from(path)
    };
    let sizes = ["", "-wal"].map(|end| fs::metadata(beside(end.into())).map_or(0, |file| file.len()));
    if let Some(most) = getrlimit(Resource::Fsize).current
        && sizes.into_iter().any(|size| size + PIECE as u64 > most)
    {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let probe = beside(format!("-probe-{}", std::process::id()));
    let tried = File::create(&probe).and_then(|mut file| {
        file.write_all(&[1; PIECE])?;
        file.sync_data()
    });
    // Where it couldn't be created there is nothing to remove.
    drop(fs::remove_file(&probe));
    tried
}
