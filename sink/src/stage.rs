use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autorma_schemas::{Micros, topics};
use autorma_service::Shutdown;
use autorma_stream::{
    Consumer, Disposition, Log, NextOffset, Passed, PollLimit, Producer, Rebalance, Subscription,
    TopicPartition,
};
use parking_lot::Mutex;

use crate::bookkeeping::Bookkeeping;
use crate::buffer::Buffer;
use crate::manifest::Manifest;
use crate::names::Folder;
use crate::pace::Pace;
use crate::recovery::{Recovered, committed, recover, tell_of_another_folder};
use crate::store::Store;
use crate::stranded::Stranded;
use crate::strays::Strays;
use crate::{Config, Error, Metrics, Progress};

/// The group whose committed offsets say what is in files, for watching lag.
pub const GROUP: &str = "sink";

/// The name of the sink in the group, and of its producer: the same wherever it runs. So a second one on the log fences the
/// first, rather than have some of its partitions.
const SLOT: &str = "0";

/// What the sink reads.
pub const TOPICS: [&str; 3] = [topics::PREDICTIONS, topics::DEAD_LETTERS, topics::RUNS];

/// How long a poll waits, and how long nobody looks whether to stop.
const WAIT: Duration = Duration::from_millis(50);

/// Writes outcomes to files until the shutdown; then what was read is flushed, and the group left. Calls `ready` when
/// it has taken up what was there.
pub fn run(
    config: &Config,
    log: &dyn Log,
    metrics: &Metrics,
    progress: &Progress,
    shutdown: &Shutdown,
    ready: impl FnOnce(),
) -> Result<(), Error> {
    let store = Store::open(&config.output)?;
    let folder = Folder::new(&log.identity()?);
    // Its earlier incarnation writes no more once this one has the slot, so files are looked at after that.
    let producer = log.producer(&format!("{GROUP}-{SLOT}"))?;
    let Recovered { manifest, books, stranded } = recover(&store, &folder, log, config.run_length)?;
    let positions = Positions(Arc::new(Mutex::new(manifest.offsets.clone())));
    let subscription =
        Subscription { group: GROUP.into(), topics: TOPICS.map(String::from).into(), slot: SLOT.into() };
    let consumer = log.subscribe(subscription, Box::new(positions.clone()))?;
    let committed = committed(log)?;
    tell_of_another_folder(&manifest, &committed);
    let mut sink = Sink {
        metrics,
        progress,
        store,
        folder,
        manifest,
        committed,
        refused: None,
        books,
        positions,
        buffer: Buffer::default(),
        pace: Pace::default(),
        strays: Strays::default(),
        stranded,
        consumer,
        producer,
    };
    // Takes the partitions.
    keep_alive(&mut *sink.consumer)?;
    sink.settle()?;
    ready();
    while !shutdown.is_requested() {
        sink.turn(shutdown)?;
    }
    if !sink.buffer.is_empty() {
        sink.flush()?;
    }
    Ok(sink.consumer.leave()?)
}

/// The stage at work. One thread does everything, so its steps are in order.
pub(crate) struct Sink<'a> {
    pub(crate) metrics: &'a Metrics,
    pub(crate) progress: &'a Progress,
    pub(crate) store: Store,
    pub(crate) folder: Folder,
    /// As it is in the folder.
    pub(crate) manifest: Manifest,
    /// As the group has it. It is further than the manifest if another output folder was in use, or somebody moved it.
    pub(crate) committed: BTreeMap<TopicPartition, NextOffset>,
    /// When the group last refused the manifest's offsets; none if it has taken them.
    pub(crate) refused: Option<Instant>,
    pub(crate) books: Bookkeeping,
    pub(crate) positions: Positions,
    pub(crate) buffer: Buffer,
    pub(crate) pace: Pace,
    pub(crate) strays: Strays,
    pub(crate) stranded: Stranded,
    pub(crate) consumer: Box<dyn Consumer>,
    pub(crate) producer: Box<dyn Producer>,
}

impl Sink<'_> {
    /// Reads what is there, or flushes what was read.
    fn turn(&mut self, shutdown: &Shutdown) -> Result<(), Error> {
        self.settle_refused()?;
        let pause = self.pace.pause(Instant::now());
        // Where nothing more is to come, waiting for it is useless.
        let is_all = self.books.is_any_complete() || self.books.is_nothing_open();
        let urgent = pause.is_zero() || self.buffer.is_full() || is_all;
        let is_due = !self.buffer.is_empty() && urgent;
        if is_due || self.books.is_outside_due(Micros::now()) {
            return self.flush();
        }
        let wait = if self.buffer.is_empty() { WAIT } else { pause.min(WAIT) };
        match self.consumer.poll(self.buffer.room(), wait) {
            Ok(records) => {
                records.iter().try_for_each(|record| self.read(&record.stored))?;
                self.pass();
                Ok(())
            }
            Err(error) if error.disposition() == Disposition::Transient => {
                tracing::warn!(%error, "reading again");
                shutdown.sleep(WAIT);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Sink<'_> {
    /// Partitions go on behind their last record: to be told with the next flush.
    fn pass(&mut self) {
        for (at, Passed { next, .. }) in self.consumer.passed() {
            if self.positions.advance(&at, next) {
                self.buffer.count();
            }
        }
    }
}

/// Tells the group that this member lives, while something else takes long.
pub(crate) fn keep_alive(consumer: &mut dyn Consumer) -> Result<(), Error> {
    match consumer.poll(PollLimit::NOTHING, Duration::ZERO) {
        Err(error) if error.disposition() != Disposition::Transient => Err(error.into()),
        _ => Ok(()),
    }
}

/// Up to where each partition was read. The sink is alone in its group: a partition that it loses, because the machine
/// slept, comes back to it, and goes on from here.
#[derive(Debug, Clone)]
pub(crate) struct Positions(Arc<Mutex<BTreeMap<TopicPartition, NextOffset>>>);

impl Positions {
    /// Moves on to `next`. Whether that is further than before.
    pub(crate) fn advance(&self, at: &TopicPartition, next: NextOffset) -> bool {
        let mut positions = self.0.lock();
        let position = positions.entry(at.clone()).or_default();
        let is_new = next > *position;
        *position = next.max(*position);
        is_new
    }

    pub(crate) fn all(&self) -> BTreeMap<TopicPartition, NextOffset> {
        self.0.lock().clone()
    }
}

impl Rebalance for Positions {
    /// The manifest decides, not the group: offsets are committed after it.
    fn assigned(&mut self, at: &TopicPartition) -> autorma_stream::Result<Option<NextOffset>> {
        Ok(Some(self.all().get(at).copied().unwrap_or(NextOffset::START)))
    }

    fn revoked(&mut self, _: &[TopicPartition], _: bool) {}
}
