use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Wakes those who wait for news, without their asking again and again. Each ring has a number, so one that comes
/// between looking and waiting isn't missed.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    /// There is news.
    pub(crate) fn ring(&self) {
        *self.rings.lock() += 1;
        self.rung.notify_all();
    }

    /// The rings so far: read it before looking, and wait with it.
    pub(crate) fn heard(&self) -> u64 {
        *self.rings.lock()
    }

    /// Waits for a ring after `heard`, at most this long.
    pub(crate) fn wait(&self, heard: u64, longest: Duration) {
        self.rung.wait_while_for(&mut self.rings.lock(), |rings| *rings == heard, longest);
    }
}
