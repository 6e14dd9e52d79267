use std::io::{self, IsTerminal};
use std::thread::Builder;
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
        self.stop.on_request(move || {
            let answer = move || bar.suspend(|| tracing::info!("{what}"));
            // Where nobody reads standard error it takes for ever, and who asks may ask once more.
            drop(Builder::new().name("answer".into()).spawn(answer));
        })
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
    use std::io::{BufRead, BufReader, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    use autorma_service::logging::{self, Format};
    use autorma_training::What;

    use super::*;
    use crate::exit;

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

    const CHILD: &str = "LISTENER_TEST_CHILD";

    /// In a process of its own, called by the test below: answers who asks it to stop, and goes on.
    #[test]
    fn a_child_that_answers() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        logging::init(Format::Text, "info", io::stderr).unwrap();
        let listener = Listener::new(exit::stop_at_signals().unwrap());
        let _answering = listener.answers("stopping");
        println!("\nlistening");
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn who_insists_is_heard_where_nobody_reads_the_answer() {
        let (mut full, _unread) = UnixStream::pair().unwrap();
        full.set_nonblocking(true).unwrap();
        while full.write_all(&[b' '; 4096]).is_ok() {}
        full.set_nonblocking(false).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "progress::listener::tests::a_child_that_answers", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .stderr(OwnedFd::from(full))
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.map_while(Result::ok).any(|line| line == "listening"));
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(60) {
            // Again and again: two at once may be heard as one. Not while it ends: what it becomes then hears nothing.
            drop(Command::new("kill").args(["-INT", &child.id().to_string()]).status());
            std::thread::sleep(Duration::from_secs(1));
        }
        drop(child.kill());
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }
}
