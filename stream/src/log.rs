use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use crate::{Membership, NextOffset, Passed, Record, Result, StoredRecord, TopicPartition, Transaction};

/// Bytes of keys and values that [`Log::read`] brings at most, beyond a single record: photos may travel in records.
pub const READ_BYTES: usize = 16 << 20;

/// A log: topics, consumer groups, transactions. Handles are cheap to share; every method may be called from any
/// thread and blocks.
pub trait Log: Debug + Send + Sync {
    /// The log's random name, given at its creation. Whoever keeps offsets outside the log keeps this beside them, so
    /// that nobody continues at the offsets of another log.
    fn identity(&self) -> Result<String>;

    /// Creates the topics that don't exist. One that exists keeps its partitions, whatever is asked for.
    fn create(&self, topics: &[Topic]) -> Result<()>;

    /// The topics of the log, by name.
    fn topics(&self) -> Result<Vec<Topic>>;

    /// Joins a group. The same slot joining again takes over from its previous incarnation at once.
    fn subscribe(
        &self,
        subscription: Subscription,
        rebalance: Box<dyn Rebalance>,
    ) -> Result<Box<dyn Consumer>>;

    /// A producer for the slot, a stable name for this role of this replica. Any earlier producer of the same slot
    /// is fenced from now on.
    fn producer(&self, slot: &str) -> Result<Box<dyn Producer>>;

    /// Up to `max` records from `from` on, outside any group, and no more than about [`READ_BYTES`] of them. Empty at the
    /// end.
    fn read(&self, at: &TopicPartition, from: NextOffset, max: usize) -> Result<Vec<StoredRecord>>;

    /// The first and the next offset of each partition of a topic, in order.
    fn bounds(&self, topic: &str) -> Result<Vec<Bounds>>;

    /// Waits until [`Log::bounds`] and [`Log::read`] show everything that was committed to these topics before the call.
    /// Where several write to a topic, one that died within a transaction may hide for a while what others have
    /// committed behind it; whoever reads a topic to learn what is so must not take half of it for all.
    fn settle(&self, _topics: &[&str]) -> Result<()> {
        Ok(())
    }

    /// From now on nothing is waited for that may never come: the process is about to end, and has waited enough.
    fn hurry(&self) {}

    /// Where a group continues, for each partition that it has committed or subscribed to.
    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, NextOffset>>;

    /// Every group with its living members.
    fn groups(&self) -> Result<Vec<Group>>;

    /// Drops what retention allows: records that every group has read and that are older than the topic keeps, and
    /// all but the newest record of each key of a compacted topic.
    fn housekeep(&self) -> Result<Housekeeping>;
}

/// A topic: its name, partitions and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions, at least 1.
    pub partitions: u32,
    /// What housekeeping leaves in it.
    pub retention: Retention,
}

/// What housekeeping leaves in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Records younger than this, and all that some group hasn't read.
    Age(Duration),
    /// The newest record of each key.
    Compact,
}

/// What a consumer asks for.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The group whose members share the topics' partitions.
    pub group: String,
    /// The topics.
    pub topics: Vec<String>,
    /// The stable name of this member within the group.
    pub slot: String,
}

/// A member of a group.
pub trait Consumer: Send {
    /// Waits up to `wait` for records of the assigned partitions, from the group's committed offsets on, in order
    /// within each partition. Heartbeats and rebalances happen inside, so it must be called every second or so; with
    /// room for no records it does only that. Returns early, and empty, when there was a rebalance.
    fn poll(&mut self, limit: PollLimit, wait: Duration) -> Result<Vec<Record>>;

    /// Where partitions go on behind the last record that was handed out, if that is further than the record's next
    /// offset: a log may keep more than records at its offsets. Each is told once, when it is news. To commit it is to
    /// say that nothing is left to do.
    fn passed(&mut self) -> BTreeMap<TopicPartition, Passed> {
        BTreeMap::new()
    }

    /// Who this is, for [`crate::Advance`].
    fn membership(&self) -> Membership;

    /// Leaves the group: the listener hears of the revocation, then the partitions go to the others at once.
    fn leave(self: Box<Self>) -> Result<()>;
}

/// How much a poll may return.
#[derive(Debug, Clone, Copy)]
pub struct PollLimit {
    /// Records.
    pub records: usize,
    /// Bytes of keys and values; at least one record comes even if it alone is larger.
    pub bytes: usize,
}

impl PollLimit {
    /// Room for nothing: the poll only keeps the membership alive.
    pub const NOTHING: PollLimit = PollLimit { records: 0, bytes: 0 };
}

/// Hears of partitions that come and go; called inside [`Consumer::poll`], on its thread.
pub trait Rebalance: Send {
    /// The partition is this member's from now on. `Some` overrides where it starts: what the group committed is
    /// the default.
    fn assigned(&mut self, at: &TopicPartition) -> Result<Option<NextOffset>>;

    /// The partitions are about to go to another member, or are `lost` already. Returns when the work on them is
    /// committed or given up; their assignments end then.
    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool);
}

/// A listener that has nothing to do.
#[derive(Debug, Clone, Copy)]
pub struct NoRebalance;

impl Rebalance for NoRebalance {
    fn assigned(&mut self, _: &TopicPartition) -> Result<Option<NextOffset>> {
        Ok(None)
    }

    fn revoked(&mut self, _: &[TopicPartition], _: bool) {}
}

/// Writes transactions on behalf of a slot.
pub trait Producer: Send {
    /// Appends the records and advances the offsets, all or nothing; durable when it returns. After an error nothing
    /// of it has happened, and the same transaction may be tried again if the error is transient. Only after
    /// [`Error::Expired`](crate::Error::Expired) and [`Error::GivenUp`](crate::Error::GivenUp) nobody but the log can tell
    /// whether it has.
    fn commit(&mut self, transaction: &Transaction) -> Result<()>;
}

/// The first record's offset and the next to be written; equal when a partition is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The partition.
    pub at: TopicPartition,
    /// Where reading can begin.
    pub start: NextOffset,
    /// Where the next record will stand.
    pub end: NextOffset,
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its living members, by slot.
    pub members: Vec<Member>,
}

/// A living member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its slot.
    pub slot: String,
    /// The process that it is in, where the log knows.
    pub process: Option<u32>,
    /// What it works on.
    pub partitions: Vec<TopicPartition>,
}

/// What housekeeping did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Housekeeping {
    /// Records dropped because they were old and read.
    pub expired: u64,
    /// Records dropped because their key has a newer one.
    pub compacted: u64,
}
