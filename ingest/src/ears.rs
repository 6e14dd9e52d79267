//! What the file system says, made small: [`Signal`]s in a bounded queue.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::metrics::Outcome;
use crate::names::{is_photo, is_private};
use crate::{Metrics, root::Root};

/// News for the daemon.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Something came into being.
    Created(PathBuf),
    /// A file was written to.
    Written(PathBuf),
    /// A file was closed after writing, or something was renamed into place.
    Complete(PathBuf),
    /// Something may be different.
    Look(PathBuf),
    /// Something was removed or renamed.
    Gone(PathBuf),
    /// Look up: there is something else to do.
    Wake,
}

/// Listens to folders. Where the system refuses that, the periodic rescan is what is left.
#[derive(Debug)]
pub(crate) struct Ears {
    watcher: Option<RecommendedWatcher>,
    overflow: Arc<AtomicBool>,
    refused: bool,
}

impl Ears {
    pub(crate) fn new(root: &Root, recursive: bool, metrics: &Metrics, queue: SyncSender<Signal>) -> Self {
        let overflow = Arc::new(AtomicBool::new(false));
        let (lost, root, metrics) = (Arc::clone(&overflow), root.path().to_owned(), metrics.clone());
        let hear = move |event: notify::Result<Event>| {
            let signal = match event {
                Ok(event) if event.need_rescan() => Err(Signal::Wake),
                Ok(event) => Ok(interpret(event, &root, recursive, &metrics)),
                Err(_) => Err(Signal::Wake),
            };
            let signal = signal.unwrap_or_else(|wake| {
                lost.store(true, Ordering::Relaxed);
                Some(wake)
            });
            if let Some(Err(TrySendError::Full(_))) = signal.map(|signal| queue.try_send(signal)) {
                lost.store(true, Ordering::Relaxed);
            }
        };
        // Folders are added one by one, so links to folders are never followed.
        let watcher = RecommendedWatcher::new(hear, Config::default().with_follow_symlinks(false));
        let mut ears = Self { watcher: None, overflow, refused: false };
        match watcher {
            Ok(watcher) => ears.watcher = Some(watcher),
            Err(error) => ears.refuse(&error, None),
        }
        ears
    }

    /// Hears of this folder from now on. Doing it again does nothing, but mends what was lost.
    pub(crate) fn listen(&mut self, folder: &Path) {
        let result = self.watcher.as_mut().map(|watcher| watcher.watch(folder, RecursiveMode::NonRecursive));
        match result {
            Some(Err(error)) if folder.is_dir() => self.refuse(&error, Some(folder)),
            _ => {}
        }
    }

    /// Whether signals were lost since the last call.
    pub(crate) fn lost_some(&self) -> bool {
        self.overflow.swap(false, Ordering::Relaxed)
    }

    fn refuse(&mut self, error: &notify::Error, folder: Option<&Path>) {
        if !std::mem::replace(&mut self.refused, true) {
            tracing::warn!(
                %error,
                ?folder,
                "no events from the file system: new photos are found by the periodic rescan (ingest.rescan); \
                 fs.inotify.max_user_watches or max_user_instances may be too low"
            );
        }
    }
}

/// What an event means for the stage, if anything.
fn interpret(event: Event, root: &Path, recursive: bool, metrics: &Metrics) -> Option<Signal> {
    let make: fn(PathBuf) -> Signal = match event.kind {
        EventKind::Create(CreateKind::Folder) => Signal::Look,
        EventKind::Create(_) => Signal::Created,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Signal::Complete,
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Signal::Complete,
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => Signal::Gone,
        // Comes after `From` and `To`, and says the same.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return None,
        EventKind::Modify(ModifyKind::Metadata(_) | ModifyKind::Name(_)) => Signal::Look,
        EventKind::Modify(_) => Signal::Written,
        EventKind::Access(_) | EventKind::Any | EventKind::Other => return None,
    };
    let path = event.paths.into_iter().next()?;
    if path == root {
        return Some(make(path)).filter(|signal| matches!(signal, Signal::Gone(_)));
    }
    let below = path.strip_prefix(root).ok()?;
    let (name, folders) = (below.file_name()?, below.parent()?);
    if folders.iter().any(is_private) {
        return None;
    }
    if is_photo(name) {
        return Some(make(path));
    }
    if event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write)) {
        metrics.count(Outcome::Ignored, 1);
        return None;
    }
    // It may be a folder; files of other names are nothing to look at.
    let may_be_folder = matches!(
        event.kind,
        EventKind::Create(CreateKind::Folder) | EventKind::Modify(ModifyKind::Name(RenameMode::To))
    );
    (recursive && may_be_folder && !is_private(name)).then_some(Signal::Look(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{DataChange, MetadataKind, RemoveKind};

    fn heard(kind: EventKind, path: &str, recursive: bool) -> Option<Signal> {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        interpret(Event::new(kind).add_path(path.into()), Path::new("/in"), recursive, &metrics)
    }

    #[test]
    fn events_mean_little() {
        let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let chmod = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        let photo = || PathBuf::from("/in/a.jpg");
        assert_eq!(heard(close, "/in/a.jpg", false), Some(Signal::Complete(photo())));
        assert_eq!(heard(written, "/in/a.jpg", false), Some(Signal::Written(photo())));
        assert_eq!(heard(chmod, "/in/a.jpg", false), Some(Signal::Look(photo())));
        assert_eq!(heard(renamed(RenameMode::To), "/in/a.jpg", false), Some(Signal::Complete(photo())));
        assert_eq!(heard(renamed(RenameMode::From), "/in/a.jpg", false), Some(Signal::Gone(photo())));
        assert_eq!(heard(renamed(RenameMode::Both), "/in/a.jpg", false), None);
        assert_eq!(heard(EventKind::Access(AccessKind::Open(AccessMode::Any)), "/in/a.jpg", false), None);
        for name in
            ["/in/a.txt", "/in/.a.jpg", "/in/a.jpg.part", "/in/.hidden/a.jpg", "/elsewhere/a.jpg", "/in"]
        {
            assert_eq!(heard(close, name, true), None, "{name}");
        }
        let folder = EventKind::Create(CreateKind::Folder);
        assert_eq!(heard(folder, "/in/sub", true), Some(Signal::Look("/in/sub".into())));
        assert_eq!(heard(folder, "/in/sub", false), None);
        assert_eq!(heard(folder, "/in/.sub", true), None);
        let removed = EventKind::Remove(RemoveKind::Folder);
        assert_eq!(heard(removed, "/in", false), Some(Signal::Gone("/in".into())));
    }
}
