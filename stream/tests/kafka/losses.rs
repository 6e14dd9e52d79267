//! What a cluster forgets, drops or takes away behind a stage's back.

use std::io::{Seek, read_to_string};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use autorma_broker::{Cluster, Options};
use autorma_stream::retry::patiently;
use autorma_stream::{
    Advance, Append, Consumer, Log, NextOffset, PollLimit, Producer, Record, TopicPartition, Transaction,
};
use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use crate::{eventually, join, read_one, with_photos};

/// A slot that has rested for a week commits as before: records, so many that the refusal comes while they
/// are sent, and offsets alone, of which librdkafka makes another matter.
#[test]
fn a_slot_that_the_cluster_has_forgotten_commits_again() {
    let properties = [
        ("transactional.id.expiration.ms", "2000"),
        ("transaction.remove.expired.transaction.cleanup.interval.ms", "500"),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let cluster = Cluster::start(Options { properties, ..Options::default() }).unwrap();
    let log = with_photos(&cluster.bootstrap(), "forgotten.", 1);
    let is_forgotten = || !slots(&cluster).contains("forgotten.a");
    let mut producer = log.producer("a").unwrap();
    publish(&mut *producer, 1);
    eventually("the slot is forgotten", is_forgotten);
    publish(&mut *producer, 10_000);
    eventually("the slot is forgotten again", is_forgotten);
    let (_consumer, first) = read_one(&log);
    patiently(|| producer.commit(&first)).unwrap();
    assert_eq!(log.committed("group").unwrap()[&TopicPartition::new("images", 0)], NextOffset(1));
}

/// The transactional ids that the cluster knows, in a table.
fn slots(cluster: &Cluster) -> String {
    let told = cluster.tool("org.apache.kafka.tools.TransactionsCommand", &["list"]).unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8_lossy(&told.stdout).into_owned()
}

/// Where there is just one subscriber, what another thread comes by first is silent in this one, too.
static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

/// Retention may overtake a group. It goes on with what is left, and says how much isn't.
#[test]
fn records_that_were_dropped_before_they_were_read_are_told() {
    let brokers = autorma_broker::shared().bootstrap();
    let log = with_photos(&brokers, "dropped.", 20);
    let mut consumer = join(&log);
    let records = take(&mut *consumer, 10);
    let advance = Some(Advance::behind(consumer.membership(), &records));
    log.producer("a").unwrap().commit(&Transaction { appends: Vec::new(), advance }).unwrap();
    consumer.leave().unwrap();
    drop_records(&brokers, "dropped.images", 15);

    LazyLock::force(&OTHER);
    let mut file = tempfile::tempfile().unwrap();
    let writer = Arc::new(file.try_clone().unwrap());
    let errors = tracing_subscriber::fmt().with_env_filter("autorma_stream=error").with_ansi(false);
    let errors = errors.with_writer(writer).finish();
    let records = tracing::subscriber::with_default(errors, || take(&mut *join(&log), 5));
    assert!(records.iter().map(|record| record.stored.offset.0).eq(15..20));
    file.rewind().unwrap();
    let told = read_to_string(file).unwrap();
    assert!(told.contains("topic=\"images\" partition=0 records=5"), "{told}");
}

/// Lets the topic's partition begin there, as retention does.
fn drop_records(brokers: &str, topic: &str, start: i64) {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers);
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, 0, Offset::Offset(start)).unwrap();
    let dropped = block_on(admin.delete_records(&offsets, &AdminOptions::new())).unwrap();
    dropped.elements()[0].error().unwrap();
}

/// Who was silent for so long that it has given up its partitions, but not for so long that librdkafka has
/// noticed, gets them again.
#[test]
fn a_poll_that_is_hardly_too_late_loses_no_record() {
    let log = with_photos(&autorma_broker::shared().bootstrap(), "late.", 1);
    let mut consumer = join(&log);
    take(&mut *consumer, 1);
    // Twice the session, and a moment: librdkafka looks twice a second.
    std::thread::sleep(Duration::from_millis(6020));
    drop(consumer.poll(PollLimit::NOTHING, Duration::ZERO).unwrap());
    publish(&mut *log.producer("late").unwrap(), 1);
    eventually("the new photo comes", || take(&mut *consumer, 1)[0].stored.offset.0 > 1);
}

/// So many photos, in one transaction.
fn publish(producer: &mut dyn Producer, count: usize) {
    let append = Append { topic: "images".into(), value: b"a photo".to_vec(), ..Append::default() };
    let photos = Transaction { appends: vec![append; count], advance: None };
    patiently(|| producer.commit(&photos)).unwrap();
}

/// So many records, as they come.
fn take(consumer: &mut dyn Consumer, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    eventually("the records come", || {
        let limit = PollLimit { records: count - records.len(), bytes: 1 << 20 };
        records.extend(consumer.poll(limit, Duration::from_millis(100)).unwrap());
        records.len() == count
    });
    records
}
