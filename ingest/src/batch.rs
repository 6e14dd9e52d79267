use std::time::Instant;

use autorma_schemas::{RunKind, RunRecord};
use autorma_service::Shutdown;
use autorma_service::files::is_out_of_files;
use autorma_stream::Log;

use crate::intake::{Intake, Taken};
use crate::metrics::Outcome;
use crate::root::Root;
use crate::scan::{Scan, Step};
use crate::settle::Sight;
use crate::{Config, Error, Metrics};

/// How many of the files that are left out are named.
const NAMED: usize = 100;

/// What a batch found, so far or finally.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Photos in the folder.
    pub discovered: u64,
    /// Photos that this call has published.
    pub published: u64,
    /// Photos that were published before, and not by the run that this call continues.
    pub already_done: u64,
    /// Photos that can't be read.
    pub unreadable: u64,
    /// Folders in the folder that can't be read: nobody knows which photos are in them.
    pub unreadable_folders: u64,
    /// Photos that were still being written at the end.
    pub left_out: u64,
}

/// A batch's end.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What it found.
    pub found: Found,
    /// The run as closed, or as left open if a shutdown came first: the next batch on the folder continues it. None when
    /// nothing was new and no run was continued.
    pub run: Option<RunRecord>,
}

/// Publishes what the folder holds, once. `progress` hears of each transaction, and of the end.
pub fn batch(
    config: &Config,
    log: &dyn Log,
    metrics: &Metrics,
    shutdown: &Shutdown,
    progress: &mut dyn FnMut(Found),
) -> Result<Batch, Error> {
    let root = Root::open(&config.input)?;
    let mut scan = Scan::new(config.recursive);
    scan.push(root.path().to_owned());
    let intake = Intake::start(config, root, log, metrics, shutdown, RunKind::Batch, usize::MAX)?;
    let mut batch = Folder { config, intake, shutdown, progress, found: Found::default() };
    let begun = Instant::now();
    let mut finished = batch.read(scan)?;
    metrics.rescan_seconds.observe(begun.elapsed().as_secs_f64());
    finished = finished && batch.wait_for_writers()?;
    let publisher = &mut batch.intake.publisher;
    // Flushed first: a shutdown during that leaves photos behind, and then the run isn't complete.
    finished = publisher.flush()? && finished;
    let run = if finished {
        // Photos that are gone with their folder are still to come.
        batch.intake.root.expect_there()?;
        publisher.close()?
    } else {
        publisher.leave_open()?
    };
    metrics.pending.set(0);
    batch.tell();
    Ok(Batch { found: batch.found, run })
}

struct Folder<'a, 'p> {
    config: &'a Config,
    intake: Intake<'a>,
    shutdown: &'a Shutdown,
    progress: &'p mut dyn FnMut(Found),
    found: Found,
}

impl Folder<'_, '_> {
    /// Whether all of it was read; otherwise a shutdown was asked for.
    fn read(&mut self, mut scan: Scan) -> Result<bool, Error> {
        while let Some(step) = scan.next() {
            match step {
                Step::Photo(path) => {
                    self.found.discovered += 1;
                    let taken = self.intake.see(&path, Sight::Scanned, false)?;
                    self.count(taken);
                    // Nobody could say what it is when it was listed.
                    if taken == Taken::Folder && self.config.recursive {
                        scan.push(path);
                    }
                }
                Step::Folder(_) => {}
                Step::Read { ignored, .. } => self.intake.metrics.count(Outcome::Ignored, ignored),
                Step::Failed(_, error) if is_out_of_files(&error) => return Err(Error::OutOfFiles(error)),
                Step::Failed(path, error) if path == self.intake.root.path() => {
                    return Err(Error::InputUnreadable { path, cause: error });
                }
                Step::Failed(path, error) => {
                    self.found.unreadable_folders += u64::from(self.intake.folder_failed(&path, &error));
                }
            }
            if self.shutdown.is_requested() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes those that become complete while there is patience. Returns whether to go on, as above.
    fn wait_for_writers(&mut self) -> Result<bool, Error> {
        let deadline = Instant::now() + self.config.patience;
        while let Some(due) = self.intake.settling.next_due() {
            let now = Instant::now();
            if let Some(path) = self.intake.settling.due(now) {
                let taken = self.intake.see(&path, Sight::Scanned, false)?;
                self.count(taken);
                if self.shutdown.is_requested() {
                    return Ok(false);
                }
                continue;
            }
            if now >= deadline {
                break;
            }
            if !self.intake.publisher.flush()? || !self.shutdown.sleep(due.min(deadline) - now) {
                return Ok(false);
            }
            self.tell_if_published();
        }
        self.leave_out();
        Ok(true)
    }

    fn leave_out(&mut self) {
        let mut paths: Vec<_> = self.intake.settling.paths().collect();
        paths.sort_unstable();
        self.found.left_out = paths.len() as u64;
        for path in paths.iter().take(NAMED) {
            tracing::warn!(?path, "left out: the file is still being written, or couldn't be opened");
        }
        if paths.len() > NAMED {
            tracing::warn!(files = paths.len() - NAMED, "left out, like the files above");
        }
    }

    fn count(&mut self, taken: Taken) {
        match taken {
            Taken::Known { by_this_run } => {
                self.intake.metrics.count(Outcome::Known, 1);
                if !by_this_run {
                    self.found.already_done += 1;
                    self.intake.publisher.found_again();
                }
            }
            Taken::Unreadable => self.found.unreadable += 1,
            // What has a photo's name and isn't a file isn't a photo.
            Taken::Ignored | Taken::Folder | Taken::Gone => self.found.discovered -= 1,
            Taken::Published | Taken::Held | Taken::Pending | Taken::Forgotten | Taken::Interrupted => {}
        }
        self.intake.metrics.pending.set(self.intake.settling.len() as i64);
        self.tell_if_published();
    }

    fn tell_if_published(&mut self) {
        if self.intake.publisher.published() > self.found.published {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.found.published = self.intake.publisher.published();
        (self.progress)(self.found);
    }
}
