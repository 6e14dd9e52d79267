use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use autorma_schemas::RunKind;
use autorma_service::Shutdown;
use autorma_service::files::is_out_of_files;
use autorma_service::http::StageHealth;
use autorma_stream::Log;

use crate::ears::{Ears, Signal};
use crate::heard::Heard;
use crate::intake::{Intake, Taken};
use crate::metrics::Outcome;
use crate::rescans::Rescans;
use crate::root::Root;
use crate::scan::{Scan, Step};
use crate::settle::Sight;
use crate::{Config, Error, Metrics};

/// Signals that wait, at most. When more come, the folder is read again.
const QUEUE: usize = 16_384;
/// Signals taken from there that wait, at most: a catch-up may bring those of the system's own queue, too.
const HEARD: usize = 2 * QUEUE;
/// Files that aren't complete, at most. When there are more, the folder is read again.
const MOST_PENDING: usize = 50_000;
/// How many signals, and files that are due, are handled before the next thing.
const TURN: usize = 256;
/// How long a scan goes on before it looks up.
const SCAN: Duration = Duration::from_millis(20);
/// How soon an input that can't be read is looked at again, and any folder that no file was left for.
const AGAIN: Duration = Duration::from_secs(1);

/// Publishes what comes into the folder, until the shutdown; then its run is closed. It is ready when it has read the
/// folder's names: nothing that comes from then on is missed. While the folder itself can't be read it goes on, and isn't.
pub fn watch(
    config: &Config,
    log: &dyn Log,
    metrics: &Metrics,
    shutdown: &Shutdown,
    health: StageHealth,
) -> Result<(), Error> {
    let root = Root::open(&config.input)?;
    let (queue, signals) = sync_channel(QUEUE);
    let waker = queue.clone();
    // A full queue wakes as well.
    let _waking = shutdown.on_request(move || drop(waker.try_send(Signal::Wake)));
    let mut ears = Ears::new(&root, config.recursive, metrics, queue);
    ears.listen(root.path());
    let mut intake = Intake::start(config, root, log, metrics, shutdown, RunKind::Stream, MOST_PENDING)?;
    intake.hold();
    let mut daemon = Daemon::new(config, intake, ears, health);
    while !shutdown.is_requested() {
        daemon.turn(&signals)?;
    }
    metrics.pending.set(0);
    daemon.intake.publisher.close().map(drop)
}

struct Daemon<'a> {
    config: &'a Config,
    intake: Intake<'a>,
    ears: Ears,
    scan: Scan,
    rescans: Rescans,
    /// Whether something that has just come waits for its transaction.
    urgent: bool,
    /// Signals that are to be handled next.
    heard: Heard,
    health: StageHealth,
}

impl<'a> Daemon<'a> {
    fn new(config: &'a Config, intake: Intake<'a>, ears: Ears, health: StageHealth) -> Self {
        let scan = Scan::new(config.recursive);
        let rescans = Rescans::new(config.rescan, Instant::now());
        let heard = Heard::new(HEARD);
        Self { config, intake, ears, scan, rescans, urgent: false, heard, health }
    }

    /// Does some of everything that there is to do, and waits if that is nothing.
    fn turn(&mut self, signals: &Receiver<Signal>) -> Result<(), Error> {
        self.hear(signals)?;
        self.look_again()?;
        // What a scan finds isn't urgent: there, the publisher sees to it that enough comes together.
        if self.urgent {
            self.intake.publisher.flush()?;
            self.urgent = false;
        }
        self.scan()?;
        if self.scan.is_idle() {
            self.intake.publisher.flush()?;
        }
        self.intake.publisher.end_run_in_time()?;
        self.intake.metrics.pending.set(self.intake.settling.len() as i64);
        if self.scan.is_idle() {
            self.wait(signals);
        }
        Ok(())
    }

    fn wait(&mut self, signals: &Receiver<Signal>) {
        let Some(time) = self.time_to_wait(Instant::now()) else { return };
        if let Ok(signal) = signals.recv_timeout(time) {
            self.heard.push(signal);
        }
    }

    /// Until a file, the rescan or the end of the run is due; none while signals that have come wait.
    fn time_to_wait(&self, now: Instant) -> Option<Duration> {
        if !self.heard.is_empty() {
            return None;
        }
        let at = self.rescans.at();
        let due =
            self.intake.settling.next_due().map_or(at, |due| due.min(at)).saturating_duration_since(now);
        Some(self.intake.publisher.time_left().map_or(due, |left| left.min(due)))
    }

    /// Handles some of what has come, so that it is published before the rest is read.
    fn hear(&mut self, signals: &Receiver<Signal>) -> Result<(), Error> {
        self.heard.fill(signals, TURN);
        for _ in 0..TURN {
            let Some(signal) = self.heard.pop() else { break };
            self.handle(signal)?;
        }
        if self.intake.holds_some() { self.release(signals) } else { Ok(()) }
    }

    /// Publishes what was closed and then read, but for what was written again before reading had ended: that may
    /// be half of the next content.
    fn release(&mut self, signals: &Receiver<Signal>) -> Result<(), Error> {
        let caught_up = self.ears.catch_up(signals, &mut self.heard);
        for taken in self.intake.release(|path| caught_up && !self.heard.has_written(path))? {
            match taken {
                Taken::Known { .. } => self.intake.metrics.count(Outcome::Known, 1),
                _ => self.urgent = true,
            }
        }
        Ok(())
    }

    fn handle(&mut self, signal: Signal) -> Result<(), Error> {
        match signal {
            Signal::Created(path) => self.see(&path, Sight::Writing, true),
            Signal::Written(path) => self.see(&path, Sight::Writing, false),
            Signal::Complete(path) => self.see(&path, Sight::Complete, false),
            Signal::Look(path) => self.see(&path, Sight::Scanned, false),
            Signal::Gone(path) => {
                self.intake.settling.gone(&path);
                if path == self.intake.root.path() {
                    self.rescans.hurry(Instant::now());
                }
                Ok(())
            }
            Signal::Wake | Signal::CaughtUp(_) => Ok(()),
        }
    }

    fn see(&mut self, path: &Path, sight: Sight, created: bool) -> Result<(), Error> {
        if !self.intake.root.holds_folder_of(path) {
            return Ok(());
        }
        match self.intake.see(path, sight, created)? {
            Taken::Published => self.urgent = true,
            Taken::Folder => self.folder_came(path.to_owned()),
            Taken::Known { .. } if sight != Sight::Writing => self.intake.metrics.count(Outcome::Known, 1),
            Taken::Forgotten => self.rescan_later(),
            _ => {}
        }
        Ok(())
    }

    /// Files may have come into it before anybody listened.
    fn folder_came(&mut self, path: PathBuf) {
        if self.config.recursive {
            self.scan.push(path);
        }
    }

    /// Files that may be complete by now.
    fn look_again(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        for _ in 0..TURN {
            let Some(path) = self.intake.settling.due(now) else { break };
            self.urgent = true;
            self.see_scanned(&path, true)?;
        }
        Ok(())
    }

    fn see_scanned(&mut self, path: &Path, counts: bool) -> Result<(), Error> {
        match self.intake.see(path, Sight::Scanned, false)? {
            Taken::Known { .. } if counts => self.intake.metrics.count(Outcome::Known, 1),
            // Nobody could say what it is when it was listed.
            Taken::Folder => self.folder_came(path.to_owned()),
            Taken::Forgotten => self.rescan_later(),
            _ => {}
        }
        Ok(())
    }

    fn scan(&mut self) -> Result<(), Error> {
        if self.ears.lost_some() {
            tracing::debug!("events were lost: reading the folder again");
            self.rescans.hurry(Instant::now());
        }
        let now = Instant::now();
        if self.scan.is_idle() && now >= self.rescans.at() {
            self.scan.push(self.intake.root.path().to_owned());
            self.rescans.begin(now);
        }
        if self.scan.is_idle() {
            return Ok(());
        }
        let begun = Instant::now();
        while begun.elapsed() < SCAN {
            match self.scan.next() {
                Some(step) => self.step(step)?,
                None => break,
            }
        }
        if self.scan.is_idle() {
            self.end_scan();
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Photo(path) => self.see_scanned(&path, self.rescans.is_first())?,
            Step::Folder(path) => self.ears.listen(&path),
            Step::Read { path, ignored } => {
                self.folder_works(&path);
                if self.rescans.is_first() {
                    self.intake.metrics.count(Outcome::Ignored, ignored);
                }
            }
            Step::Failed(path, error) => self.folder_failed(&path, &error),
        }
        Ok(())
    }

    fn folder_works(&mut self, path: &Path) {
        self.intake.folder_works(path);
        if path == self.intake.root.path() {
            match self.intake.leads_elsewhere() {
                None => self.health.ready(),
                Some(why) => self.health.starting(why),
            }
        }
    }

    fn folder_failed(&mut self, path: &Path, error: &io::Error) {
        if is_out_of_files(error) {
            self.intake.lacks_files(error);
            if path == self.intake.root.path() {
                self.health.starting("no more files can be opened (ulimit -n): the input isn't read");
            }
            return self.rescans.not_after(Instant::now() + AGAIN);
        }
        self.intake.folder_failed(path, error);
        if path == self.intake.root.path() {
            let unread = format!("the input folder {} can't be read: {error}", path.display());
            self.health.starting(self.intake.leads_elsewhere().unwrap_or(&unread));
            self.rescans.not_after(Instant::now() + AGAIN);
        }
    }

    fn end_scan(&mut self) {
        let now = Instant::now();
        let Some(took) = self.rescans.end(now) else { return };
        self.intake.looked_since(now - took);
        self.intake.metrics.rescan_seconds.observe(took.as_secs_f64());
        tracing::debug!(?took, "the folder was read");
    }

    /// When some of the files that are pending may be done.
    fn rescan_later(&mut self) {
        self.rescans.not_after(Instant::now() + self.config.settle);
    }
}

#[cfg(test)]
mod tests;
