//! Lag, measured on a log in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use autorma_service::lag::{LagCollector, PartitionLag, lag};
use autorma_stream::embedded::Embedded;
use autorma_stream::{
    Advance, Append, Log, NextOffset, NoRebalance, Retention, Subscription, Topic, TopicPartition,
    Transaction,
};
use prometheus::{Registry, TextEncoder};

fn create(log: &dyn Log, topic: &str) {
    let retention = Retention::Age(Duration::from_secs(60));
    log.create(&[Topic { name: topic.into(), partitions: 2, retention }]).unwrap();
}

fn append(log: &dyn Log, partition: i32, count: usize) {
    let append = || Append {
        topic: "images".into(),
        partition: Some(partition),
        value: b"photo".to_vec(),
        ..Append::default()
    };
    let appends = (0..count).map(|_| append()).collect();
    log.producer("ingest").unwrap().commit(&Transaction { appends, advance: None }).unwrap();
}

/// Commits on behalf of the group that partition 0 continues at `next`.
fn commit(log: &dyn Log, next: i64) {
    let subscription =
        Subscription { group: "classifier".into(), topics: vec!["images".into()], slot: "0".into() };
    let mut consumer = log.subscribe(subscription, Box::new(NoRebalance)).unwrap();
    let limit = autorma_stream::PollLimit { records: 1, bytes: 1 };
    while consumer.poll(limit, Duration::from_secs(1)).unwrap().is_empty() {}
    let offsets = BTreeMap::from([(TopicPartition::new("images", 0), NextOffset(next))]);
    let advance = Some(Advance::to(consumer.membership(), offsets));
    log.producer("classifier-0").unwrap().commit(&Transaction { appends: Vec::new(), advance }).unwrap();
    consumer.leave().unwrap();
}

fn numbers(log: &dyn Log) -> Vec<u64> {
    lag(log, "classifier", &["images"]).unwrap().iter().map(|partition| partition.lag).collect()
}

#[test]
fn lag_counts_what_is_not_committed() {
    let log = Embedded::in_memory().unwrap();
    create(&log, "images");
    assert_eq!(numbers(&log), [0, 0]);
    append(&log, 0, 5);
    append(&log, 1, 2);
    assert_eq!(numbers(&log), [5, 2], "a group that has never been there has everything before it");
    let end = lag(&log, "classifier", &["images"]).unwrap()[0].end;
    commit(&log, end.0 - 2);
    assert_eq!(numbers(&log), [2, 2]);
    let first = lag(&log, "classifier", &["images"]).unwrap().swap_remove(0);
    let at = TopicPartition::new("images", 0);
    assert_eq!(first, PartitionLag { at, committed: Some(NextOffset(end.0 - 2)), end, lag: 2 });
    commit(&log, end.0);
    assert_eq!(numbers(&log), [0, 2]);
}

#[test]
fn a_scrape_tells_the_lag_and_nothing_when_it_cannot() {
    let log = Embedded::in_memory().unwrap();
    let registry = Registry::new();
    let collector = LagCollector::new(Arc::new(log.clone()), &[("classifier", &["images"])]);
    registry.register(Box::new(collector)).unwrap();
    let scrape = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert_eq!(scrape(), "", "there is no such topic");
    create(&log, "images");
    append(&log, 1, 3);
    let text = scrape();
    let line = |partition, lag| {
        format!(
            "autorma_lag_records{{group=\"classifier\",partition=\"{partition}\",topic=\"images\"}} {lag}\n"
        )
    };
    assert!(text.contains(&line(0, 0)) && text.contains(&line(1, 3)), "{text}");
}
