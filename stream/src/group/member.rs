use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Beat, Store};
use crate::bell::Bell;
use crate::{
    Assignment, Consumer, Error, Membership, NextOffset, PollLimit, Rebalance, Record, Result, TopicPartition,
};

/// How often a member does what even without news.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Heartbeats.
    pub(crate) beat: Duration,
    /// Looks for records and rebalances, though the bell was silent.
    pub(crate) look: Duration,
}

/// A member of a group that the home manages itself.
pub(crate) struct GroupMember<S: Store> {
    store: S,
    membership: Membership,
    listener: Box<dyn Rebalance>,
    bell: Arc<Bell>,
    pace: Pace,
    held: BTreeMap<TopicPartition, Held>,
    epoch: i64,
    next_beat: Instant,
    next_look: Instant,
    /// The ring after which the epoch was checked.
    attended: Option<u64>,
    /// The ring after which there was nothing to read.
    drained: Option<u64>,
    /// Which partition is the first in the next fetch.
    turn: usize,
    left: bool,
}

#[derive(Debug)]
struct Held {
    assignment: Assignment,
    position: NextOffset,
}

impl<S: Store> GroupMember<S> {
    pub(crate) fn new(
        store: S,
        membership: Membership,
        listener: Box<dyn Rebalance>,
        bell: Arc<Bell>,
        pace: Pace,
    ) -> Self {
        let now = Instant::now();
        Self {
            store,
            membership,
            listener,
            bell,
            pace,
            held: BTreeMap::new(),
            epoch: 0,
            next_beat: now,
            next_look: now,
            attended: None,
            drained: None,
            turn: 0,
            left: false,
        }
    }

    /// Heartbeats and rebalances, when it is time or the epoch has changed. Says whether partitions came or went.
    fn attend(&mut self, heard: u64) -> Result<bool> {
        let now = Instant::now();
        if now >= self.next_look {
            (self.attended, self.drained) = (None, None);
            self.next_look = now + self.pace.look;
        }
        let due = now >= self.next_beat;
        if !due && (self.attended == Some(heard) || self.store.epoch()? == self.epoch) {
            self.attended = Some(heard);
            return Ok(false);
        }
        let changed = self.beat()?;
        // Only now: a heartbeat that failed halfway is due again.
        self.next_beat = now + self.pace.beat;
        Ok(changed)
    }

    fn beat(&mut self) -> Result<bool> {
        let held: Vec<_> = self.held.keys().cloned().collect();
        let Some(beat) = self.store.beat(&held)? else {
            self.lose(&held);
            return Err(Error::Fenced { slot: self.membership.slot.clone() });
        };
        let Beat { epoch, lost, release, taken } = beat;
        let changed = !(lost.is_empty() && release.is_empty() && taken.is_empty());
        self.lose(&lost);
        self.give(&release)?;
        for (at, committed) in taken {
            self.take(at, committed)?;
        }
        self.epoch = epoch;
        (self.attended, self.drained) = (None, None);
        // What was lost may be free, and its work has ended now.
        if !lost.is_empty() {
            self.beat()?;
        }
        Ok(changed)
    }

    /// Nothing can be committed on them any more, so their assignments end first.
    fn lose(&mut self, partitions: &[TopicPartition]) {
        if partitions.is_empty() {
            return;
        }
        tracing::warn!(
            group = self.membership.group,
            slot = self.membership.slot,
            ?partitions,
            "partitions lost"
        );
        self.end(partitions);
        self.listener.revoked(partitions, true);
    }

    /// The listener may still commit its work before they go.
    fn give(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        self.revoke(partitions);
        self.store.release(partitions)
    }

    fn revoke(&mut self, partitions: &[TopicPartition]) {
        let held: Vec<_> = partitions.iter().filter(|at| self.held.contains_key(at)).cloned().collect();
        if !held.is_empty() {
            self.listener.revoked(&held, false);
            self.end(&held);
        }
    }

    fn end(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            if let Some(held) = self.held.remove(at) {
                held.assignment.end();
            }
        }
    }

    fn take(&mut self, at: TopicPartition, committed: NextOffset) -> Result<()> {
        let position = self.listener.assigned(&at)?.unwrap_or(committed);
        let assignment = Assignment::begin();
        self.held.insert(at, Held { assignment, position });
        Ok(())
    }

    /// What is there, a fair part from each partition first, and then from those that have more.
    fn fetch(&mut self, heard: u64, limit: PollLimit) -> Result<Vec<Record>> {
        let nothing = limit.records == 0 || self.held.is_empty() || self.drained == Some(heard);
        if nothing {
            return Ok(Vec::new());
        }
        let mut order: Vec<_> = self.held.keys().cloned().collect();
        let first = self.turn % order.len();
        order.rotate_left(first);
        self.turn = self.turn.wrapping_add(1);
        let mut basket = Basket { records: Vec::new(), left: limit };
        let share = |whole: usize| whole.div_ceil(order.len());
        let fair = PollLimit { records: share(limit.records), bytes: share(limit.bytes) };
        for room in [fair, limit] {
            for at in &order {
                match self.fetch_from(at, room, &mut basket) {
                    // What was taken counts as read: it must come to the stage. Who polls again is told.
                    Err(error) if !basket.records.is_empty() => {
                        tracing::debug!(%error, partition = %at, "the others' records come first");
                        return Ok(basket.records);
                    }
                    fetched => fetched?,
                }
            }
            if basket.records.is_empty() {
                break;
            }
        }
        if basket.records.is_empty() {
            self.drained = Some(heard);
        }
        Ok(basket.records)
    }

    fn fetch_from(&mut self, at: &TopicPartition, room: PollLimit, basket: &mut Basket) -> Result<()> {
        let room = PollLimit {
            records: room.records.min(basket.left.records),
            bytes: room.bytes.min(basket.left.bytes),
        };
        let Some(held) = self.held.get_mut(at) else {
            return Ok(());
        };
        if room.records == 0 {
            return Ok(());
        }
        for stored in self.store.fetch(at, held.position, room, basket.records.is_empty())? {
            held.position = stored.offset.next();
            basket.left.records -= 1;
            basket.left.bytes = basket.left.bytes.saturating_sub(stored.size());
            basket.records.push(Record { stored, assignment: held.assignment.clone() });
        }
        Ok(())
    }

    fn depart(&mut self) -> Result<()> {
        self.left = true;
        let held: Vec<_> = self.held.keys().cloned().collect();
        self.revoke(&held);
        self.store.leave()
    }
}

/// What a poll has found.
struct Basket {
    records: Vec<Record>,
    left: PollLimit,
}

impl<S: Store> Consumer for GroupMember<S> {
    fn poll(&mut self, limit: PollLimit, wait: Duration) -> Result<Vec<Record>> {
        let begun = Instant::now();
        loop {
            let heard = self.bell.heard();
            if self.attend(heard)? {
                return Ok(Vec::new());
            }
            let records = self.fetch(heard, limit)?;
            let rest = wait.saturating_sub(begun.elapsed());
            if !records.is_empty() || rest.is_zero() {
                return Ok(records);
            }
            let next = self.next_beat.min(self.next_look);
            self.bell.wait(heard, rest.min(next.saturating_duration_since(Instant::now())));
        }
    }

    fn membership(&self) -> Membership {
        self.membership.clone()
    }

    fn leave(mut self: Box<Self>) -> Result<()> {
        self.depart()
    }
}

impl<S: Store> Drop for GroupMember<S> {
    /// A member that is dropped leaves, so that the others needn't wait for its lease to end.
    fn drop(&mut self) {
        if self.left || std::thread::panicking() {
            return;
        }
        if let Err(error) = self.depart() {
            tracing::warn!(%error, slot = self.membership.slot, "left the group without saying so");
        }
    }
}

#[cfg(test)]
mod tests;
