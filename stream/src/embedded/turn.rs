use parking_lot::{Condvar, Mutex};

/// Writers of one process take turns in the order in which they come. SQLite's lock knows no order: a heartbeat could
/// wait behind a busy producer until its lease is over.
#[derive(Debug, Default)]
pub(super) struct Turn {
    counter: Mutex<Counter>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Counter {
    next: u64,
    serving: u64,
}

/// Its holder's turn, until dropped.
pub(super) struct Taken<'a>(&'a Turn);

impl Turn {
    pub(super) fn take(&self) -> Taken<'_> {
        let mut counter = self.counter.lock();
        let mine = counter.next;
        counter.next += 1;
        let others = |counter: &mut Counter| counter.serving != mine;
        self.moved.wait_while(&mut counter, others);
        Taken(self)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.counter.lock().serving += 1;
        self.0.moved.notify_all();
    }
}
