use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use autorma_service::{Listening, Shutdown};
use autorma_training::Progress;
use indicatif::{HumanDuration, ProgressBar};

use super::bar;

/// How often a line says how far it is, where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// Hears how far a training or a data set is, shows it (a bar on a terminal, a line now and then elsewhere), and says whether
/// it goes on.
#[derive(Debug)]
pub(crate) struct Listener {
    stop: Shutdown,
    bar: ProgressBar,
    is_terminal: bool,
    /// When the next line is due.
    next: Instant,
    what: &'static str,
}

impl Listener {
    /// One that goes on until somebody asks to stop.
    pub(crate) fn new(stop: Shutdown) -> Self {
        let bar = bar("{msg} {bar:30} {pos} of {len} · {eta} left");
        let is_terminal = io::stderr().is_terminal();
        Self { stop, bar, is_terminal, next: Instant::now() + LINES, what: "" }
    }

    /// Shows it; whether it goes on.
    pub(crate) fn hears(&mut self, progress: Progress) -> bool {
        self.show(progress);
        !self.stop.is_requested()
    }

    /// Who asks to stop is told this, as long as what is returned isn't dropped.
    pub(crate) fn answers(&self, what: &'static str) -> Listening {
        let bar = self.bar.clone();
        self.stop.on_request(move || bar.suspend(|| tracing::info!("{what}")))
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&mut self, progress: Progress) {
        let (what, done, of) = match progress {
            Progress::Count { what, done, of } => (what.name(), done, of),
            Progress::Head { number, of, iteration, iterations, .. } => {
                ("iterations of heads", number * iterations + iteration, of * iterations)
            }
            Progress::Tuning { number, of, step, steps, .. } => {
                ("steps of tuning", number * steps as usize + step as usize, of * steps as usize)
            }
        };
        // In a data set, photos are read in several rounds.
        if what != self.what || done == 0 {
            self.what = what;
            // How long it will take, nobody knows yet.
            self.next = Instant::now() + LINES;
            self.bar.reset();
            self.bar.set_message(what);
            self.bar.set_length(of as u64);
            // What was computed by an earlier call says nothing of the speed of this one.
            self.bar.set_position(done as u64);
            self.bar.reset_eta();
        }
        self.bar.set_position(done as u64);
        if !self.is_terminal && Instant::now() >= self.next {
            self.next = Instant::now() + LINES;
            let left = HumanDuration(self.bar.eta());
            tracing::info!(what, done, of, %left, "progress");
        }
    }
}

#[cfg(test)]
mod tests {
    use autorma_training::What;

    use super::*;

    #[test]
    fn a_phase_that_has_just_begun_has_no_line() {
        let mut listener = Listener::new(Shutdown::new());
        let begun = Instant::now();
        // On a terminal no line is written, so only the phase can have moved `next`.
        (listener.next, listener.is_terminal) = (begun, true);
        listener.show(Progress::Count { what: What::Read, done: 0, of: 9 });
        assert!(listener.next >= begun + LINES);
        listener.next = begun;
        listener.show(Progress::Count { what: What::Read, done: 1, of: 9 });
        assert_eq!(listener.next, begun);
    }

    #[test]
    fn each_round_has_its_own_length() {
        let mut listener = Listener::new(Shutdown::new());
        for (done, of) in [(0, 9), (9, 9), (0, 2)] {
            assert!(listener.hears(Progress::Count { what: What::Read, done, of }));
            assert_eq!((listener.bar.position(), listener.bar.length()), (done as u64, Some(of as u64)));
        }
        listener.stop.request();
        assert!(!listener.hears(Progress::Count { what: What::Read, done: 1, of: 2 }));
    }
}
