use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::{Cluster, errors};
use crate::{Error, Result, TopicPartition};

/// How long a topic's number of partitions is believed.
const BELIEVED: Duration = Duration::from_secs(30);

/// How many partitions each topic has, as the cluster said lately.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<String, (u32, Instant)>>);

impl Known {
    /// How many partitions the topic has.
    pub(super) fn partitions(&self, cluster: &Cluster, topic: &str) -> Result<u32> {
        let known = self.0.lock().get(topic).copied();
        if let Some((partitions, _)) = known.filter(|(_, since)| since.elapsed() < BELIEVED) {
            return Ok(partitions);
        }
        let partitions = ask(cluster, topic)?;
        self.0.lock().insert(topic.to_owned(), (partitions, Instant::now()));
        Ok(partitions)
    }

    /// An error if there is no such topic or partition.
    pub(super) fn expect(&self, cluster: &Cluster, at: &TopicPartition) -> Result<()> {
        let partitions = self.partitions(cluster, &at.topic)?;
        let is_there = u32::try_from(at.partition).is_ok_and(|partition| partition < partitions);
        if is_there { Ok(()) } else { Err(Error::UnknownPartition(at.clone())) }
    }

    /// Asks again the next time.
    pub(super) fn forget(&self) {
        self.0.lock().clear();
    }
}

fn ask(cluster: &Cluster, topic: &str) -> Result<u32> {
    let full = cluster.config.full(topic);
    let doing = format!("describing the topic {full:?}");
    let metadata = cluster.check(cluster.asking.fetch_metadata(Some(&full), cluster.patience()), &doing)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == full) else {
        return Err(Error::UnknownTopic(topic.into()));
    };
    match found.error().map(Code::from) {
        None => Ok(found.partitions().len() as u32),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Err(Error::UnknownTopic(topic.into())),
        Some(code) => Err(errors::of_code(cluster, &doing, code)),
    }
}
