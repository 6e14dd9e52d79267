//! A bar on a terminal, and the signals that stop the work.

use autorma_service::Shutdown;
use autorma_training::dataset::Watcher;
use indicatif::ProgressBar;

use crate::exit;
use crate::progress;

/// Watches, and stops the work at SIGINT or SIGTERM.
#[derive(Debug)]
pub(crate) struct Watching {
    bar: ProgressBar,
    stop: Shutdown,
}

impl Watching {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let stop = exit::stop_at_signals()?;
        Ok(Self { bar: progress::bar("{msg} {bar:30} {pos} of {len} photos · {eta} left"), stop })
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watcher for Watching {
    fn begins(&self, step: &'static str, photos: usize) {
        self.bar.reset();
        self.bar.set_length(photos as u64);
        self.bar.set_message(step);
    }

    fn done(&self) {
        self.bar.inc(1);
    }

    fn stops(&self) -> bool {
        self.stop.is_requested()
    }
}
