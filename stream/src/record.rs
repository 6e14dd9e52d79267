use std::collections::BTreeMap;
use std::fmt;

use crate::{Assignment, Membership};

/// One partition of one topic: the unit of order and of assignment.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// Its partition, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Where a record stands in its partition. Offsets grow; they may have gaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    /// The offset to continue at once this record is done. The one place where the `+ 1` of checkpoints is written.
    pub fn next(self) -> NextOffset {
        NextOffset(self.0 + 1)
    }
}

/// Where to continue in a partition: everything before it is done. What is committed is always one of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextOffset(pub i64);

impl NextOffset {
    /// The beginning of every partition.
    pub const START: NextOffset = NextOffset(0);
}

/// A record as the log keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredRecord {
    /// Where it stands.
    pub at: TopicPartition,
    /// Its offset there.
    pub offset: Offset,
    /// What compaction and partitioning go by.
    pub key: Option<Vec<u8>>,
    /// The event.
    pub value: Vec<u8>,
    /// Further facts about it; the values are bytes.
    pub headers: Vec<(String, Vec<u8>)>,
    /// When it was appended: microseconds since 1970.
    pub appended_at: i64,
}

impl StoredRecord {
    /// Bytes of its key and its value.
    pub fn size(&self) -> usize {
        self.value.len() + self.key.as_ref().map_or(0, Vec::len)
    }
}

/// A record handed to a member of a group, with the assignment under which it may be worked on.
#[derive(Debug, Clone)]
pub struct Record {
    /// The record.
    pub stored: StoredRecord,
    /// Ends when the partition is taken away: work for a dead assignment is dropped, not committed.
    pub assignment: Assignment,
}

/// That a partition goes on there, with nothing left to do before it.
#[derive(Debug, Clone)]
pub struct Passed {
    /// Where.
    pub next: NextOffset,
    /// Ends when the partition is taken away.
    pub assignment: Assignment,
}

/// A record to append.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Append {
    /// The topic; it must have been created.
    pub topic: String,
    /// The partition, or none to let the log choose: by the key's hash, or in turn where there is no key.
    pub partition: Option<i32>,
    /// What compaction and partitioning go by.
    pub key: Option<Vec<u8>>,
    /// The event.
    pub value: Vec<u8>,
    /// Further facts about it.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Append {
    /// A record whose partition follows from its key.
    pub fn keyed(topic: &str, key: &str, value: Vec<u8>) -> Self {
        Self { topic: topic.into(), key: Some(key.into()), value, ..Self::default() }
    }
}

/// Append these records and advance these input offsets, all or nothing.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// Records to append, in this order within each partition.
    pub appends: Vec<Append>,
    /// Input offsets to commit with them.
    pub advance: Option<Advance>,
}

/// Input offsets to commit on behalf of a member of a group.
#[derive(Debug, Clone)]
pub struct Advance {
    /// Who commits: a member whose assignment has ended is refused.
    pub membership: Membership,
    /// Where the group continues, for each partition.
    pub offsets: BTreeMap<TopicPartition, NextOffset>,
    /// The assignments under which the work on them was done. A partition that went and came back, to the same member
    /// even, is worked on anew from where the group continued: what was done before would be there twice. So work of an
    /// ended assignment is refused, and so are appends for a partition without any.
    pub assignments: BTreeMap<TopicPartition, Assignment>,
}

impl Advance {
    /// Behind these records of one poll or several, which come in order within each partition.
    pub fn behind<'a>(membership: Membership, records: impl IntoIterator<Item = &'a Record>) -> Self {
        let (mut offsets, mut assignments) = (BTreeMap::new(), BTreeMap::new());
        for Record { stored, assignment } in records {
            offsets.insert(stored.at.clone(), stored.offset.next());
            assignments.insert(stored.at.clone(), assignment.clone());
        }
        Self { membership, offsets, assignments }
    }

    /// To these offsets, with no work behind them that could be doubled: only a transaction without appends may have it.
    pub fn to(membership: Membership, offsets: BTreeMap<TopicPartition, NextOffset>) -> Self {
        Self { membership, offsets, assignments: BTreeMap::new() }
    }

    /// Whether the work on the partition may still be committed, as far as its assignment goes.
    pub(crate) fn is_alive(&self, at: &TopicPartition, with_appends: bool) -> bool {
        self.assignments.get(at).map_or(!with_appends, Assignment::is_alive)
    }
}
