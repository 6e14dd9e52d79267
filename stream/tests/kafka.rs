//! The conformance suite on a real Kafka, and what only a real Kafka does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use autorma_stream::conformance::Open;
use autorma_stream::kafka::{Kafka, KafkaConfig};
use autorma_stream::{
    Append, Log, NextOffset, NoRebalance, PollLimit, Retention, Subscription, Topic, TopicPartition,
    Transaction,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// Each log has a prefix of its own on the one cluster of this process.
fn cluster() -> Open {
    static LOGS: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("log{}.", LOGS.fetch_add(1, Ordering::Relaxed));
    let config = KafkaConfig {
        prefix,
        // A dead member's partitions must go to the others within a test's patience.
        session_timeout: Duration::from_secs(3),
        ..KafkaConfig::new(autorma_broker::shared().bootstrap())
    };
    Arc::new(move || Arc::new(Kafka::new(config.clone()).expect("the settings are right")) as Arc<dyn Log>)
}

autorma_stream::conformance_tests!(cluster);

/// While a transaction that moves a group's offset is open, the group can't say where it continues. Whoever is assigned
/// the partition meanwhile learns it later, also where no record is left that would tell: the end behind the last one was
/// passed, or whoever waits for the group to be done waits for ever.
#[test]
fn a_member_that_was_not_told_where_to_begin_learns_it() {
    let brokers = autorma_broker::shared().bootstrap();
    let config = KafkaConfig {
        prefix: "untold.".into(),
        session_timeout: Duration::from_secs(3),
        ..KafkaConfig::new(brokers.clone())
    };
    let log = Kafka::new(config).unwrap();
    let retention = Retention::Age(Duration::from_secs(3600));
    log.create(&[Topic { name: "images".into(), partitions: 1, retention }]).unwrap();
    let append = Append { topic: "images".into(), value: b"a photo".to_vec(), ..Append::default() };
    log.producer("outside").unwrap().commit(&Transaction { appends: vec![append], advance: None }).unwrap();
    let at = TopicPartition::new("images", 0);
    let end = log.bounds("images").unwrap()[0].end;
    assert!(end > NextOffset(1), "a transaction's marker lies behind the record");

    let pending = commit_behind_the_record(&brokers);
    let group = Subscription { group: "group".into(), topics: vec!["images".into()], slot: "a".into() };
    let mut consumer = log.subscribe(group, Box::new(NoRebalance)).unwrap();
    let begun = Instant::now();
    let mut poll = || {
        let limit = PollLimit { records: 10, bytes: 1 << 20 };
        let records = consumer.poll(limit, Duration::from_millis(100)).unwrap();
        assert!(records.is_empty(), "the record before the offset was read");
        consumer.passed()
    };
    // Longer than the member asks the group for.
    while begun.elapsed() < Duration::from_secs(8) {
        assert!(poll().is_empty(), "nothing is known yet");
    }
    pending.commit_transaction(Duration::from_secs(10)).unwrap();
    while begun.elapsed() < Duration::from_secs(30) {
        let passed = poll();
        if !passed.is_empty() {
            return assert_eq!(passed, BTreeMap::from([(at, end)]));
        }
    }
    panic!("the end behind the last record was never passed");
}

/// An open transaction in which the group, still without members, comes to continue behind the first record.
fn commit_behind_the_record(brokers: &str) -> BaseProducer {
    let client = |more: &[(&str, &str)]| {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", brokers);
        for (key, value) in more {
            client.set(*key, *value);
        }
        client
    };
    let of_the_group: BaseConsumer = client(&[("group.id", "untold.group")]).create().unwrap();
    let longest = Duration::from_secs(10);
    let producer: BaseProducer =
        client(&[("transactional.id", "pending"), ("transaction.timeout.ms", "60000")]).create().unwrap();
    producer.init_transactions(longest).unwrap();
    producer.begin_transaction().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("untold.images", 0, Offset::Offset(1)).unwrap();
    let group = of_the_group.group_metadata().unwrap();
    producer.send_offsets_to_transaction(&offsets, &group, longest).unwrap();
    producer
}
