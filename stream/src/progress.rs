use std::collections::{BTreeMap, BTreeSet};

use crate::{NextOffset, Offset, TopicPartition};

/// Which offsets may be committed: records finish in any order, and a partition's committed offset may only pass
/// over those that are done. Gaps between offsets are harmless.
#[derive(Debug, Default)]
pub struct Progress {
    partitions: BTreeMap<TopicPartition, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    /// Handed out and not done.
    pending: BTreeSet<Offset>,
    /// Behind everything that was ever handed out or passed.
    frontier: NextOffset,
}

impl Progress {
    /// The record was handed out. Within a partition this comes in order.
    pub fn begin(&mut self, at: &TopicPartition, offset: Offset) {
        let partition = match self.partitions.get_mut(at) {
            Some(partition) => partition,
            None => self.partitions.entry(at.clone()).or_default(),
        };
        partition.pending.insert(offset);
        partition.frontier = partition.frontier.max(offset.next());
    }

    /// The partition goes on there, with nothing between its last record and that.
    pub fn pass(&mut self, at: &TopicPartition, next: NextOffset) {
        let partition = self.partitions.entry(at.clone()).or_default();
        partition.frontier = partition.frontier.max(next);
    }

    /// The record's outcome is part of the next transaction.
    pub fn finish(&mut self, at: &TopicPartition, offset: Offset) {
        if let Some(partition) = self.partitions.get_mut(at) {
            partition.pending.remove(&offset);
        }
    }

    /// The record won't be worked on after all, and neither will any that was handed out after it: no commit passes
    /// over it.
    pub fn withdraw(&mut self, at: &TopicPartition, offset: Offset) {
        if let Some(partition) = self.partitions.get_mut(at) {
            partition.pending.remove(&offset);
            partition.frontier = partition.frontier.min(NextOffset(offset.0));
        }
    }

    /// Where the group may continue in the partition: at the first record that isn't done, or behind all of them.
    pub fn committable(&self, at: &TopicPartition) -> Option<NextOffset> {
        let partition = self.partitions.get(at)?;
        Some(partition.pending.first().map_or(partition.frontier, |offset| NextOffset(offset.0)))
    }

    /// Whether nothing of the partition is being worked on.
    pub fn is_idle(&self, at: &TopicPartition) -> bool {
        self.partitions.get(at).is_none_or(|partition| partition.pending.is_empty())
    }

    /// The partition went to another member.
    pub fn forget(&mut self, at: &TopicPartition) {
        self.partitions.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_commit_passes_over_what_was_withdrawn() {
        let at = TopicPartition::new("images", 0);
        let mut progress = Progress::default();
        (0..3).for_each(|offset| progress.begin(&at, Offset(offset)));
        progress.pass(&at, NextOffset(7));
        progress.finish(&at, Offset(0));
        progress.withdraw(&at, Offset(1));
        progress.withdraw(&at, Offset(2));
        assert!(progress.is_idle(&at));
        assert_eq!(progress.committable(&at), Some(NextOffset(1)));
    }

    proptest! {
        /// Whatever order records finish in, no commit passes over one that isn't done, and the last passes all.
        #[test]
        fn a_commit_never_passes_over_a_pending_record(
            offsets in proptest::collection::btree_set(0i64..200, 1..40),
            order in any::<prop::sample::Index>(),
            stride in 1usize..40,
        ) {
            let at = TopicPartition::new("images", 0);
            let offsets: Vec<_> = offsets.into_iter().map(Offset).collect();
            let mut progress = Progress::default();
            offsets.iter().for_each(|offset| progress.begin(&at, *offset));
            let mut left = offsets.clone();
            let mut place = order.index(left.len());
            while !left.is_empty() {
                place = (place + stride) % left.len();
                progress.finish(&at, left.remove(place));
                let committed = progress.committable(&at).unwrap();
                prop_assert!(left.iter().all(|offset| offset.next() > committed));
            }
            prop_assert_eq!(progress.committable(&at), offsets.last().map(|offset| offset.next()));
            prop_assert!(progress.is_idle(&at));
        }
    }
}
