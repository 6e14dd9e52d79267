use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};

use super::rebalancing::Listener;
use crate::{Advance, Assignment, Error, Membership, NextOffset, Result, TopicPartition};

/// What this process's members of groups hold: a producer commits on behalf of one of them.
static LIVING: Mutex<BTreeMap<i64, Weak<Member>>> = Mutex::new(BTreeMap::new());
static INCARNATIONS: AtomicI64 = AtomicI64::new(1);

/// A member of a group, as its consumer and its producer see it.
pub(super) struct Member {
    pub(super) membership: Membership,
    pub(super) consumer: BaseConsumer<Listener>,
    /// Brokers and prefix.
    cluster: (String, String),
    held: Arc<Mutex<Holdings>>,
}

/// The partitions of a member.
pub(super) type Holdings = BTreeMap<TopicPartition, Held>;

/// One of them.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) assignment: Assignment,
    /// Behind the last record that came, and behind what is known to be empty; None until a record came or the group
    /// has said where it continues.
    pub(super) position: Option<NextOffset>,
    /// Where the group continues; commits don't go back behind it.
    pub(super) committed: Option<NextOffset>,
    /// Where the brokers had nothing any more, until it is known where they have something.
    pub(super) reset: Option<NextOffset>,
}

impl Member {
    /// A member that commits are accepted of, as long as it lives.
    pub(super) fn enrol(
        group: String,
        slot: String,
        cluster: (String, String),
        consumer: BaseConsumer<Listener>,
        held: Arc<Mutex<Holdings>>,
    ) -> Arc<Self> {
        let incarnation = INCARNATIONS.fetch_add(1, Ordering::Relaxed);
        let membership = Membership { group, slot, incarnation };
        let member = Arc::new(Self { membership, consumer, cluster, held });
        let mut living = LIVING.lock();
        living.retain(|_, member| member.strong_count() > 0);
        living.insert(incarnation, Arc::downgrade(&member));
        member
    }

    /// The member of this process with this membership; none if its slot has a later incarnation.
    pub(super) fn of(membership: &Membership) -> Option<Arc<Self>> {
        let living = LIVING.lock();
        let member = living.get(&membership.incarnation)?.upgrade()?;
        let is_later =
            |(_, other): (_, &Weak<Self>)| other.upgrade().is_some_and(|other| member.is_of_slot(&other));
        let is_out = living.range(membership.incarnation + 1..).any(is_later);
        (member.membership == *membership && !is_out).then_some(member)
    }

    fn is_of_slot(&self, other: &Self) -> bool {
        let (mine, others) = (&self.membership, &other.membership);
        (&mine.group, &mine.slot, &self.cluster) == (&others.group, &others.slot, &other.cluster)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Holdings> {
        self.held.lock()
    }

    /// What the broker needs to know whether this still is a member, taken before a look at what it holds: if anything
    /// moves after that look, the generation is an old one and the broker refuses the commit.
    pub(super) fn permit(&self, advance: &Advance, with_appends: bool) -> Result<Permit> {
        let metadata = self.consumer.group_metadata();
        let held = self.held();
        let mut offsets = BTreeMap::new();
        for (at, next) in &advance.offsets {
            let is_held = |held: &&Held| held.assignment.is_alive() && advance.is_alive(at, with_appends);
            let Some(held) = held.get(at).filter(is_held) else {
                return Err(Error::AssignmentEnded(at.clone()));
            };
            match held.committed {
                // Its outputs are there already.
                Some(committed) if *next <= committed && with_appends => {
                    return Err(Error::AssignmentEnded(at.clone()));
                }
                Some(committed) if *next <= committed => {}
                _ => drop(offsets.insert(at.clone(), *next)),
            }
        }
        let ended = || advance.offsets.keys().next().cloned().map(Error::AssignmentEnded);
        match metadata {
            Some(metadata) => Ok(Permit { metadata: Arc::new(metadata), offsets }),
            None => Err(ended().unwrap_or_else(|| Error::Busy("the group has no members".into()))),
        }
    }

    /// The group continues there from now on.
    pub(super) fn committed(&self, offsets: &BTreeMap<TopicPartition, NextOffset>) {
        let mut all = self.held();
        for (at, next) in offsets {
            if let Some(held) = all.get_mut(at) {
                held.committed = held.committed.max(Some(*next));
            }
        }
    }
}

/// What a commit on behalf of a member carries.
pub(super) struct Permit {
    pub(super) metadata: Arc<ConsumerGroupMetadata>,
    /// Those that move something.
    pub(super) offsets: BTreeMap<TopicPartition, NextOffset>,
}
