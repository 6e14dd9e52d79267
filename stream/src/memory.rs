//! The log in memory, for fast tests: the same tables in SQLite's memory, gone with the last handle.

use std::collections::BTreeMap;

use crate::embedded::Embedded;
use crate::{
    Bounds, Consumer, Group, Housekeeping, Log, NextOffset, Producer, Rebalance, Result, StoredRecord,
    Subscription, Topic, TopicPartition,
};

/// A log in memory. Its clones are handles on the same log.
#[derive(Debug, Clone)]
pub struct Memory(Embedded);

impl Memory {
    /// An empty log.
    pub fn new() -> Result<Self> {
        Embedded::in_memory().map(Self)
    }
}

impl Log for Memory {
    fn identity(&self) -> Result<String> {
        self.0.identity()
    }

    fn create(&self, topics: &[Topic]) -> Result<()> {
        self.0.create(topics)
    }

    fn topics(&self) -> Result<Vec<Topic>> {
        self.0.topics()
    }

    fn subscribe(
        &self,
        subscription: Subscription,
        rebalance: Box<dyn Rebalance>,
    ) -> Result<Box<dyn Consumer>> {
        self.0.subscribe(subscription, rebalance)
    }

    fn producer(&self, slot: &str) -> Result<Box<dyn Producer>> {
        self.0.producer(slot)
    }

    fn read(&self, at: &TopicPartition, from: NextOffset, max: usize) -> Result<Vec<StoredRecord>> {
        self.0.read(at, from, max)
    }

    fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        self.0.bounds(topic)
    }

    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, NextOffset>> {
        self.0.committed(group)
    }

    fn groups(&self) -> Result<Vec<Group>> {
        self.0.groups()
    }

    fn housekeep(&self) -> Result<Housekeeping> {
        self.0.housekeep()
    }
}
