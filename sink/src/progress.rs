use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use autorma_stream::{NextOffset, TopicPartition};
use parking_lot::{Condvar, Mutex};

/// How many finished runs are remembered.
const FINISHED: usize = 1000;

/// What the sink has made durable, shared with whoever waits for it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    snapshot: Mutex<Snapshot>,
    changed: Condvar,
}

/// What is durable at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Up to where the records of each partition are in files.
    pub durable: BTreeMap<TopicPartition, NextOffset>,
    /// The runs that aren't finished.
    pub open: BTreeMap<String, Counts>,
    /// The runs that were finished in this process, the last 1000, in order.
    pub finished: Vec<Finished>,
    /// Predictions and dead letters that became durable in this process.
    pub durable_outcomes: u64,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many image events it holds, once it is closed.
    pub images: Option<u64>,
    /// Images with a prediction.
    pub predictions: u64,
    /// Images that can't be classified.
    pub dead_letters: u64,
    /// Image events whose id the run already had.
    pub duplicates: u64,
}

/// A run whose results and summary are durable, and that `runs` says is finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The run.
    pub run_id: String,
    /// Its results file.
    pub results: PathBuf,
    /// Its summary.
    pub summary: PathBuf,
    /// Images with a prediction.
    pub predictions: u64,
    /// Images that can't be classified.
    pub dead_letters: u64,
}

impl Progress {
    /// What is durable now.
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot.lock().clone()
    }

    /// Waits until the condition holds, or `longest`. Returns whether it does.
    pub fn wait(&self, longest: Duration, mut condition: impl FnMut(&Snapshot) -> bool) -> bool {
        let mut snapshot = self.0.snapshot.lock();
        self.0.changed.wait_while_for(&mut snapshot, |snapshot| !condition(snapshot), longest);
        condition(&snapshot)
    }

    /// Something became durable.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = self.0.snapshot.lock();
        change(&mut snapshot);
        let surplus = snapshot.finished.len().saturating_sub(FINISHED);
        snapshot.finished.drain(..surplus);
        drop(snapshot);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_hears_of_changes() {
        let progress = Progress::default();
        assert!(!progress.wait(Duration::ZERO, |snapshot| snapshot.durable_outcomes == 7));
        let waiting = std::thread::spawn({
            let progress = progress.clone();
            move || progress.wait(Duration::from_secs(60), |snapshot| snapshot.durable_outcomes == 7)
        });
        progress.update(|snapshot| snapshot.durable_outcomes = 3);
        progress.update(|snapshot| snapshot.durable_outcomes = 7);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn the_memory_of_finished_runs_is_bounded() {
        let progress = Progress::default();
        for number in 0..FINISHED + 5 {
            let finished = Finished {
                run_id: number.to_string(),
                results: PathBuf::new(),
                summary: PathBuf::new(),
                predictions: 0,
                dead_letters: 0,
            };
            progress.update(|snapshot| snapshot.finished.push(finished));
        }
        let finished = progress.snapshot().finished;
        assert_eq!((finished.len(), &*finished[0].run_id), (FINISHED, "5"));
    }
}
