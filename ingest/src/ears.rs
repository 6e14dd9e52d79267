//! What the file system says, made small: [`Signal`]s in a bounded queue.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::heard::Heard;
use crate::mark::{Mark, Marks};
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
    /// Everything from before [`Ears::catch_up`] has been said.
    CaughtUp(PathBuf),
}

impl Signal {
    /// The file that was created or written to.
    pub(crate) fn written(&self) -> Option<&Path> {
        match self {
            Signal::Created(path) | Signal::Written(path) => Some(path),
            _ => None,
        }
    }
}

/// How long a mark may take to come back.
const PATIENCE: Duration = Duration::from_secs(1);

/// Listens to folders. Where the system refuses that, the periodic rescan is what is left.
#[derive(Debug)]
pub(crate) struct Ears {
    watcher: Option<RecommendedWatcher>,
    marks: Marks,
    mark: Option<Mark>,
    overflow: Arc<AtomicBool>,
    refused: bool,
}

impl Ears {
    pub(crate) fn new(root: &Root, recursive: bool, metrics: &Metrics, queue: SyncSender<Signal>) -> Self {
        let (overflow, marks) = (Arc::new(AtomicBool::new(false)), Marks::new(root.path()));
        let (lost, ours) = (Arc::clone(&overflow), marks.clone());
        let (root, metrics) = (root.path().to_owned(), metrics.clone());
        let hear = move |event: notify::Result<Event>| {
            let signal = match event {
                Ok(event) if !event.need_rescan() => match event.paths.first() {
                    Some(path) if ours.made(path) => caught_up(event),
                    _ => interpret(event, &root, recursive, &metrics),
                },
                _ => {
                    lost.store(true, Ordering::Relaxed);
                    Some(Signal::Wake)
                }
            };
            if let Some(Err(TrySendError::Full(_))) = signal.map(|signal| queue.try_send(signal)) {
                lost.store(true, Ordering::Relaxed);
            }
        };
        // Folders are added one by one, so links to folders are never followed.
        let watcher = RecommendedWatcher::new(hear, Config::default().with_follow_symlinks(false));
        let mut ears = Self { watcher: None, marks, mark: None, overflow, refused: false };
        match watcher {
            Ok(watcher) => ears.watcher = Some(watcher),
            Err(error) => ears.refuse(&error, None),
        }
        ears.mark = ears.make_mark();
        ears
    }

    /// Waits until everything that has happened so far has been said, and puts it behind `heard`. False: something
    /// may be missing, or there is no room for it.
    pub(crate) fn catch_up(&mut self, signals: &Receiver<Signal>, heard: &mut Heard) -> bool {
        if self.watcher.is_none() {
            return true;
        }
        // One that was lost is made again, if not then, now.
        self.mark = self.mark.take().or_else(|| self.make_mark());
        let Some(mark) = &self.mark else { return false };
        if !heard.has_room() {
            return false;
        }
        let mut set = mark.set().is_ok();
        let deadline = Instant::now() + PATIENCE;
        // A mark may be lost, like other signals.
        while set && heard.has_room() && !self.overflow.load(Ordering::Relaxed) {
            match signals.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Signal::CaughtUp(path)) if path == mark.path() => return true,
                Ok(signal) => heard.push(signal),
                Err(_) => set = false,
            }
        }
        // This one may still come; it must not be taken for the next.
        self.mark = self.make_mark();
        false
    }

    /// One that hears nothing, and knows that it misses nothing.
    #[cfg(test)]
    pub(crate) fn deaf(root: &Root) -> Self {
        let marks = Marks::new(root.path());
        Self { watcher: None, marks, mark: None, overflow: Arc::default(), refused: true }
    }

    fn make_mark(&mut self) -> Option<Mark> {
        let watcher = self.watcher.as_mut()?;
        let watched = self.marks.make().map_err(notify::Error::io).and_then(|mark| {
            let watched = watcher.watch(mark.path(), RecursiveMode::NonRecursive);
            mark.hide();
            watched.map(|()| mark)
        });
        watched
            .inspect_err(|error| tracing::debug!(%error, "what was closed is read once it has settled"))
            .ok()
    }

    /// Hears of this folder from now on. Doing it again does nothing, but mends what was lost.
    pub(crate) fn listen(&mut self, folder: &Path) {
        let result = self.watcher.as_mut().map(|watcher| watcher.watch(folder, RecursiveMode::NonRecursive));
        match result {
            Some(Err(error)) if folder.exists() => self.refuse(&error, Some(folder)),
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

/// A mark has come back.
fn caught_up(event: Event) -> Option<Signal> {
    let is_set = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
    event.paths.into_iter().next().filter(|_| is_set).map(Signal::CaughtUp)
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
mod tests;
