//! The log as the stages of a replay see it: the image events that were chosen, read from the real log, and everything
//! else in memory. They can't move an offset of the real log or append to it, whatever they do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use autorma_schemas::topics;
use autorma_stream::embedded::Embedded;
use autorma_stream::{
    Bounds, Consumer, Error, Group, Housekeeping, Log, NextOffset, Offset, Producer, Rebalance, Result,
    Retention, StoredRecord, Subscription, Topic, TopicPartition, Transaction,
};
use parking_lot::{Mutex, MutexGuard};

use super::comparison::Comparison;
use super::reader::Reader;

/// The offsets of the chosen events, by partition.
type Chosen = BTreeMap<TopicPartition, Vec<Offset>>;

/// The view; its clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct View {
    real: Arc<dyn Log>,
    memory: Embedded,
    run: NewRun,
    /// The image events of the real log, until they are read.
    chosen: Arc<Mutex<Option<Chosen>>>,
    pub(super) reading: Arc<Reading>,
    comparison: Arc<Mutex<Comparison>>,
}

/// The run that the events go to.
#[derive(Debug, Clone)]
pub(super) struct NewRun {
    pub(super) id: Arc<str>,
    /// Whether they are numbered anew: those of one run keep their order and their batches.
    pub(super) renumber: bool,
}

/// How far the reading of the real log is.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Events that were handed to the classifier.
    pub(super) read: AtomicU64,
    /// Events that the log doesn't have any more.
    pub(super) vanished: AtomicU64,
}

impl Reading {
    /// Events that will have an outcome, once all are handed out; `chosen` is how many there were.
    pub(super) fn images(&self, chosen: u64) -> Option<u64> {
        let [read, vanished] = [&self.read, &self.vanished].map(|count| count.load(Ordering::Acquire));
        (read + vanished == chosen).then_some(read)
    }
}

impl View {
    pub(super) fn new(
        real: Arc<dyn Log>,
        run: NewRun,
        chosen: Chosen,
        comparison: Comparison,
    ) -> Result<Self> {
        let memory = Embedded::in_memory()?;
        // What the sink has put into files is of no use any more.
        let keep = Retention::Age(std::time::Duration::ZERO);
        let all = [topics::IMAGES, topics::PREDICTIONS, topics::DEAD_LETTERS, topics::RUNS];
        memory.create(&all.map(|name| Topic { name: name.into(), partitions: 1, retention: keep }))?;
        Ok(Self {
            real,
            memory,
            run,
            chosen: Arc::new(Mutex::new(Some(chosen))),
            reading: Arc::default(),
            comparison: Arc::new(Mutex::new(comparison)),
        })
    }

    /// What has changed so far.
    pub(super) fn comparison(&self) -> MutexGuard<'_, Comparison> {
        self.comparison.lock()
    }
}

impl Log for View {
    fn identity(&self) -> Result<String> {
        self.memory.identity()
    }

    fn create(&self, topics: &[Topic]) -> Result<()> {
        self.memory.create(topics)
    }

    fn topics(&self) -> Result<Vec<Topic>> {
        self.memory.topics()
    }

    fn subscribe(&self, it: Subscription, rebalance: Box<dyn Rebalance>) -> Result<Box<dyn Consumer>> {
        if it.topics != [topics::IMAGES] {
            return self.memory.subscribe(it, rebalance);
        }
        let chosen = self.chosen.lock().take();
        // What the first one had in hand is known to nobody: a stage that began anew here would wait for it for ever.
        let once = || Error::Storage {
            place: "the replay".into(),
            cause: "it can't be gone on with: replay again".into(),
        };
        let chosen = chosen.ok_or_else(once)?;
        let (real, reading) = (Arc::clone(&self.real), Arc::clone(&self.reading));
        Ok(Box::new(Reader::new(real, it, rebalance, self.run.clone(), chosen, reading)))
    }

    fn producer(&self, slot: &str) -> Result<Box<dyn Producer>> {
        Ok(Box::new(Writer { producer: self.memory.producer(slot)?, view: self.clone() }))
    }

    fn read(&self, at: &TopicPartition, from: NextOffset, max: usize) -> Result<Vec<StoredRecord>> {
        self.memory.read(at, from, max)
    }

    fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        self.memory.bounds(topic)
    }

    fn hurry(&self) {
        self.real.hurry();
    }

    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, NextOffset>> {
        self.memory.committed(group)
    }

    fn groups(&self) -> Result<Vec<Group>> {
        self.memory.groups()
    }

    fn housekeep(&self) -> Result<Housekeeping> {
        self.memory.housekeep()
    }
}

/// Writes to the memory alone, and compares what is written with what was before.
struct Writer {
    producer: Box<dyn Producer>,
    view: View,
}

impl Producer for Writer {
    fn commit(&mut self, transaction: &Transaction) -> Result<()> {
        let of_images = |at: &TopicPartition| at.topic == topics::IMAGES;
        // A replay is done whole or not at all: nobody continues at these offsets.
        let advance = transaction.advance.clone().filter(|advance| !advance.offsets.keys().any(of_images));
        self.producer.commit(&Transaction { appends: transaction.appends.clone(), advance })?;
        let mut comparison = self.view.comparison();
        transaction.appends.iter().for_each(|append| comparison.take(append));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
