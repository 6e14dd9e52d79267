//! Who does what on a data folder: each role, such as `ingest` or `classifier-0`, belongs to one process at a time.

mod holder;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::files::is_out_of_files;
pub use holder::Holder;

/// The folder of the locks below the data folder.
const FOLDER: &str = "locks";
const SUFFIX: &str = ".lock";

/// How often a lock that is held is tried again, and how long after. Whoever looks at who is alive
/// ([`RoleLock::holders`]) holds each lock for an instant.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(20);

/// A role that this process has, until this is dropped or the process dies, however that happens: the system
/// releases the lock.
#[derive(Debug)]
pub struct RoleLock {
    /// Holds the lock. The file stays: removing it could make two of it.
    file: File,
}

/// Who has which role of a data folder, as far as this user may know.
#[derive(Debug, Default)]
pub struct Holders {
    /// Living processes.
    pub living: Vec<Holder>,
    /// Roles whose locks this user may not open: whether anybody has them, nobody can say.
    pub unknown: Vec<String>,
}

/// A role can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// Another process has it.
    #[error(
        "the role {} of the folder {} is held by `{}` (process {}, since {})",
        holder.role, folder.display(), holder.command, holder.process, holder.since
    )]
    Held {
        /// The folder: a data folder, or the hidden one of an output folder. What to do instead depends on that.
        folder: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// Other processes have all of these roles.
    #[error("all {count} roles {prefix}… of data folder {} are held", folder.display())]
    NoneFree {
        /// The data folder.
        folder: PathBuf,
        /// What the roles begin with.
        prefix: String,
        /// How many there are.
        count: usize,
    },
    /// The role can't be a file's name.
    #[error(
        "{0:?} can't name a role: only letters, digits, '-', '_' and '.' can be in it, up to 100 of them"
    )]
    Name(String),
    /// There is no space for the lock.
    #[error("no space left for {}: free some and start again; nothing was lost ({cause})", path.display())]
    DiskFull {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// This user may not open the lock.
    #[error(
        "can't lock {}: {cause}; it or its folder belongs to another user, as whom autorma has run here: give both to \
         this user",
        path.display()
    )]
    Forbidden {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The system gives this process no more files.
    #[error("can't lock {}: {cause}; allow the process more (ulimit -n)", path.display())]
    OutOfFiles {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The lock can't be used.
    #[error("can't lock {}: {cause}", path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl RoleLock {
    /// Takes a role of the data folder for this process; `what` says what the process does (`autorma up`).
    pub fn take(folder: &Path, role: &str, what: &str) -> Result<Self, RoleError> {
        for _ in 1..TRIES {
            match Self::try_take(folder, role, what) {
                Err(RoleError::Held { .. }) => sleep(PAUSE),
                other => return other,
            }
        }
        Self::try_take(folder, role, what)
    }

    /// Takes the first role that is free of those called `prefix` and a number. Returns the number too. Those whose locks
    /// are another user's are passed over.
    pub fn take_first_free(
        folder: &Path,
        prefix: &str,
        numbers: Range<usize>,
        what: &str,
    ) -> Result<(Self, usize), RoleError> {
        let (count, mut forbidden) = (numbers.len(), Vec::new());
        for number in numbers {
            match Self::try_take(folder, &format!("{prefix}{number}"), what) {
                Ok(lock) => return Ok((lock, number)),
                Err(RoleError::Held { .. }) => {}
                Err(error @ RoleError::Forbidden { .. }) => forbidden.push(error),
                Err(other) => return Err(other),
            }
        }
        // Where a process has one of them, that may end.
        let is_all = forbidden.len() == count;
        match forbidden.into_iter().next() {
            Some(first) if is_all => Err(first),
            _ => Err(RoleError::NoneFree { folder: folder.into(), prefix: prefix.into(), count }),
        }
    }

    /// The roles of the data folder that living processes have, and those of which that isn't known, by name.
    pub fn holders(folder: &Path) -> io::Result<Holders> {
        let mut holders = Holders::default();
        let entries = match std::fs::read_dir(folder.join(FOLDER)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(holders),
            other => other?,
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(role) = name.and_then(|name| name.strip_suffix(SUFFIX)) else { continue };
            let file = match File::open(&path) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    holders.unknown.push(role.into());
                    continue;
                }
                other => other?,
            };
            // Shared, so that two who look don't take each other for holders.
            match file.try_lock_shared() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => holders.living.push(Holder::read(&path, role)),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        holders.living.sort_by(|one, other| one.role.cmp(&other.role));
        holders.unknown.sort();
        Ok(holders)
    }

    /// An error if no role can be called so.
    pub fn check_name(role: &str) -> Result<(), RoleError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if role.is_empty() || role.len() > 100 || !role.chars().all(allowed) {
            return Err(RoleError::Name(role.into()));
        }
        Ok(())
    }

    fn try_take(folder: &Path, role: &str, what: &str) -> Result<Self, RoleError> {
        Self::check_name(role)?;
        let path = folder.join(FOLDER).join(format!("{role}{SUFFIX}"));
        match lock(&path, what) {
            Ok(Some(file)) => Ok(Self { file }),
            Ok(None) => Err(RoleError::Held { folder: folder.into(), holder: Holder::read(&path, role) }),
            Err(cause) => Err(match cause.kind() {
                ErrorKind::StorageFull => RoleError::DiskFull { path, cause },
                ErrorKind::PermissionDenied => RoleError::Forbidden { path, cause },
                _ if is_out_of_files(&cause) => RoleError::OutOfFiles { path, cause },
                _ => RoleError::Io { path, cause },
            }),
        }
    }
}

impl Drop for RoleLock {
    fn drop(&mut self) {
        // Closing would do, but not while a child that is just being started has the file open as well. Nothing is
        // lost if it fails: the file is closed next.
        drop(self.file.unlock());
    }
}

/// Locks the file and writes who did; none if it is locked already.
fn lock(path: &Path, what: &str) -> io::Result<Option<File>> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    // What is in it is another's until it is locked.
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.set_len(0)?;
    file.write_all(Holder::this_process(what).as_bytes())?;
    Ok(Some(file))
}
