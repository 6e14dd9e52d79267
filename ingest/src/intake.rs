use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use autorma_schemas::{Micros, RunKind, file_url};
use autorma_service::Shutdown;
use autorma_service::files::is_out_of_files;
use autorma_stream::Log;

use crate::content::{self, Content};
use crate::ledger::{Key, Known, Ledger};
use crate::metrics::Outcome;
use crate::publish::{Photo, Publisher, take_slot};
use crate::root::{Look, Root, Seen};
use crate::scan::says_gone;
use crate::settle::{Moment, Settling, Sight, Verdict};
use crate::warned::Warned;
use crate::{Config, Error, Metrics};

/// Photos are read this much at a time.
const BUFFER: usize = 256 << 10;
/// After how long it is told that a single file is still being read.
const LONG: Duration = Duration::from_secs(5);

/// The way of one file, from sight to publication: what `batch` and `watch` have in common.
pub(crate) struct Intake<'a> {
    pub(crate) root: Root,
    pub(crate) publisher: Publisher<'a>,
    pub(crate) settling: Settling,
    warned: Warned,
    /// What was told of where the input leads, while that is another folder.
    elsewhere: Option<String>,
    /// When the process could last open no more files; none if that is over.
    lacked: Option<Instant>,
    pub(crate) metrics: &'a Metrics,
    shutdown: &'a Shutdown,
    ledger: Ledger,
    /// If what finished runs published is published again: the other runs. What these published is still to
    /// be classified in them, and would be so twice.
    unfinished: Option<HashSet<String>>,
    buffer: Vec<u8>,
    /// [`LONG`].
    pub(crate) patience: Duration,
    /// Whether files that were closed are held until [`Intake::release`].
    holding: bool,
    held: Vec<Photo>,
}

/// What came of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Its event is on the way: it comes with the next transaction.
    Published,
    /// It was read, and is held.
    Held,
    /// It was published before, by an earlier run or, `by_this_run`, by the one that is open.
    Known { by_this_run: bool },
    /// It isn't complete.
    Pending,
    /// It isn't complete, and there was no room to remember it.
    Forgotten,
    /// It can't be read.
    Unreadable,
    /// It isn't a photo.
    Ignored,
    /// It is a folder.
    Folder,
    /// It isn't there.
    Gone,
    /// The shutdown came first.
    Interrupted,
}

impl<'a> Intake<'a> {
    pub(crate) fn start(
        config: &'a Config,
        root: Root,
        log: &'a dyn Log,
        metrics: &'a Metrics,
        shutdown: &'a Shutdown,
        kind: RunKind,
        most_pending: usize,
    ) -> Result<Self, Error> {
        let producer = take_slot(log)?;
        let ledger = Ledger::load(log)?;
        tracing::info!(input = root.text(), known = ledger.len(), "ingest ready");
        let input = root.text().to_owned();
        let publisher = Publisher::start(config, log, metrics, shutdown, producer, kind, input)?;
        let reprocess = config.reprocess.filter(|_| kind == RunKind::Batch);
        let unfinished = reprocess.map(|called| publisher.unfinished(called));
        let settling = Settling::new(config.settle, most_pending);
        Ok(Self {
            root,
            publisher,
            settling: if kind == RunKind::Batch { settling.in_passing() } else { settling },
            warned: Warned::default(),
            elsewhere: None,
            lacked: None,
            metrics,
            shutdown,
            ledger,
            unfinished,
            buffer: vec![0; BUFFER],
            patience: LONG,
            holding: false,
            held: Vec::new(),
        })
    }

    /// From now on, files that were closed are held until [`Intake::release`].
    pub(crate) fn hold(&mut self) {
        self.holding = true;
    }

    /// Whether files are held.
    pub(crate) fn holds_some(&self) -> bool {
        !self.held.is_empty()
    }

    /// Lets go of the files that are held: those that are `whole` are published, the others must settle.
    pub(crate) fn release(&mut self, whole: impl Fn(&Path) -> bool) -> Result<Vec<Taken>, Error> {
        let mut all = Vec::new();
        for photo in std::mem::take(&mut self.held) {
            if whole(&photo.path) {
                all.push(self.publish(photo)?);
            } else {
                self.settling.changed(&photo.path, photo.version, Moment::now());
            }
        }
        Ok(all)
    }

    /// A path with a photo's name came into view. `created`: by coming into being.
    pub(crate) fn see(&mut self, path: &Path, sight: Sight, created: bool) -> Result<Taken, Error> {
        let taken = match self.root.look(path) {
            Look::File(seen) => {
                // A link is made in one step: nobody will close it.
                let sight = if created && seen.is_link { Sight::Scanned } else { sight };
                return self.see_file(path, seen, sight);
            }
            Look::Folder => Taken::Folder,
            Look::Other => Taken::Ignored,
            Look::Gone => Taken::Gone,
            Look::Outside(target) => {
                if self.warned.first(path, "outside") {
                    self.metrics.count(Outcome::Ignored, 1);
                    tracing::warn!(?path, ?target, "ignored: a link out of the input folder");
                }
                Taken::Ignored
            }
            Look::Failed(error) => self.unreadable(path, &error),
        };
        self.settling.gone(path);
        Ok(taken)
    }

    fn see_file(&mut self, path: &Path, seen: Seen, sight: Sight) -> Result<Taken, Error> {
        let uri = file_url(path);
        let key = Key::of(&uri);
        // After a close the content may be new although size and time are not: clocks of file systems tick slowly.
        if sight == Sight::Scanned
            && let Some(known) = self.ledger.get(key).filter(|known| known.version == seen.version)
            && let Some(taken) = self.done_before(known)
        {
            self.settling.gone(path);
            return Ok(taken);
        }
        match self.settling.see(path, seen.version, sight, Moment::now()) {
            Verdict::Wait => Ok(Taken::Pending),
            Verdict::Forgotten => Ok(Taken::Forgotten),
            Verdict::Take(first_seen) => self.take(path, seen, uri, first_seen, sight),
        }
    }

    /// The file is complete.
    fn take(
        &mut self,
        path: &Path,
        seen: Seen,
        uri: String,
        seen_at: Micros,
        sight: Sight,
    ) -> Result<Taken, Error> {
        // Its folder may have become a link since it was found.
        if !self.root.holds_folder_of(path) {
            return Ok(Taken::Gone);
        }
        let begun = Instant::now();
        let go_on = || {
            if begun.elapsed() >= self.patience && self.warned.first(path, SLOW) {
                let bytes = seen.version.size;
                tracing::warn!(?path, bytes, "a file is still being read: the photos behind it wait");
            }
            !self.shutdown.is_requested()
        };
        let sha256 = match content::read(path, &seen, &mut self.buffer, go_on) {
            Ok(Content::Whole(sha256)) => sha256,
            Ok(Content::Changed(now)) => {
                self.settling.changed(path, now.version, Moment::now());
                return Ok(Taken::Pending);
            }
            Ok(Content::Interrupted) => return Ok(Taken::Interrupted),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Taken::Gone),
            Err(error) if is_out_of_files(&error) => {
                self.lacks_files(&error);
                self.settling.changed(path, seen.version, Moment::now());
                return Ok(Taken::Pending);
            }
            Err(error) => return Ok(self.unreadable(path, &error)),
        };
        self.warned.over(path, UNREADABLE);
        self.warned.over(path, SLOW);
        let photo = Photo { path: path.to_owned(), uri, version: seen.version, sha256, seen_at };
        if self.holding && sight == Sight::Complete {
            self.held.push(photo);
            return Ok(Taken::Held);
        }
        self.publish(photo)
    }

    /// Publishes a content that is new, and remembers one that isn't.
    fn publish(&mut self, photo: Photo) -> Result<Taken, Error> {
        let (key, version, sha256) = (Key::of(&photo.uri), photo.version, photo.sha256);
        if let Some(known) = self.ledger.get(key).filter(|known| known.sha256 == sha256)
            && let Some(taken) = self.done_before(known)
        {
            if known.version == version {
                return Ok(taken);
            }
            let run = self.ledger.run(known).to_owned();
            self.ledger.insert(key, version, sha256, &run);
            let going_on = self.publisher.remember(&photo, &run)?;
            return Ok(if going_on { taken } else { Taken::Interrupted });
        }
        let (run, going_on) = self.publisher.publish(&photo)?;
        // Before the commit: the same file may come into view again until then, and if the commit fails all ends.
        self.ledger.insert(key, version, sha256, &run);
        Ok(if going_on { Taken::Published } else { Taken::Interrupted })
    }

    /// What a known content comes to; none if it is to be published again.
    fn done_before(&self, known: Known) -> Option<Taken> {
        let run = self.ledger.run(known);
        let by_this_run = self.publisher.run_id() == Some(run);
        // A run that is in the log no longer was finished long ago.
        let again = self.unfinished.as_ref().is_some_and(|unfinished| !unfinished.contains(run));
        (by_this_run || !again).then_some(Taken::Known { by_this_run })
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) -> Taken {
        if self.warned.first(path, UNREADABLE) {
            self.metrics.count(Outcome::Unreadable, 1);
            tracing::warn!(?path, %error, "left out: the file can't be read");
        }
        Taken::Unreadable
    }

    /// The process may open no more files, which is no photo's fault, nor a folder's. That is told once until it is over.
    pub(crate) fn lacks_files(&mut self, error: &std::io::Error) {
        if self.lacked.replace(Instant::now()).is_none() {
            tracing::warn!(%error, "no more files can be opened (ulimit -n): photos are looked at again later");
        }
    }

    /// All was looked at since then: want of files is over if none was wanting. That one was there says little, where there
    /// are too few.
    pub(crate) fn looked_since(&mut self, begun: Instant) {
        self.lacked = self.lacked.filter(|lacked| *lacked >= begun);
    }

    /// A folder couldn't be read. Whether photos may be missed in it: not if it has gone, like a file that has.
    pub(crate) fn folder_failed(&mut self, path: &Path, error: &std::io::Error) -> bool {
        if says_gone(error) && path != self.root.path() {
            return false;
        }
        if self.warned.first(path, UNREADABLE) {
            self.metrics.unreadable_folders.inc();
            match path == self.root.path() {
                true => tracing::error!(?path, %error, "the input folder can't be read: it is tried again"),
                false => tracing::warn!(?path, %error, "left out: the folder can't be read"),
            }
        }
        true
    }

    /// What to do, if what was named as the input leads to another folder by now. That is told once.
    pub(crate) fn leads_elsewhere(&mut self) -> Option<&str> {
        let (named, path) = (self.root.named().display(), self.root.path().display());
        match self.root.elsewhere() {
            // It may be about to lead here again, or to another one.
            Err(_) => {}
            Ok(None) => {
                if self.elsewhere.take().is_some() {
                    tracing::info!("the input {named} leads to {path} again");
                }
            }
            Ok(Some(now)) => {
                let now = now.display();
                let advice = "start again, or let it lead there again";
                let told =
                    format!("the input {named} leads to {now} by now, and only {path} is read: {advice}");
                if self.elsewhere.as_ref() != Some(&told) {
                    tracing::error!("{told}");
                    self.elsewhere = Some(told);
                }
            }
        }
        self.elsewhere.as_deref()
    }

    /// A folder was read.
    pub(crate) fn folder_works(&mut self, path: &Path) {
        if self.warned.over(path, UNREADABLE) {
            tracing::info!(?path, "the folder can be read again");
        }
    }
}

const UNREADABLE: &str = "unreadable";
const SLOW: &str = "slow";
