//! When a file is complete: plain code with the clock as an argument.
//!
//! - Closed after writing, or renamed into place: at once.
//! - Found by a scan, with nobody seen writing: when it has stayed unchanged for the settle time while we watched, or
//!   when its modification time is [`STALLED`] settle times ago. That time may be by the clock of a file server, which
//!   need not agree with ours: one that is behind makes young files look older, so a smaller age says nothing.
//! - Empty: when it has stayed so as long as a copy that stalls. Whoever closes an empty file has only reserved its name.
//! - Seen being created or written: when it is closed. A copy that stalls doesn't end, so a scan in between changes
//!   nothing; only after [`STALLED`] settle times without any change it is taken for what it is.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autorma_schemas::Micros;

/// A copy whose end was never seen counts as ended after this many settle times without a change, and so does one that
/// was last changed that long before we came.
pub(crate) const STALLED: u32 = 15;

/// So that something due again is due later, whatever the settle time.
const A_MOMENT: Duration = Duration::from_millis(1);

/// What changes when a file's content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) size: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified_ns: i64,
}

/// An instant by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Runs evenly.
    pub(crate) at: Instant,
    /// Comparable with modification times; people may set it.
    pub(crate) wall: Micros,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), wall: Micros::now() }
    }
}

/// How a file came into view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// By reading the folder, or by an event that says nothing of writing.
    Scanned,
    /// It was created or written.
    Writing,
    /// It was closed after writing, or renamed into place.
    Complete,
}

/// Whether a file may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Now; this version of it was first seen then.
    Take(Micros),
    /// Not yet: look again when it is due.
    Wait,
    /// Not yet, and there is no room to remember it: a later scan finds it again.
    Forgotten,
}

#[derive(Debug)]
struct Pending {
    version: Version,
    first_seen: Micros,
    unchanged_since: Instant,
    writing: bool,
    due: Instant,
}

/// The files that were seen and aren't complete.
#[derive(Debug)]
pub(crate) struct Settling {
    settle: Duration,
    /// How long a file must stay empty.
    empty: Duration,
    most: usize,
    files: HashMap<Arc<Path>, Pending>,
    due: BTreeSet<(Instant, Arc<Path>)>,
}

impl Settling {
    /// At most `most` files are remembered.
    pub(crate) fn new(settle: Duration, most: usize) -> Self {
        let empty = settle * STALLED;
        Self { settle, empty, most, files: HashMap::new(), due: BTreeSet::new() }
    }

    /// For a batch, which ends: empty files wait no longer than others. What becomes of one later, the next batch finds.
    pub(crate) fn in_passing(self) -> Self {
        Self { empty: self.settle, ..self }
    }

    /// The file is in view, in this version. What may be taken is forgotten here.
    pub(crate) fn see(&mut self, path: &Path, version: Version, sight: Sight, now: Moment) -> Verdict {
        let before = self.forget(path);
        let unchanged = before.as_ref().filter(|before| before.version == version);
        let first_seen = unchanged.map_or(now.wall, |before| before.first_seen);
        // An empty file is no photo, whoever has closed it.
        if sight == Sight::Complete && version.size > 0 {
            return Verdict::Take(first_seen);
        }
        let unchanged_since = match (sight, unchanged) {
            (Sight::Scanned, Some(before)) => before.unchanged_since,
            _ => now.at,
        };
        let writing = match sight {
            Sight::Scanned => before.as_ref().is_some_and(|before| before.writing),
            Sight::Writing => true,
            Sight::Complete => false,
        };
        let wait = if writing {
            (self.settle * STALLED).saturating_sub(now.at.saturating_duration_since(unchanged_since))
        } else {
            self.wait(version, now.at.saturating_duration_since(unchanged_since), now.wall)
        };
        if wait.is_zero() && sight == Sight::Scanned {
            return Verdict::Take(first_seen);
        }
        let due = now.at + wait.max(A_MOMENT);
        self.remember(path, Pending { version, first_seen, unchanged_since, writing, due })
    }

    /// The file changed while it was read, into this version.
    pub(crate) fn changed(&mut self, path: &Path, version: Version, now: Moment) {
        self.forget(path);
        let due = now.at + self.settle.max(A_MOMENT);
        let (first_seen, unchanged_since) = (now.wall, now.at);
        self.remember(path, Pending { version, first_seen, unchanged_since, writing: false, due });
    }

    /// The file is gone, or done.
    pub(crate) fn gone(&mut self, path: &Path) {
        self.forget(path);
    }

    /// When to look again at the next file.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// A file to look at again: to [`Settling::see`], or to call gone.
    pub(crate) fn due(&self, now: Instant) -> Option<Arc<Path>> {
        self.due.first().filter(|(due, _)| *due <= now).map(|(_, path)| Arc::clone(path))
    }

    /// The files that aren't complete, in no order.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(|path| &**path)
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// How much longer a file must stay as it is, with nobody seen writing.
    fn wait(&self, version: Version, unchanged: Duration, wall: Micros) -> Duration {
        let age_ns = wall.0.saturating_mul(1000).saturating_sub(version.modified_ns);
        let age = u64::try_from(age_ns).map_or(Duration::ZERO, Duration::from_nanos);
        if age >= self.settle * STALLED {
            return Duration::ZERO;
        }
        let least = if version.size == 0 { self.empty } else { self.settle };
        least.saturating_sub(unchanged)
    }

    fn remember(&mut self, path: &Path, pending: Pending) -> Verdict {
        if self.files.len() >= self.most {
            return Verdict::Forgotten;
        }
        let path = Arc::<Path>::from(path);
        self.due.insert((pending.due, Arc::clone(&path)));
        self.files.insert(path, pending);
        Verdict::Wait
    }

    fn forget(&mut self, path: &Path) -> Option<Pending> {
        let (path, pending) = self.files.remove_entry(path)?;
        self.due.remove(&(pending.due, path));
        Some(pending)
    }
}

#[cfg(test)]
mod tests;
