use std::time::Instant;

use super::{Cluster, group_list};
use crate::{Group, Membership, TopicPartition};

/// Looks whether partitions are nobody's.
///
/// In a cooperative hand-over a partition is first taken from one member, which then joins once more, and only then given
/// to another. If the first is killed in between and its successor comes under the same slot, the group has no reason to
/// share out anything: it gives the successor what its predecessor had kept, and the partition waits for the next who
/// comes or goes. So who sees that for a whole session makes the group share out: the first of the members does.
#[derive(Debug)]
pub(super) struct Orphans {
    looked: Instant,
    /// The group, where there were some at the last look.
    seen: Option<Group>,
}

impl Orphans {
    pub(super) fn begin() -> Self {
        Self { looked: Instant::now(), seen: None }
    }

    /// Whether this member is to do something about partitions of these topics. A session passes between two looks, and
    /// none is made while the cluster is away.
    pub(super) fn are_left(&mut self, cluster: &Cluster, membership: &Membership, topics: &[String]) -> bool {
        if self.looked.elapsed() < cluster.config.session_timeout || cluster.contact.out().is_some() {
            return false;
        }
        self.looked = Instant::now();
        let group = group_list::settled(cluster, &membership.group);
        let group = group.filter(|group| topics.iter().any(|topic| lacks(cluster, group, topic)));
        let is_first = group.as_ref().is_some_and(|group| group.members[0].slot == membership.slot);
        let before = std::mem::replace(&mut self.seen, group);
        is_first && before == self.seen
    }
}

/// Whether a partition of the topic is no member's.
fn lacks(cluster: &Cluster, group: &Group, topic: &str) -> bool {
    let partitions = cluster.known.partitions(cluster, topic).unwrap_or(0);
    (0..partitions as i32).any(|partition| {
        let at = TopicPartition::new(topic, partition);
        !group.members.iter().any(|member| member.partitions.contains(&at))
    })
}
