use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

use super::contact::Ear;
use super::{Cluster, errors};
use crate::{Bounds, Error, NextOffset, Result, TopicPartition};

/// How often is looked whether a dead producer's transaction has been undone.
const LOOK: Duration = Duration::from_millis(50);

/// How long a transaction that holds a group's offsets may take to end, before what was committed earlier is told. Living
/// producers' take milliseconds; a killed one's stays open until its successor comes or the cluster undoes it.
const OPEN: Duration = Duration::from_secs(3);

/// The first and the next offset of each partition; the next is the last stable one, behind which nothing is
/// committed yet.
pub(super) fn bounds(cluster: &Cluster, topic: &str) -> Result<Vec<Bounds>> {
    let partitions = cluster.known.partitions(cluster, topic)?;
    let full = cluster.config.full(topic);
    let ask = |which| {
        let all = (0..partitions as i32).map(|partition| (full.clone(), partition));
        ends(cluster, &cluster.asking, all, which)
    };
    // The end first: what housekeeping removes between the two moves only the start.
    let (ends, starts) = (ask(KafkaOffset::End)?, ask(KafkaOffset::Beginning)?);
    let bounds = ends.into_iter().zip(starts).map(|((at, end), (_, start))| Bounds {
        at: TopicPartition::new(topic, at.partition),
        start: start.min(end),
        end,
    });
    Ok(bounds.collect())
}

/// The offsets that `which` names, in the order of the partitions. Topics have their full names, going in and out.
pub(super) fn ends(
    cluster: &Cluster,
    asking: &BaseConsumer<Ear>,
    partitions: impl Iterator<Item = (String, i32)>,
    which: KafkaOffset,
) -> Result<Vec<(TopicPartition, NextOffset)>> {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        // An unusual name: the offset stands for a time here, and these two are the times of the ends.
        let added = list.add_partition_offset(&topic, partition, which);
        cluster.made(added, "asking for offsets")?;
    }
    if list.count() == 0 {
        return Ok(Vec::new());
    }
    let found = cluster.check(asking.offsets_for_times(list, cluster.patience()), "asking for offsets")?;
    found.elements().iter().map(|found| offset_of(cluster, found)).collect()
}

fn offset_of(
    cluster: &Cluster,
    found: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>,
) -> Result<(TopicPartition, NextOffset)> {
    let at = TopicPartition::new(found.topic(), found.partition());
    cluster.check(found.error(), &format!("asking for the offsets of {at}"))?;
    match found.offset() {
        KafkaOffset::Offset(offset) => Ok((at, NextOffset(offset))),
        _ => Err(errors::of_code(
            cluster,
            &format!("asking for the offsets of {at}"),
            rdkafka::error::RDKafkaErrorCode::OffsetNotAvailable,
        )),
    }
}

/// Waits until everything that was written to the topic is committed or undone: an open transaction hides what others
/// have committed behind it.
pub(super) fn settle(cluster: &Cluster, topic: &str) -> Result<()> {
    let partitions = cluster.known.partitions(cluster, topic)?;
    let full = cluster.config.full(topic);
    let all = || (0..partitions as i32).map(|partition| (full.clone(), partition));
    let written = ends(cluster, &cluster.asking_uncommitted, all(), KafkaOffset::End)?;
    let begun = Instant::now();
    let mut told = false;
    loop {
        let stable = ends(cluster, &cluster.asking, all(), KafkaOffset::End)?;
        if written.iter().zip(&stable).all(|((_, written), (_, stable))| stable >= written) {
            return Ok(());
        }
        if begun.elapsed() > cluster.config.transaction_timeout * 2 + cluster.patience() {
            let cause = format!("a transaction on {full} stays open: another system's?");
            return Err(Error::Unreachable { place: cluster.place(), cause });
        }
        if cluster.is_in_a_hurry() {
            return Err(cluster.given_up());
        }
        if !told && begun.elapsed() > Duration::from_secs(1) {
            told = true;
            tracing::info!(topic, "waiting for the cluster to undo a dead process's transaction");
        }
        std::thread::sleep(LOOK);
    }
}

/// Where a group continues, as far as that is committed. It need not exist.
pub(super) fn committed(cluster: &Cluster, group: &str) -> Result<BTreeMap<TopicPartition, NextOffset>> {
    let doing = format!("asking for the offsets of the group {group:?}");
    let topics = super::admin::names(cluster)?;
    let mut list = TopicPartitionList::new();
    for (topic, partitions) in &topics {
        list.add_partition_range(topic, 0, *partitions as i32 - 1);
    }
    if list.count() == 0 {
        return Ok(BTreeMap::new());
    }
    let ask = |settled, patience| {
        let client = cluster.group_client(group, settled)?;
        Ok::<_, Error>(client.committed_offsets(list.clone(), patience))
    };
    let found = match ask(true, cluster.patience().min(OPEN))? {
        Err(error) if error.rdkafka_error_code().is_some_and(errors::is_passing) => {
            tracing::debug!(%error, group, "asking again, without what open transactions hold");
            ask(false, cluster.patience())?
        }
        asked => asked,
    };
    let found = cluster.check(found, &doing)?;
    let prefix = cluster.config.prefix.len();
    let mut offsets = BTreeMap::new();
    for found in found.elements() {
        cluster.check(found.error(), &doing)?;
        if let KafkaOffset::Offset(offset) = found.offset() {
            let at = TopicPartition::new(&found.topic()[prefix..], found.partition());
            offsets.insert(at, NextOffset(offset));
        }
    }
    Ok(offsets)
}
