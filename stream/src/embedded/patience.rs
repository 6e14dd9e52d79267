use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a writer waits for those of other processes, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same when the process is ending and has waited long enough.
const HURRIED: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(1);

thread_local! {
    /// That of the log in whose transaction this thread is: SQLite's busy handler is told of no connection.
    static HURRY: RefCell<Hurry> = RefCell::default();
}

/// Whether the process is ending, for all handles on a log.
#[derive(Debug, Clone, Default)]
pub(super) struct Hurry(Arc<AtomicBool>);

impl Hurry {
    /// From now on nobody waits for long.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// From now on this thread's patience goes by it.
    pub(super) fn set_this_threads_patience(&self) {
        HURRY.set(self.clone());
    }
}

/// SQLite's own pauses grow to 100 ms, by which others have written again: that way some never get their turn.
pub(super) fn patience(looks: i32) -> bool {
    std::thread::sleep(LOOK);
    let longest = if HURRY.with_borrow(Hurry::has_begun) { HURRIED } else { PATIENCE };
    (looks as u128) < longest.as_millis() / LOOK.as_millis()
}
