use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};

use notify::{RecursiveMode, Watcher};
use parking_lot::Mutex;

use super::disk;
use crate::Result;
use crate::bell::Bell;

/// Rings in this process, and in the others that have the log open.
///
/// The others watch a file beside the log, `<log>-bell`, which is written to after each commit. The write-ahead log
/// itself won't do: it is written before the commit is to be seen.
#[derive(Debug)]
pub(super) struct Wake {
    pub(super) bell: Arc<Bell>,
    outside: Option<Outside>,
}

#[derive(Debug)]
struct Outside {
    file: File,
    /// None where the system gives none.
    _watcher: Option<notify::RecommendedWatcher>,
}

/// One for each log that this process has open.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<Wake>>>> = LazyLock::new(Mutex::default);

impl Wake {
    pub(super) fn of_file(log: &Path) -> Result<Arc<Self>> {
        let (path, file) = bell_of(log).map_err(|error| disk::error(&error, log))?;
        let mut all = OPEN.lock();
        if let Some(wake) = all.get(&path).and_then(Weak::upgrade) {
            return Ok(wake);
        }
        let bell = Arc::new(Bell::default());
        let rung = Arc::clone(&bell);
        let watcher =
            notify::recommended_watcher(move |event| ring_for(&rung, event)).and_then(|mut watcher| {
                watcher.watch(&path, RecursiveMode::NonRecursive)?;
                Ok(watcher)
            });
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!(log = %log.display(), %error, "the log can't be watched: news of other processes come later");
        });
        let wake = Arc::new(Self { bell, outside: Some(Outside { file, _watcher: watcher.ok() }) });
        all.retain(|_, wake| wake.strong_count() > 0);
        all.insert(path, Arc::downgrade(&wake));
        Ok(wake)
    }

    /// While the file lives, no other process opens the log: so that one creates it.
    pub(super) fn alone(log: &Path) -> Result<File> {
        let locked = bell_of(log).and_then(|(_, file)| {
            file.lock()?;
            Ok(file)
        });
        locked.map_err(|error| disk::error(&error, log))
    }

    /// For a log that no other process sees.
    pub(super) fn alone_in_memory() -> Arc<Self> {
        Arc::new(Self { bell: Arc::default(), outside: None })
    }

    /// There is news. On a full disk the others find it a little later.
    pub(super) fn ring(&self) {
        use std::os::unix::fs::FileExt;
        self.bell.ring();
        if let Some(outside) = &self.outside {
            drop(outside.file.write_at(b"!", 0));
        }
    }
}

fn bell_of(log: &Path) -> io::Result<(PathBuf, File)> {
    if let Some(folder) = log.parent() {
        autorma_durable::create(folder)?;
    }
    let mut path = log.as_os_str().to_owned();
    path.push("-bell");
    let path = PathBuf::from(path);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
    Ok((path.canonicalize()?, file))
}

/// Others open and lock the file too; only writing to it is news. After an error there may be some.
fn ring_for(bell: &Bell, event: notify::Result<notify::Event>) {
    if event.is_ok_and(|event| !event.kind.is_modify()) {
        return;
    }
    bell.ring();
}
