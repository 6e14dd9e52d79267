use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::groups::GroupInfo;

use super::Cluster;
use crate::{Group, Member, Result, TopicPartition};

/// How long a look in passing may take: a broker that is away must not hold up who looks.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Every group with our prefix, with its living members.
pub(super) fn groups(cluster: &Cluster) -> Result<Vec<Group>> {
    let list = cluster.check(cluster.asking.fetch_group_list(None, cluster.patience()), "listing groups")?;
    let prefix = cluster.config.prefix.as_str();
    let mut groups: Vec<_> = list.groups().iter().filter_map(|found| group(found, prefix)).collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

/// The group while its members agree on who has what; None while they don't, or where nobody says so at once.
pub(super) fn settled(cluster: &Cluster, name: &str) -> Option<Group> {
    let list = cluster.asking.fetch_group_list(Some(&cluster.config.full(name)), AT_ONCE).ok()?;
    let found = list.groups().first().filter(|group| group.state() == "Stable")?;
    group(found, &cluster.config.prefix)
}

fn group(found: &GroupInfo, prefix: &str) -> Option<Group> {
    if found.protocol_type() != "consumer" {
        return None;
    }
    let name = found.name().strip_prefix(prefix)?.to_owned();
    let members = found.members().iter().map(|it| member(it.client_id(), it.assignment(), prefix));
    let mut members: Vec<_> = members.collect();
    members.sort_by(|a, b| a.slot.cmp(&b.slot));
    (!members.is_empty()).then_some(Group { name, members })
}

/// Our client ids are `slot/process`; those of other systems are taken as slots.
fn member(client_id: &str, assignment: Option<&[u8]>, prefix: &str) -> Member {
    let (slot, process) = match client_id.rsplit_once('/').map(|(slot, process)| (slot, process.parse())) {
        Some((slot, Ok(process))) => (slot, Some(process)),
        _ => (client_id, None),
    };
    let mut partitions = assignment.and_then(|bytes| partitions(bytes, prefix)).unwrap_or_default();
    partitions.sort();
    Member { slot: slot.to_owned(), process, partitions }
}

/// The assignment of Kafka's consumer protocol (`ConsumerProtocolAssignment.json` of Kafka): a version, then topics
/// with their partitions, then bytes of the user's. Numbers are big-endian.
fn partitions(bytes: &[u8], prefix: &str) -> Option<Vec<TopicPartition>> {
    let mut rest = bytes.get(2..)?;
    let mut partitions = Vec::new();
    for _ in 0..number(&mut rest)? {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (topic, tail) = tail.split_at_checked(usize::try_from(i16::from_be_bytes(*length)).ok()?)?;
        rest = tail;
        let topic = std::str::from_utf8(topic).ok()?;
        let topic = topic.strip_prefix(prefix).unwrap_or(topic);
        for _ in 0..number(&mut rest)? {
            partitions.push(TopicPartition::new(topic, number(&mut rest)?));
        }
    }
    Some(partitions)
}

fn number(bytes: &mut &[u8]) -> Option<i32> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(i32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read() {
        let bytes = [0, 1, 0, 0, 0, 1, 0, 3, b'p', b'.', b'a', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7];
        let expected = [TopicPartition::new("a", 0), TopicPartition::new("a", 7)];
        assert_eq!(partitions(&bytes, "p.").unwrap(), expected);
        assert_eq!(partitions(&bytes[..9], "p."), None);
        assert_eq!(partitions(&[], ""), None);
    }

    #[test]
    fn a_client_id_tells_slot_and_process() {
        let found = member("host/a/12", None, "");
        assert_eq!((found.slot.as_str(), found.process), ("host/a", Some(12)));
        assert_eq!(member("other", None, "").slot, "other");
    }
}
