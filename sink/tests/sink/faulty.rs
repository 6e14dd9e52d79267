use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use autorma_schemas::topics;
use autorma_stream::embedded::Embedded;
use autorma_stream::{
    Bounds, Consumer, Error, Group, Housekeeping, Log, NextOffset, Producer, Rebalance, Result, StoredRecord,
    Subscription, Topic, TopicPartition, Transaction,
};

/// When a commit of the sink fails for good, as if the process had been killed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Instead of committing offsets.
    AtOffsets,
    /// Instead of committing offsets, too, but the group has only taken the partitions away for a moment.
    AssignmentEnds,
    /// Instead of saying that a run is finished.
    AtFinished,
    /// After saying so.
    AfterFinished,
    /// After saying so, but the log's answer is lost: the sink is to begin anew.
    FinishedUnheard,
    /// Instead of reading dead letters page by page, as at the start where parts have vanished.
    AtDeadLetters,
    /// The group's offsets are forgotten, for good.
    GroupForgotten,
    /// Records that are asked for alone aren't there, for good.
    NoSingleRecord,
}

impl Fault {
    /// Whether it strikes at the transaction.
    fn is_at(self, transaction: &Transaction) -> bool {
        match self {
            Fault::AtOffsets | Fault::AssignmentEnds => transaction.advance.is_some(),
            Fault::AtFinished | Fault::AfterFinished | Fault::FinishedUnheard => {
                transaction.advance.is_none()
            }
            Fault::AtDeadLetters | Fault::GroupForgotten | Fault::NoSingleRecord => false,
        }
    }
}

/// A log whose producers fail once.
#[derive(Debug)]
pub(crate) struct Faulty {
    log: Embedded,
    fault: Fault,
    armed: Arc<AtomicBool>,
}

impl Faulty {
    pub(crate) fn new(log: &Embedded, fault: Fault) -> Arc<Self> {
        Arc::new(Self { log: log.clone(), fault, armed: Arc::new(AtomicBool::new(true)) })
    }

    pub(crate) fn has_failed(&self) -> bool {
        !self.armed.load(Ordering::SeqCst)
    }
}

struct FaultyProducer {
    producer: Box<dyn Producer>,
    fault: Fault,
    armed: Arc<AtomicBool>,
}

impl Producer for FaultyProducer {
    fn commit(&mut self, transaction: &Transaction) -> Result<()> {
        if !self.fault.is_at(transaction) || !self.armed.swap(false, Ordering::SeqCst) {
            return self.producer.commit(transaction);
        }
        if self.fault == Fault::AssignmentEnds {
            return Err(Error::AssignmentEnded(TopicPartition::new(topics::PREDICTIONS, 0)));
        }
        if matches!(self.fault, Fault::AfterFinished | Fault::FinishedUnheard) {
            self.producer.commit(transaction)?;
        }
        if self.fault == Fault::FinishedUnheard {
            return Err(Error::Expired { slot: "sink-0".into(), longest: Duration::from_secs(60) });
        }
        Err(failed())
    }
}

fn failed() -> Error {
    Error::Storage { place: "here".into(), cause: "a test".into() }
}

impl Log for Faulty {
    fn identity(&self) -> Result<String> {
        self.log.identity()
    }

    fn create(&self, topics: &[Topic]) -> Result<()> {
        self.log.create(topics)
    }

    fn topics(&self) -> Result<Vec<Topic>> {
        self.log.topics()
    }

    fn subscribe(
        &self,
        subscription: Subscription,
        rebalance: Box<dyn Rebalance>,
    ) -> Result<Box<dyn Consumer>> {
        self.log.subscribe(subscription, rebalance)
    }

    fn producer(&self, slot: &str) -> Result<Box<dyn Producer>> {
        let (producer, armed) = (self.log.producer(slot)?, Arc::clone(&self.armed));
        Ok(Box::new(FaultyProducer { producer, fault: self.fault, armed }))
    }

    fn read(&self, at: &TopicPartition, from: NextOffset, max: usize) -> Result<Vec<StoredRecord>> {
        let is_here = self.fault == Fault::AtDeadLetters && at.topic == topics::DEAD_LETTERS && max > 1;
        if is_here && self.armed.swap(false, Ordering::SeqCst) {
            return Err(failed());
        }
        if self.fault == Fault::NoSingleRecord && max == 1 {
            return Ok(Vec::new());
        }
        self.log.read(at, from, max)
    }

    fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        self.log.bounds(topic)
    }

    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, NextOffset>> {
        if self.fault == Fault::GroupForgotten {
            return Ok(BTreeMap::new());
        }
        self.log.committed(group)
    }

    fn groups(&self) -> Result<Vec<Group>> {
        self.log.groups()
    }

    fn housekeep(&self) -> Result<Housekeeping> {
        self.log.housekeep()
    }
}
