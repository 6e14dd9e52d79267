//! The conformance suite on a real Kafka, and what only a real Kafka does.

mod losses;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use autorma_broker::{Cluster, Options};
use autorma_stream::conformance::Open;
use autorma_stream::kafka::{Kafka, KafkaConfig};
use autorma_stream::retry::patiently;
use autorma_stream::{
    Advance, Append, Consumer, Error, Log, NextOffset, NoRebalance, PollLimit, Rebalance, Retention,
    Subscription, Topic, TopicPartition, Transaction,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// Nothing here takes so long, on the slowest machine.
const LONG: Duration = Duration::from_secs(60);

/// Each log has a prefix of its own on the one cluster of this process.
fn with_sessions(session_timeout: Duration) -> Open {
    static LOGS: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("log{}.", LOGS.fetch_add(1, Ordering::Relaxed));
    let brokers = autorma_broker::shared().bootstrap();
    let config = KafkaConfig { prefix, session_timeout, ..KafkaConfig::new(brokers) };
    Arc::new(move || Arc::new(Kafka::new(config.clone()).expect("the settings are right")) as Arc<dyn Log>)
}

/// A dead member's partitions must go to the others within a test's patience.
fn cluster() -> Open {
    with_sessions(Duration::from_secs(3))
}

/// Those of whoever needn't be waited for go to them long before the session's end.
fn with_long_sessions() -> Open {
    with_sessions(Duration::from_secs(20))
}

autorma_stream::conformance_tests!(cluster);
autorma_stream::promptness_tests!(with_long_sessions, Duration::from_secs(10));

/// While a transaction that moves a group's offset is open, the group can't say where it continues. Whoever is assigned
/// the partition meanwhile learns it later, also where no record is left that would tell: the end behind the last one was
/// passed, or whoever waits for the group to be done waits for ever.
#[test]
fn a_member_that_was_not_told_where_to_begin_learns_it() {
    let brokers = autorma_broker::shared().bootstrap();
    let log = with_photos(&brokers, "untold.", 1);
    let at = TopicPartition::new("images", 0);
    let end = log.bounds("images").unwrap()[0].end;
    assert!(end > NextOffset(1), "a transaction's marker lies behind the record");

    let pending = hold_the_offset(&brokers, "untold.", 1);
    let mut consumer = join(&log);
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
    pending.commit_transaction(LONG).unwrap();
    while begun.elapsed() < Duration::from_secs(60) {
        let passed = poll();
        if !passed.is_empty() {
            return assert_eq!((passed.len(), passed[&at].next), (1, end));
        }
    }
    panic!("the end behind the last record was never passed");
}

/// Whoever asks how far a group is gets an answer also while a killed member's transaction is open: what was committed.
#[test]
fn a_group_says_how_far_it_is_while_a_transaction_holds_its_offsets() {
    let brokers = autorma_broker::shared().bootstrap();
    let log = with_photos(&brokers, "pending.", 2);
    let at = TopicPartition::new("images", 0);
    let (_consumer, first) = read_one(&log);
    let mut producer = log.producer("a").unwrap();
    patiently(|| producer.commit(&first)).unwrap();
    let is_at = |next| log.committed("group").unwrap().get(&at) == Some(&NextOffset(next));
    eventually("the first commit is settled", || is_at(1));
    let begun = Instant::now();
    let pending = hold_the_offset(&brokers, "pending.", 2);
    assert!(is_at(1) && is_at(1), "what was committed before is told");
    assert!(begun.elapsed() < Duration::from_secs(60), "the transaction is still open");
    pending.commit_transaction(LONG).unwrap();
    eventually("the pending commit is settled", || is_at(2));
}

/// A member that is killed while it hands over partitions, and whose successor comes before anybody misses it, leaves them
/// to nobody: the group sees no change. They must be somebody's after a while nevertheless.
#[test]
fn partitions_that_a_killed_member_was_handing_over_are_not_left_to_nobody() {
    let config = KafkaConfig {
        prefix: "orphans.".into(),
        session_timeout: Duration::from_secs(3),
        ..KafkaConfig::new(autorma_broker::shared().bootstrap())
    };
    let log = Kafka::new(config).unwrap();
    let retention = Retention::Age(Duration::from_secs(3600));
    log.create(&[Topic { name: "images".into(), partitions: 4, retention }]).unwrap();
    let (asked, is_asked) = mpsc::channel();
    let (over, is_over) = mpsc::channel::<()>();
    let (first, is_left) = (log.clone(), Arc::<AtomicBool>::default());
    // As good as killed: it never says that it has handed over what it is asked for.
    let stuck = std::thread::spawn(move || {
        let listener = Stuck { asked, is_over, is_left: Arc::clone(&is_left) };
        let mut consumer = join_as(&first, "a", Box::new(listener));
        while !is_left.load(Ordering::Relaxed) && poll(&mut *consumer).is_ok() {}
        std::mem::forget(consumer);
    });
    eventually("it has all", || shares(&log) == [4]);
    let mut other = join_as(&log, "b", Box::new(NoRebalance));
    eventually("it is asked for some", || {
        poll(&mut *other).unwrap();
        is_asked.try_recv().is_ok()
    });
    let mut successor = join_as(&log, "a", Box::new(NoRebalance));
    eventually("all are somebody's", || {
        poll(&mut *other).unwrap();
        poll(&mut *successor).unwrap();
        shares(&log) == [2, 2]
    });
    drop(over);
    stuck.join().unwrap();
}

/// Takes what it is given, and doesn't give it back.
struct Stuck {
    asked: mpsc::Sender<()>,
    is_over: mpsc::Receiver<()>,
    is_left: Arc<AtomicBool>,
}

impl Rebalance for Stuck {
    fn assigned(&mut self, _: &TopicPartition) -> autorma_stream::Result<Option<NextOffset>> {
        Ok(None)
    }

    fn revoked(&mut self, _: &[TopicPartition], _: bool) {
        // Nobody listens any more, and then nobody waits any more, once the test is over.
        let _ = self.asked.send(());
        let _ = self.is_over.recv();
        self.is_left.store(true, Ordering::Relaxed);
    }
}

fn poll(consumer: &mut dyn Consumer) -> autorma_stream::Result<()> {
    consumer.poll(PollLimit { records: 10, bytes: 1 << 20 }, Duration::from_millis(100)).map(drop)
}

/// How many partitions each member of the group has.
fn shares(log: &Kafka) -> Vec<usize> {
    let groups = log.groups().unwrap();
    let members = groups.iter().filter(|group| group.name == "group").flat_map(|group| &group.members);
    members.map(|member| member.partitions.len()).collect()
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LONG, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A log with so many photos in the one partition of `images`, written in one transaction.
fn with_photos(brokers: &str, prefix: &str, count: usize) -> Kafka {
    let config = KafkaConfig {
        prefix: prefix.into(),
        session_timeout: Duration::from_secs(3),
        transaction_timeout: Duration::from_secs(3),
        ..KafkaConfig::new(brokers)
    };
    let log = Kafka::new(config).unwrap();
    let retention = Retention::Age(Duration::from_secs(3600));
    log.create(&[Topic { name: "images".into(), partitions: 1, retention }]).unwrap();
    let append = Append { topic: "images".into(), value: b"a photo".to_vec(), ..Append::default() };
    let photos = Transaction { appends: vec![append; count], advance: None };
    // A cluster that has just started takes longer than three seconds for its first transaction.
    let outside = Kafka::new(KafkaConfig { prefix: prefix.into(), ..KafkaConfig::new(brokers) }).unwrap();
    let mut outside = outside.producer("outside").unwrap();
    patiently(|| outside.commit(&photos)).unwrap();
    // Only then the topic ends behind the transaction's marker.
    log.settle(&["images"]).unwrap();
    log
}

/// The one member of `group`.
fn join(log: &Kafka) -> Box<dyn Consumer> {
    join_as(log, "a", Box::new(NoRebalance))
}

fn join_as(log: &Kafka, slot: &str, rebalance: Box<dyn Rebalance>) -> Box<dyn Consumer> {
    let group = Subscription { group: "group".into(), topics: vec!["images".into()], slot: slot.into() };
    log.subscribe(group, rebalance).unwrap()
}

/// An open transaction in which the group comes to continue at the offset. Its producer is no member, as one that was
/// thrown out isn't.
fn hold_the_offset(brokers: &str, prefix: &str, next: i64) -> BaseProducer {
    let client = |more: &[(&str, &str)]| {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", brokers);
        for (key, value) in more {
            client.set(*key, *value);
        }
        client
    };
    let group = format!("{prefix}group");
    let of_the_group: BaseConsumer = client(&[("group.id", &group)]).create().unwrap();
    let id = format!("{prefix}pending");
    let producer: BaseProducer =
        client(&[("transactional.id", &id), ("transaction.timeout.ms", "120000")]).create().unwrap();
    producer.init_transactions(LONG).unwrap();
    producer.begin_transaction().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&format!("{prefix}images"), 0, Offset::Offset(next)).unwrap();
    let group = of_the_group.group_metadata().unwrap();
    producer.send_offsets_to_transaction(&offsets, &group, LONG).unwrap();
    producer
}

/// A commit ends when the group's coordinator is away for good, and the next one is done when it is back. librdkafka alone
/// waits for it for ever, here and where the coordinator has only left the cluster's metadata for a moment.
#[test]
fn a_commit_ends_without_the_groups_coordinator() {
    // Only one broker has the group's offsets.
    let properties = vec![("offsets.topic.replication.factor".into(), "1".into())];
    let cluster = Cluster::start(Options { nodes: 3, properties, ..Options::default() }).unwrap();
    let log = with_photos(&cluster.bootstrap(), "lost.", 2);
    let mut producer = log.producer("a").unwrap();
    let (consumer, first) = read_one(&log);
    patiently(|| producer.commit(&first)).unwrap();
    consumer.leave().unwrap();
    let (_consumer, second) = read_one(&log);
    let coordinator = coordinator(&cluster, "lost.group");
    cluster.kill(coordinator).unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(producer.commit(&second)));
    let ended = told.recv_timeout(Duration::from_secs(40)).expect("the commit has ended");
    assert!(ended.is_err(), "it can't have been done");
    assert_eq!(log.figures().transactions()[2], ("fenced", 0), "nobody has taken the slot");

    cluster.restart(coordinator).unwrap();
    let begun = Instant::now();
    loop {
        let (_consumer, second) = read_one(&log);
        match log.producer("a").and_then(|mut producer| producer.commit(&second)) {
            Ok(()) => return,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(90), "{error}"),
        }
    }
}

/// A new member of the group, and a transaction that has done the next record.
fn read_one(log: &Kafka) -> (Box<dyn Consumer>, Transaction) {
    let begun = Instant::now();
    let mut consumer = join(log);
    loop {
        let limit = PollLimit { records: 1, bytes: 1 << 20 };
        let record = consumer.poll(limit, Duration::from_millis(100)).unwrap_or_default().pop();
        if let Some(record) = record {
            let advance = Some(Advance::behind(consumer.membership(), [&record]));
            return (consumer, Transaction { appends: Vec::new(), advance });
        }
        assert!(begun.elapsed() < LONG, "there is a record to read");
    }
}

/// A member that another has fenced can't be closed any more. Its client goes nevertheless, and at once.
#[test]
fn a_fenced_member_leaves_no_client_behind() {
    let log = with_photos(&autorma_broker::shared().bootstrap(), "fenced.", 1);
    let mut first = join(&log);
    eventually("it has the partition", || {
        poll(&mut *first).unwrap();
        shares(&log) == [1]
    });
    let mut second = join(&log);
    eventually("it is fenced", || {
        poll(&mut *second).unwrap();
        matches!(poll(&mut *first), Err(Error::Fenced { .. }))
    });
    // Each client counts.
    let figures = log.figures();
    let clients = Arc::strong_count(&figures);
    drop(first);
    assert!(Arc::strong_count(&figures) < clients, "its client has gone");
}

/// Who leaves says so: its partitions go to the others long before its session would end.
#[test]
fn a_member_that_leaves_is_not_waited_for() {
    let config = KafkaConfig {
        prefix: "leaving.".into(),
        session_timeout: Duration::from_secs(45),
        ..KafkaConfig::new(autorma_broker::shared().bootstrap())
    };
    let log = Kafka::new(config).unwrap();
    log.create(&[Topic { name: "images".into(), partitions: 1, retention: Retention::Compact }]).unwrap();
    let limit = PollLimit { records: 1, bytes: 1 << 20 };
    let mut leaving = join(&log);
    let shares = || {
        let groups = log.groups().unwrap_or_default();
        let group = groups.into_iter().find(|group| group.name == "group");
        group.map_or_else(Vec::new, |group| {
            group.members.into_iter().map(|member| (member.slot, member.partitions.len())).collect()
        })
    };
    let poll = |member: &mut Box<dyn Consumer>| drop(member.poll(limit, Duration::from_millis(50)).unwrap());
    eventually("the one has it", || {
        poll(&mut leaving);
        shares() == [("a".to_owned(), 1)]
    });
    let mut staying = join_as(&log, "b", Box::new(NoRebalance));
    eventually("both are there", || {
        poll(&mut leaving);
        poll(&mut staying);
        shares().len() == 2
    });
    let begun = Instant::now();
    leaving.leave().unwrap();
    eventually("the other has it", || {
        poll(&mut staying);
        shares() == [("b".to_owned(), 1)]
    });
    assert!(begun.elapsed() < Duration::from_secs(30), "handed over after {:?}", begun.elapsed());
}

/// A member that leaves while it is still joining leaves no ghost for whom the others wait until its session ends.
#[test]
fn a_member_that_leaves_before_it_has_joined_is_not_waited_for() {
    let session_timeout = Duration::from_secs(30);
    let config = KafkaConfig {
        prefix: "hasty.".into(),
        session_timeout,
        ..KafkaConfig::new(autorma_broker::shared().bootstrap())
    };
    let log = Kafka::new(config).unwrap();
    log.create(&[Topic { name: "images".into(), partitions: 1, retention: Retention::Compact }]).unwrap();
    let limit = PollLimit { records: 1, bytes: 1 << 20 };
    // Gone with the test, however that ends.
    let test = Arc::new(());
    let patient = std::thread::spawn({
        let (log, test) = (log.clone(), Arc::downgrade(&test));
        move || {
            let mut patient = join(&log);
            while test.strong_count() > 0 {
                drop(patient.poll(limit, Duration::from_millis(50)).unwrap());
            }
        }
    });
    let is_alone = || {
        assert!(!patient.is_finished(), "the one that stays has failed");
        let group = log.groups().unwrap_or_default().into_iter().find(|group| group.name == "group");
        group.is_some_and(
            |it| matches!(&it.members[..], [one] if one.slot == "a" && one.partitions.len() == 1),
        )
    };
    eventually("one member has the partition", is_alone);
    for milliseconds in [0, 10, 50, 100, 200, 400, 1000] {
        let mut hasty = join_as(&log, "hasty", Box::new(NoRebalance));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(milliseconds) {
            drop(hasty.poll(limit, Duration::from_millis(10)).unwrap());
        }
        hasty.leave().unwrap();
        eventually("one member has the partition again", is_alone);
        let waited = begun.elapsed();
        assert!(waited < session_timeout * 3 / 4, "{waited:?} for one that left after {milliseconds} ms");
    }
    drop(test);
    patient.join().unwrap();
}

/// The number of the broker that coordinates the group.
fn coordinator(cluster: &Cluster, group: &str) -> usize {
    let brokers = cluster.bootstrap();
    let args = ["--describe", "--state", "--group", group];
    let told = cluster.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &args).unwrap();
    let told = String::from_utf8_lossy(&told.stdout) + String::from_utf8_lossy(&told.stderr);
    let is_told = |broker: &str| told.contains(broker);
    brokers.split(',').position(is_told).unwrap_or_else(|| panic!("no coordinator in {told}"))
}
