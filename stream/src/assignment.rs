use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The time during which a partition is a member's: a fence that falls when the partition is taken away.
#[derive(Debug, Clone)]
pub struct Assignment(Arc<AtomicBool>);

impl Assignment {
    /// A new assignment, alive.
    pub fn begin() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Whether work under it may still be committed.
    pub fn is_alive(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Ends it, for everyone who holds it.
    pub fn end(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Proof of being a member of a group, in this incarnation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: String,
    /// The member's slot in it.
    pub slot: String,
    /// Which incarnation of the slot: a later one fences all earlier ones.
    pub incarnation: i64,
}

/// How many of `partitions` the member `position` (from 0, in the order of slots) of `members` should have: an even
/// share, the first ones taking what is left over.
pub(crate) fn quota(partitions: usize, members: usize, position: usize) -> usize {
    partitions / members + usize::from(position < partitions % members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quotas_share_everything_evenly(partitions in 0usize..50, members in 1usize..20) {
            let quotas: Vec<_> = (0..members).map(|position| quota(partitions, members, position)).collect();
            prop_assert_eq!(quotas.iter().sum::<usize>(), partitions);
            prop_assert!(quotas.iter().max().unwrap() - quotas.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn an_ended_assignment_is_over_for_all_who_hold_it() {
        let assignment = Assignment::begin();
        let held = assignment.clone();
        assert!(held.is_alive());
        assignment.end();
        assert!(!held.is_alive());
    }
}
