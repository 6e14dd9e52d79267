use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use autorma_schemas::{
    Event, ImageEvent, LedgerRecord, Micros, RunKind, RunRecord, event_id, hex, readable, run_is_over, topics,
};
use autorma_service::Shutdown;
use autorma_service::lag::lag;
use autorma_stream::retry::patiently;
use autorma_stream::{Append, Log, Producer, Transaction, failpoint};

use crate::metrics::Outcome;
use crate::runs::Runs;
use crate::settle::Version;
use crate::{Config, Error, Metrics};

/// Who ingest is to the log, and the source of its events.
const SLOT: &str = "ingest";
/// Whose commits say how far ahead ingest is.
const CLASSIFIER: &str = "classifier";
/// Files a transaction, at most.
const CHUNK: usize = 200;
/// How long the first file of a transaction waits for others while more are being read, at least; and the longer the more
/// the classifier still has: half a second for a thousand images, which no machine here does in that time. A transaction
/// costs the log nearly the same whatever it holds, and a broker on the same processors takes them from the classifier.
const LEAST_WAIT: Duration = Duration::from_millis(50);
const WAIT_AN_IMAGE: Duration = Duration::from_micros(500);
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// How often a classifier that is behind is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long it is waited for without a word.
const SILENT: Duration = Duration::from_secs(60);
/// Within this, the log shows what was committed: a cluster needs a moment, and more when a broker has died.
const SHOWS: Duration = Duration::from_secs(10);

/// Takes ingest's slot. From then on no earlier ingest writes, and everything that it has written can be read.
pub(crate) fn take_slot(log: &dyn Log) -> Result<Box<dyn Producer>, Error> {
    let producer = patiently(|| log.producer(SLOT))?;
    patiently(|| log.settle(&[topics::LEDGER, topics::RUNS]))?;
    Ok(producer)
}

/// A complete file.
#[derive(Debug)]
pub(crate) struct Photo {
    pub(crate) path: PathBuf,
    pub(crate) uri: String,
    pub(crate) version: Version,
    pub(crate) sha256: [u8; 32],
    pub(crate) seen_at: Micros,
}

/// Collects files and commits them together with the run that they belong to.
pub(crate) struct Publisher<'a> {
    config: &'a Config,
    log: &'a dyn Log,
    metrics: &'a Metrics,
    shutdown: &'a Shutdown,
    producer: Box<dyn Producer>,
    kind: RunKind,
    input: String,
    runs: Runs,
    /// As of the last commit; without images it isn't in the log yet.
    run: Option<RunRecord>,
    chunk: Chunk,
    published: u64,
    already_done: i64,
    ends: Ends,
    /// Image events that the classifier hadn't committed when that was looked at last.
    behind: u64,
}

/// What the next transaction holds.
#[derive(Debug, Default)]
struct Chunk {
    appends: Vec<Append>,
    files: usize,
    images: i64,
    begun: Option<Instant>,
}

/// Where the images' partitions end, together.
#[derive(Debug, Default)]
struct Ends {
    sum: i64,
    /// When this publisher's images were committed last.
    grown: Option<Instant>,
}

impl Ends {
    fn grow(&mut self, images: i64) {
        self.sum += images;
        self.grown = Some(Instant::now());
    }

    /// What the log shows is believed, but for moments after a commit, which may not show yet. Whoever went
    /// by what was there once would wait for ever when the topic was made anew.
    fn shown(&mut self, sum: i64) -> i64 {
        let may_not_show = self.grown.is_some_and(|at| at.elapsed() < SHOWS);
        self.sum = if may_not_show { self.sum.max(sum) } else { sum };
        self.sum
    }
}

impl<'a> Publisher<'a> {
    /// Continues an open run, if one matches, and closes all others.
    pub(crate) fn start(
        config: &'a Config,
        log: &'a dyn Log,
        metrics: &'a Metrics,
        shutdown: &'a Shutdown,
        producer: Box<dyn Producer>,
        kind: RunKind,
        input: String,
    ) -> Result<Self, Error> {
        let runs = Runs::load(log)?;
        let choice = runs.choose(kind, &input, config.run_length, Micros::now());
        let (run, chunk) = (choice.adopted, Chunk::default());
        let (published, already_done) = (0, 0);
        let mut publisher = Self {
            config,
            log,
            metrics,
            shutdown,
            producer,
            kind,
            input,
            runs,
            run,
            chunk,
            published,
            already_done,
            ends: Ends::default(),
            behind: 0,
        };
        if !choice.to_close.is_empty() {
            let closed = choice.to_close.into_iter().map(closed);
            publisher.commit(closed.map(|run| append(topics::RUNS, &run.run_id, &run)).collect())?;
        }
        if let Some(run) = &publisher.run {
            tracing::info!(run_id = run.run_id, images = run.images, "run continued");
        }
        Ok(publisher)
    }

    /// The id of the run that is open, if one is.
    pub(crate) fn run_id(&self) -> Option<&str> {
        self.run.as_ref().map(|run| &*run.run_id)
    }

    /// See [`Runs::unfinished`].
    pub(crate) fn unfinished(&self, then: Micros) -> HashSet<String> {
        self.runs.unfinished(then)
    }

    /// Images committed by this publisher.
    pub(crate) fn published(&self) -> u64 {
        self.published
    }

    /// A file was found that an earlier run had published.
    pub(crate) fn found_again(&mut self) {
        self.already_done += 1;
    }

    /// Publishes the photo with the next transaction; returns its run's id. False: see [`Publisher::flush`].
    pub(crate) fn publish(&mut self, photo: &Photo) -> Result<(String, bool), Error> {
        self.end_run_in_time()?;
        let (run_id, images) = self.open_run()?;
        let sha256 = hex(&photo.sha256);
        let event = ImageEvent {
            event_id: event_id(&photo.uri, &sha256),
            run_id: Some(run_id.clone()),
            sequence: images + self.chunk.images + 1,
            source: SLOT.into(),
            name: readable(photo.path.file_name().unwrap_or_default()),
            uri: Some(photo.uri.clone()),
            bytes: None,
            sha256,
            length: photo.version.size as i64,
            seen_at: photo.seen_at,
            attributes: BTreeMap::new(),
        };
        self.chunk.appends.push(append(topics::IMAGES, &event.event_id, &event));
        self.chunk.images += 1;
        let going_on = self.remember(photo, &run_id)?;
        Ok((run_id, going_on))
    }

    /// Remembers the file with the next transaction, as of the run that published its content.
    pub(crate) fn remember(&mut self, photo: &Photo, run_id: &str) -> Result<bool, Error> {
        let sha256 = hex(&photo.sha256);
        let record = LedgerRecord {
            uri: photo.uri.clone(),
            size: photo.version.size as i64,
            modified_ns: photo.version.modified_ns,
            event_id: event_id(&photo.uri, &sha256),
            sha256,
            run_id: run_id.into(),
        };
        self.chunk.appends.push(append(topics::LEDGER, &record.uri, &record));
        self.chunk.files += 1;
        let begun = *self.chunk.begun.get_or_insert_with(Instant::now);
        let most = CHUNK.min(usize::try_from(self.config.max_ahead).unwrap_or(CHUNK));
        if self.chunk.files >= most || begun.elapsed() >= longest_wait(self.behind) {
            self.flush()
        } else {
            Ok(true)
        }
    }

    /// Commits what was collected. False: a shutdown was asked for while the classifier was too far behind, and what
    /// was collected is left for the next start.
    pub(crate) fn flush(&mut self) -> Result<bool, Error> {
        if self.chunk.files == 0 {
            return Ok(true);
        }
        let images = self.chunk.images;
        if images > 0 && !self.wait_for_room(images as u64)? {
            self.chunk = Chunk::default();
            return Ok(false);
        }
        let Chunk { mut appends, files, .. } = std::mem::take(&mut self.chunk);
        let run = self.run.as_ref().filter(|_| images > 0).map(|run| RunRecord {
            images: run.images + images,
            already_done: self.already_done,
            ..run.clone()
        });
        appends.extend(run.iter().map(|run| append(topics::RUNS, &run.run_id, run)));
        self.commit(appends)?;
        if let Some(run) = run {
            self.ends.grow(images);
            if run.images == images {
                tracing::info!(run_id = run.run_id, kind = %run.kind, input = run.input, "run opened");
            }
            self.run = Some(run);
        }
        self.published += images as u64;
        self.metrics.published.inc_by(images as u64);
        self.metrics.count(Outcome::Published, images as u64);
        tracing::debug!(images, files, "published");
        Ok(true)
    }

    /// Ends the run: what was collected is committed first. Returns it as closed, if there was one.
    pub(crate) fn close(&mut self) -> Result<Option<RunRecord>, Error> {
        self.flush()?;
        let Some(run) = self.run.take().filter(|run| run.images > 0) else { return Ok(None) };
        let run = closed(RunRecord { already_done: self.already_done, ..run });
        self.commit(vec![append(topics::RUNS, &run.run_id, &run)])?;
        Ok(Some(run))
    }

    /// Commits what was collected and leaves the run open. Returns it, if it is in the log.
    pub(crate) fn leave_open(&mut self) -> Result<Option<RunRecord>, Error> {
        self.flush()?;
        Ok(self.run.clone().filter(|run| run.images > 0))
    }

    /// Closes a run of the daemon that has had its time.
    pub(crate) fn end_run_in_time(&mut self) -> Result<(), Error> {
        let length = self.config.run_length;
        let over = |run: &RunRecord| {
            run.kind == RunKind::Stream && run_is_over(run.opened_at, length, Micros::now())
        };
        if self.run.as_ref().is_some_and(over) {
            self.close()?;
        }
        Ok(())
    }

    /// How long the daemon's run still takes images.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let age = Micros::now().seconds_since(self.run.as_ref()?.opened_at).max(0.0);
        Some(self.config.run_length.saturating_sub(Duration::from_secs_f64(age)))
    }

    /// The open run's id and images; if there is none, one that its first commit opens.
    fn open_run(&mut self) -> Result<(String, i64), Error> {
        if self.run.is_none() {
            let now = Micros::now();
            let run_id = self.runs.name(self.log, now)?;
            self.run = Some(RunRecord::open(run_id, self.kind, self.input.as_str(), now));
        }
        let run = self.run.as_ref().expect("opened above");
        Ok((run.run_id.clone(), run.images))
    }

    /// Waits until the classifier isn't too far behind for `images` more. False at a shutdown.
    fn wait_for_room(&mut self, images: u64) -> Result<bool, Error> {
        let max_ahead = self.config.max_ahead;
        let (mut begun, mut told) = (None::<Instant>, false);
        loop {
            let behind = self.behind()?;
            if behind == 0 || behind + images <= max_ahead {
                return Ok(true);
            }
            if begun.is_none() {
                tracing::debug!(behind, "waiting for the classifier");
            }
            if begun.get_or_insert_with(Instant::now).elapsed() >= SILENT && !told {
                told = true;
                tracing::info!(behind, images, max_ahead, "still waiting for the classifier: does one run?");
            }
            if !self.shutdown.sleep(LOOK) {
                return Ok(false);
            }
        }
    }

    /// Image events that the classifier hasn't committed.
    fn behind(&mut self) -> Result<u64, Error> {
        let partitions = patiently(|| lag(&*self.log, CLASSIFIER, &[topics::IMAGES]))?;
        let ends = partitions.iter().map(|it| it.end.0).sum();
        let seen: u64 = partitions.iter().map(|it| it.lag).sum();
        // What the log doesn't show yet of what was published.
        let unseen = u64::try_from(self.ends.shown(ends) - ends).unwrap_or(0);
        self.behind = seen + unseen;
        Ok(self.behind)
    }

    fn commit(&mut self, appends: Vec<Append>) -> Result<(), Error> {
        let transaction = Transaction { appends, advance: None };
        let begun = Instant::now();
        failpoint::hit("ingest-before-commit");
        patiently(|| self.producer.commit(&transaction))?;
        failpoint::hit("ingest-after-commit");
        self.metrics.publish_seconds.observe(begun.elapsed().as_secs_f64());
        Ok(())
    }
}

fn longest_wait(behind: u64) -> Duration {
    let images = u32::try_from(behind).unwrap_or(u32::MAX);
    WAIT_AN_IMAGE.saturating_mul(images).clamp(LEAST_WAIT, LONGEST_WAIT)
}

fn closed(run: RunRecord) -> RunRecord {
    tracing::info!(run_id = run.run_id, images = run.images, "run closed");
    run.closed(Micros::now())
}

fn append(topic: &str, key: &str, event: &impl Event) -> Append {
    Append::keyed(topic, key, event.encode())
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_stream::embedded::Embedded;
    use autorma_stream::{Retention, Topic};

    fn log() -> Embedded {
        let log = Embedded::in_memory().unwrap();
        let topic = |name: &str| Topic { name: name.into(), partitions: 1, retention: Retention::Compact };
        log.create(&[topics::IMAGES, topics::RUNS, topics::LEDGER].map(topic)).unwrap();
        log
    }

    fn config(max_ahead: u64) -> Config {
        let hour = Duration::from_secs(3600);
        Config {
            input: "/in".into(),
            recursive: false,
            reprocess: None,
            settle: hour,
            rescan: hour,
            run_length: hour,
            max_ahead,
            patience: hour,
        }
    }

    fn photo(number: u8) -> Photo {
        let path = PathBuf::from(format!("/in/{number}.jpg"));
        let uri = format!("file:///in/{number}.jpg");
        let version = Version { size: 1, modified_ns: 0 };
        Photo { path, uri, version, sha256: [number; 32], seen_at: Micros::now() }
    }

    #[test]
    fn nobody_waits_for_images_that_the_log_has_lost() {
        let (log, made_anew) = (log(), log());
        let (config, shutdown) = (config(2), Shutdown::new());
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let (producer, kind) = (take_slot(&log).unwrap(), RunKind::Batch);
        let mut publisher =
            Publisher::start(&config, &log, &metrics, &shutdown, producer, kind, "/in".into()).unwrap();
        for number in [1, 2] {
            assert!(publisher.publish(&photo(number)).unwrap().1);
        }
        assert!(publisher.flush().unwrap());
        publisher.log = &made_anew;
        assert_eq!(publisher.behind().unwrap(), 2, "what was committed may not show yet");
        publisher.ends.grown = Instant::now().checked_sub(SHOWS);
        assert_eq!(publisher.behind().unwrap(), 0, "it would show by now");
        assert!(publisher.publish(&photo(3)).unwrap().1);
        assert!(publisher.flush().unwrap());
        assert_eq!(publisher.published(), 3);
    }

    #[test]
    fn the_more_the_classifier_has_the_longer_the_next_transaction_waits() {
        let milliseconds = [0, 100, 400, 1000, u64::MAX].map(|behind| longest_wait(behind).as_millis());
        assert_eq!(milliseconds, [50, 50, 200, 500, 500]);
    }
}
