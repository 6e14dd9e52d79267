//! What the homes that manage their own groups share: who should have which partition, and a member's life. A home
//! provides the [`Store`]; one that leaves groups to a broker needs none of this.

mod member;
mod view;

pub(crate) use member::{GroupMember, Pace};
pub(crate) use view::{Holder, Living, View, stable_hash};

use crate::{NextOffset, PollLimit, Result, StoredRecord, TopicPartition};

/// A group as one of its members reaches it. Every method is one transaction.
pub(crate) trait Store: Send {
    /// The member lives, and holds these partitions: what should it do? None when a later incarnation has its slot.
    /// Free partitions that it should have are its already when this returns.
    fn beat(&mut self, held: &[TopicPartition]) -> Result<Option<Beat>>;

    /// Changes whenever a partition becomes free or a member comes or goes.
    fn epoch(&mut self) -> Result<i64>;

    /// These partitions are for the others now.
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// The member is gone, and all its partitions are for the others.
    fn leave(&mut self) -> Result<()>;

    /// Records from `from` on, within the room; a single record may exceed its bytes if `first` says so.
    fn fetch(
        &mut self,
        at: &TopicPartition,
        from: NextOffset,
        room: PollLimit,
        first: bool,
    ) -> Result<Vec<StoredRecord>>;
}

/// What a member learns from a heartbeat.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    /// The group's epoch.
    pub(crate) epoch: i64,
    /// Partitions that it believed to hold and doesn't.
    pub(crate) lost: Vec<TopicPartition>,
    /// Partitions to hand over.
    pub(crate) release: Vec<TopicPartition>,
    /// Partitions that are its from now on, and where the group continues in them.
    pub(crate) taken: Vec<(TopicPartition, NextOffset)>,
}
