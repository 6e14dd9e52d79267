use std::collections::BTreeMap;

use crate::assignment::quota;
use crate::{Membership, TopicPartition};

/// A group at one moment.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The living members, by slot.
    pub(crate) living: BTreeMap<String, Living>,
    /// Who holds what.
    pub(crate) leases: BTreeMap<TopicPartition, Holder>,
    /// The topics that the asking member subscribes to, with their partitions.
    pub(crate) topics: BTreeMap<String, u32>,
}

/// A living member.
#[derive(Debug)]
pub(crate) struct Living {
    pub(crate) incarnation: i64,
    pub(crate) topics: Vec<String>,
}

/// A holder of a partition, dead or alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) slot: String,
    pub(crate) incarnation: i64,
}

/// What a member should do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// Held in its memory only.
    pub(crate) lost: Vec<TopicPartition>,
    /// More than its share.
    pub(crate) release: Vec<TopicPartition>,
    /// Its by right, though it doesn't know yet: those of its slot's predecessor.
    pub(crate) adopt: Vec<TopicPartition>,
    /// Nobody's, and within its share.
    pub(crate) grab: Vec<TopicPartition>,
}

impl View {
    /// What `me`, who believes to hold `held`, should do. Each topic is shared evenly among those who subscribe to
    /// it, and nobody gives up a partition except for another's share.
    pub(crate) fn moves(&self, me: &Membership, held: &[TopicPartition]) -> Moves {
        let lost = held.iter().filter(|at| !self.holds(me, at)).cloned().collect();
        let mut moves = Moves { lost, ..Moves::default() };
        for (topic, partitions) in &self.topics {
            self.share(topic, *partitions, me, held, &mut moves);
        }
        moves
    }

    fn share(
        &self,
        topic: &str,
        partitions: u32,
        me: &Membership,
        held: &[TopicPartition],
        moves: &mut Moves,
    ) {
        let all = (0..partitions as i32).map(|partition| TopicPartition::new(topic, partition));
        let (mine, others): (Vec<_>, Vec<_>) = all.partition(|at| self.holds(me, at));
        // Those that it doesn't work on yet are the first to go.
        let (mut keep, fresh): (Vec<_>, Vec<_>) = mine.into_iter().partition(|at| held.contains(at));
        let working = keep.len();
        keep.extend(fresh);
        let share = self.quota(topic, partitions, me);
        let room = share.saturating_sub(keep.len());
        moves.release.extend(keep.drain(share.min(keep.len())..));
        moves.adopt.extend(keep.drain(working.min(keep.len())..));
        // What it has lost, it may have work of that must end before it begins anew.
        let is_free = |at: &TopicPartition| self.is_free(at) && !held.contains(at);
        moves.grab.extend(others.into_iter().filter(is_free).take(room));
    }

    fn quota(&self, topic: &str, partitions: u32, me: &Membership) -> usize {
        let mut slots = self
            .living
            .iter()
            .filter(|(_, member)| member.topics.iter().any(|name| name == topic))
            .map(|(slot, _)| slot.as_str());
        let Some(position) = slots.clone().position(|slot| slot == me.slot) else {
            return 0;
        };
        let members = slots.by_ref().count();
        // What is left over goes to another member for each topic, so that many small topics are spread as well.
        let position = (position + stable_hash(topic.as_bytes()) as usize % members) % members;
        quota(partitions as usize, members, position)
    }

    fn holds(&self, me: &Membership, at: &TopicPartition) -> bool {
        self.leases
            .get(at)
            .is_some_and(|holder| holder.slot == me.slot && holder.incarnation == me.incarnation)
    }

    fn is_free(&self, at: &TopicPartition) -> bool {
        let Some(holder) = self.leases.get(at) else {
            return true;
        };
        let living = self.living.get(&holder.slot);
        living.is_none_or(|member| member.incarnation != holder.incarnation)
    }
}

/// FNV-1a with 64 bits: the same in every process and version, which keys' partitions depend on.
pub(crate) fn stable_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn me(slot: usize) -> Membership {
        Membership { group: "g".into(), slot: slot.to_string(), incarnation: 1 }
    }

    fn group(living: &BTreeSet<usize>, topics: &BTreeMap<String, u32>) -> View {
        let member = || Living { incarnation: 1, topics: topics.keys().cloned().collect() };
        View {
            living: living.iter().map(|slot| (slot.to_string(), member())).collect(),
            leases: BTreeMap::new(),
            topics: topics.clone(),
        }
    }

    fn holdings(view: &View, slot: usize) -> Vec<TopicPartition> {
        let mine = view.leases.iter().filter(|(_, holder)| holder.slot == slot.to_string());
        mine.map(|(at, _)| at.clone()).collect()
    }

    /// One heartbeat of one member.
    fn step(view: &mut View, slot: usize) -> Moves {
        let moves = view.moves(&me(slot), &holdings(view, slot));
        for at in &moves.release {
            view.leases.remove(at);
        }
        for at in &moves.grab {
            view.leases.insert(at.clone(), Holder { slot: slot.to_string(), incarnation: 1 });
        }
        moves
    }

    #[test]
    fn what_was_lost_is_not_taken_again_before_its_work_has_ended() {
        let topics = BTreeMap::from([("images".to_owned(), 1)]);
        let view = group(&BTreeSet::from([0]), &topics);
        let at = TopicPartition::new("images", 0);
        let lost = view.moves(&me(0), std::slice::from_ref(&at));
        assert_eq!(lost, Moves { lost: vec![at.clone()], ..Moves::default() });
        assert_eq!(view.moves(&me(0), &[]), Moves { grab: vec![at], ..Moves::default() });
    }

    proptest! {
        /// Whoever comes and goes: after everyone's turn twice everything is held, evenly, and nothing moves any more.
        #[test]
        fn members_settle_on_even_shares(
            crowds in proptest::collection::vec(proptest::collection::btree_set(0usize..6, 1..6), 1..5),
            partitions in 1u32..12,
            small in 1usize..5,
        ) {
            let mut topics = BTreeMap::from([("images".to_owned(), partitions)]);
            topics.extend((0..small).map(|n| (format!("small-{n}"), 1)));
            let mut leases = BTreeMap::new();
            for living in crowds {
                let mut view = View { leases, ..group(&living, &topics) };
                for _ in 0..2 {
                    living.iter().for_each(|slot| { step(&mut view, *slot); });
                }
                let still = living.iter().all(|slot| step(&mut view, *slot) == Moves::default());
                prop_assert!(still, "the members have not settled");
                prop_assert_eq!(view.leases.len(), partitions as usize + small);
                for slot in &living {
                    let images = holdings(&view, *slot).iter().filter(|at| at.topic == "images").count();
                    prop_assert!(images.abs_diff(partitions as usize / living.len()) <= 1);
                }
                leases = view.leases;
            }
        }
    }

    #[test]
    fn a_predecessor_s_partitions_are_adopted_and_others_are_lost() {
        let topics = BTreeMap::from([("images".to_owned(), 2)]);
        let mut view = group(&BTreeSet::from([0]), &topics);
        let (first, second) = (TopicPartition::new("images", 0), TopicPartition::new("images", 1));
        view.leases.insert(first.clone(), Holder { slot: "0".into(), incarnation: 1 });
        view.leases.insert(second.clone(), Holder { slot: "0".into(), incarnation: 0 });
        let moves = view.moves(&me(0), std::slice::from_ref(&second));
        assert_eq!((moves.lost, moves.adopt, moves.grab), (vec![second.clone()], vec![first], vec![]));
        // When the work on it has ended.
        assert_eq!(view.moves(&me(0), &[]).grab, [second]);
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(stable_hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(stable_hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
