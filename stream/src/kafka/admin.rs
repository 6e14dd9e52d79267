use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::config::LARGEST;
use super::contact::Ear;
use super::{Cluster, REQUEST, errors};
use crate::{Error, Result, Retention, Topic};

/// How a topic is on the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its partitions.
    pub partitions: u32,
    /// Copies of its first partition.
    pub replication: u16,
    /// `cleanup.policy`.
    pub cleanup: String,
    /// `retention.ms`; None for ever.
    pub retention: Option<Duration>,
    /// `max.message.bytes`.
    pub max_message_bytes: u64,
}

/// Creates the topics that aren't there, and waits until they are.
pub(super) fn create(cluster: &Cluster, topics: &[Topic]) -> Result<()> {
    let there = names(cluster)?;
    let is_missing = |topic: &&Topic| {
        let full = cluster.config.full(&topic.name);
        there.iter().all(|(name, _)| *name != full)
    };
    let missing: Vec<_> = topics.iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let replication = cluster.config.replication.map_or(-1, i32::from);
    let retention = |topic: &Topic| match topic.retention {
        Retention::Compact => ("cleanup.policy", "compact".to_owned()),
        Retention::Age(age) => ("retention.ms", age.as_millis().to_string()),
    };
    let facts: Vec<_> = missing
        .iter()
        .map(|topic| (cluster.config.full(&topic.name), topic.partitions, retention(topic)))
        .collect();
    let largest = LARGEST.to_string();
    let new = facts.iter().map(|(name, partitions, (key, value))| {
        let topic = NewTopic::new(name, (*partitions).max(1) as i32, TopicReplication::Fixed(replication));
        let topic = match *key {
            "retention.ms" => topic.set("cleanup.policy", "delete").set("max.message.bytes", &largest),
            _ => topic,
        };
        topic.set(key, value)
    });
    let new: Vec<_> = new.collect();
    let options = AdminOptions::new().request_timeout(Some(REQUEST * 4)).operation_timeout(Some(REQUEST * 2));
    let admin = client(cluster)?;
    let results = cluster.check(block_on(admin.create_topics(&new, &options)), "creating topics")?;
    for result in results {
        match result {
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                return Err(errors::of_code(cluster, &format!("creating the topic {name:?}"), code));
            }
        }
    }
    cluster.known.forget();
    wait(cluster, topics)
}

/// Until every broker that is asked knows them.
fn wait(cluster: &Cluster, topics: &[Topic]) -> Result<()> {
    for topic in topics {
        for attempt in 0.. {
            match super::offsets::bounds(cluster, &topic.name) {
                Ok(_) => break,
                Err(error) if attempt == 100 => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
    Ok(())
}

/// The full names of the topics with our prefix, in order, with their partitions.
pub(super) fn names(cluster: &Cluster) -> Result<Vec<(String, u32)>> {
    let metadata =
        cluster.check(cluster.asking.fetch_metadata(None, cluster.patience()), "listing topics")?;
    let is_ours = |name: &str| name.starts_with(&cluster.config.prefix) && !name.starts_with("__");
    let ours = metadata.topics().iter().filter(|topic| is_ours(topic.name()) && topic.error().is_none());
    let mut names: Vec<_> =
        ours.map(|topic| (topic.name().to_owned(), topic.partitions().len() as u32)).collect();
    names.sort();
    Ok(names)
}

pub(super) fn topics(cluster: &Cluster) -> Result<Vec<Topic>> {
    let names = names(cluster)?;
    let found = describe(cluster, &names.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>())?;
    let topic = |((name, partitions), found): ((String, u32), Option<Found>)| {
        let found = found?;
        let retention = match found.cleanup.contains("compact") {
            true => Retention::Compact,
            false => Retention::Age(found.retention.unwrap_or(Duration::MAX)),
        };
        Some(Topic { name: name[cluster.config.prefix.len()..].to_owned(), partitions, retention })
    };
    Ok(names.into_iter().zip(found).filter_map(topic).collect())
}

pub(super) fn inspect(cluster: &Cluster, topics: &[Topic]) -> Result<Vec<Option<Found>>> {
    let names: Vec<_> = topics.iter().map(|topic| cluster.config.full(&topic.name)).collect();
    let found = describe(cluster, &names)?;
    for (topic, _) in topics.iter().zip(&found).filter(|(_, found)| found.is_none()) {
        // A list of all topics leaves out those that this user may not see; asked for by name, they are forbidden.
        match cluster.known.partitions(cluster, &topic.name) {
            Ok(_) | Err(Error::UnknownTopic(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// How the topics of these full names are.
fn describe(cluster: &Cluster, names: &[String]) -> Result<Vec<Option<Found>>> {
    let metadata =
        cluster.check(cluster.asking.fetch_metadata(None, cluster.patience()), "listing topics")?;
    let shape = |name: &str| {
        let topic = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none())?;
        let replication = topic.partitions().first().map_or(0, |first| first.replicas().len());
        Some((topic.partitions().len() as u32, replication as u16))
    };
    let there: Vec<_> = names.iter().filter(|name| shape(name).is_some()).collect();
    if there.is_empty() {
        return Ok(vec![None; names.len()]);
    }
    let admin = client(cluster)?;
    let specifiers = there.iter().map(|name| ResourceSpecifier::Topic(name)).collect::<Vec<_>>();
    let options = AdminOptions::new().request_timeout(Some(REQUEST * 2));
    let doing = "describing topics";
    let described = cluster.check(block_on(admin.describe_configs(&specifiers, &options)), doing)?;
    let mut found = std::collections::BTreeMap::new();
    for (name, config) in there.iter().zip(described) {
        let config = config.map_err(|code| match code {
            Code::TopicAuthorizationFailed => errors::of_code(cluster, &format!("describing {name}"), code),
            code => errors::of_code(cluster, doing, code),
        })?;
        let value = |key| config.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
        let (partitions, replication) = shape(name).unwrap_or_default();
        let retention = value("retention.ms").parse::<u64>().ok().map(Duration::from_millis);
        let max_message_bytes = value("max.message.bytes").parse().unwrap_or(0);
        let cleanup = value("cleanup.policy");
        found.insert(name.as_str(), Found { partitions, replication, cleanup, retention, max_message_bytes });
    }
    Ok(names.iter().map(|name| found.get(name.as_str()).cloned()).collect())
}

/// The client, which is kept: to drop it takes a tenth of a second.
fn client(cluster: &Cluster) -> Result<Arc<AdminClient<Ear>>> {
    let mut kept = cluster.admin.lock();
    if let Some(client) = &*kept {
        return Ok(Arc::clone(client));
    }
    let client = cluster.config.admin().create_with_context(cluster.ear());
    let client = Arc::new(cluster.made(client, "administration")?);
    *kept = Some(Arc::clone(&client));
    Ok(client)
}
