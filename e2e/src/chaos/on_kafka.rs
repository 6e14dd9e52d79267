//! What else may happen on a cluster.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use autorma_broker::{Cluster, Options, shared};
use autorma_schemas::{DeadLetter, Event, Prediction, topics};
use autorma_stream::kafka::{Kafka, KafkaConfig};
use autorma_stream::{Bounds, Log};

use super::Game;
use crate::{Random, Sandbox, eventually};

/// Short ones, so that a process that sleeps for longer than them is a zombie when it wakes up.
pub(super) const TIMES: [(&str, &str); 2] =
    [("AUTORMA_LOG_KAFKA_SESSION_TIMEOUT", "2s"), ("AUTORMA_LOG_KAFKA_TRANSACTION_TIMEOUT", "3s")];
const SLEEP: Duration = Duration::from_millis(4500);

/// The cluster of a game: one broker, or three of which one at a time may die; none where the log isn't on Kafka.
pub(super) fn cluster(random: &mut Random) -> Option<&'static Cluster> {
    static THREE: OnceLock<Cluster> = OnceLock::new();
    let start = || Cluster::start(Options { nodes: 3, ..Options::default() }).unwrap();
    lasting().map(|one| if random.chance(30) { THREE.get_or_init(start) } else { one })
}

/// One broker, which nobody kills; none where the log isn't on Kafka.
pub(super) fn lasting() -> Option<&'static Cluster> {
    std::env::var("LOG").is_ok_and(|log| log == "kafka").then(shared)
}

impl Game {
    /// Something that only a cluster has.
    pub(super) fn trouble(&mut self, random: &mut Random) {
        let cluster = self.cluster.unwrap();
        match random.within(0, 3) {
            0 => self.sleeper(random),
            1 if self.crew[0].0[0] != "run" => self.guest(random),
            _ if cluster.bootstrap().contains(',') => self.dead_broker(cluster, random),
            _ => self.sleeper(random),
        }
    }

    /// A process sleeps until the others have its work, and wakes up.
    fn sleeper(&mut self, random: &mut Random) {
        let victim = random.within(0, self.crew.len());
        sleep(Duration::from_millis(random.within(0, 800) as u64));
        let (command, process) = &mut self.crew[victim];
        let Some(process) = process else { return };
        if !process.is_running() {
            return;
        }
        process.signal("STOP");
        self.kills.push(format!("{} asleep", command[0]));
        sleep(SLEEP);
        process.signal("CONT");
    }

    /// Another classifier joins, works for a while, and leaves or dies.
    fn guest(&mut self, random: &mut Random) {
        let mut guest = self.spawn(&["classify", "--slot", "guest"], None);
        self.arrive(random.within(5, 30));
        sleep(Duration::from_millis(random.within(200, 2500) as u64));
        if random.chance(50) {
            self.kills.push("a guest is killed".into());
            guest.kill();
        } else {
            self.kills.push("a guest leaves".into());
            guest.signal("TERM");
            let ended = guest.wait();
            assert_eq!(ended.code, Some(0), "{}", ended.errors);
        }
    }

    /// One of three brokers dies and comes back.
    fn dead_broker(&mut self, cluster: &Cluster, random: &mut Random) {
        let node = random.within(0, 3);
        self.kills.push(format!("broker {node}"));
        cluster.kill(node).unwrap();
        self.arrive(random.within(5, 30));
        sleep(Duration::from_millis(random.within(500, 4000) as u64));
        cluster.restart(node).unwrap();
        whole_again(cluster);
    }
}

/// Until every partition has all its copies again: three brokers bear the loss of one at a time.
fn whole_again(cluster: &Cluster) {
    eventually("every partition has all its copies", || {
        let described = cluster
            .tool("org.apache.kafka.tools.TopicCommand", &["--describe", "--under-replicated-partitions"])
            .unwrap();
        (described.status.success() && described.stdout.iter().all(u8::is_ascii_whitespace)).then_some(())
    });
}

/// Whoever reads what was committed, in no group, sees one outcome of each image event of a run.
pub(super) fn witness(cluster: &Cluster, sandbox: &Sandbox, told: &str) {
    let config = KafkaConfig { prefix: sandbox.prefix(), ..KafkaConfig::new(cluster.bootstrap()) };
    let log = Kafka::new(config).unwrap();
    // Of each image event of a run: where its outcomes are, of which record of the images they are, and since when.
    let mut outcomes = BTreeMap::<(Option<String>, Option<String>), Vec<String>>::new();
    for topic in [topics::PREDICTIONS, topics::DEAD_LETTERS] {
        for Bounds { at, start, .. } in log.bounds(topic).unwrap() {
            for record in log.read(&at, start, usize::MAX).unwrap() {
                let (id, origin, since) = match topic {
                    topics::PREDICTIONS => {
                        let it = Prediction::decode(&record.value).unwrap();
                        ((it.run_id, Some(it.event_id)), it.origin, it.processed_at)
                    }
                    _ => {
                        let it = DeadLetter::decode(&record.value).unwrap();
                        ((it.run_id, it.event_id), it.origin, it.failed_at)
                    }
                };
                let place = format!("{at} {}: {origin:?} {since:?}", record.offset.0);
                outcomes.entry(id).or_default().push(place);
            }
        }
    }
    let doubled: Vec<_> = outcomes.iter().filter(|(_, places)| places.len() > 1).collect();
    assert!(doubled.is_empty(), "doubled in the topics: {doubled:#?} after {told}");
    assert_eq!(outcomes.len() as i64, sandbox.published(), "lost from the topics after {told}");
}
