use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::Results;

/// Reads the output folder all the time, as a script of a user might: at any instant every JSON file must be whole and
/// valid, and no photo may have two predictions.
#[derive(Debug)]
pub struct Watcher {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins to watch.
    pub fn of(output: PathBuf) -> Self {
        let (stop, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ended, counted) = (Arc::clone(&stop), Arc::clone(&looks));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let results = Results::read(&output);
                for (photo, predictions) in results.predictions {
                    assert!(predictions.len() == 1, "{photo} has {} predictions", predictions.len());
                }
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(std::time::Duration::from_millis(3));
            }
        });
        Self { stop, looks, thread: Some(thread) }
    }

    /// Stops watching; panics if something was wrong at some time.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Err(panic) = self.thread.take().unwrap().join() {
            std::panic::resume_unwind(panic);
        }
        assert!(self.looks.load(Ordering::Relaxed) > 0, "the watcher never looked");
    }
}
