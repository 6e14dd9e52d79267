//! How long partitions are nobody's when a member joins or leaves a Kafka group: the classic cooperative protocol beside
//! that of KIP-848, with static members as autorma has them, and dynamic ones.
//! `cargo run -p autorma-stream --example rebalance`.
//!
//! One member works; another joins, and after a while leaves. Measured is the time from the join to the newcomer's first
//! record, and from the leave to the first record that the other one gets of what it had.

use std::error::Error;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};

const PARTITIONS: i32 = 4;
const ROUNDS: usize = 3;
/// When waiting is given up.
const LONGEST: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let brokers = autorma_broker::shared().bootstrap();
    println!("{:<10} {:<8} {:>10} {:>10}", "protocol", "members", "join", "leave");
    for (protocol, members) in
        [("classic", "static"), ("classic", "dynamic"), ("consumer", "static"), ("consumer", "dynamic")]
    {
        let (mut joins, mut leaves) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let topic = format!("{protocol}-{members}-{round}");
            let (join, leave) = measure(&brokers, protocol, members == "static", &topic)?;
            joins.push(join);
            leaves.push(leave);
        }
        println!("{protocol:<10} {members:<8} {:>10} {:>10}", median(joins), median(leaves));
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> String {
    times.sort();
    let median = times[times.len() / 2];
    if median < LONGEST { format!("{median:.1?}") } else { format!("> {LONGEST:?}") }
}

fn measure(
    brokers: &str,
    protocol: &str,
    is_static: bool,
    topic: &str,
) -> Result<(Duration, Duration), Box<dyn Error>> {
    let member = |slot| member(brokers, protocol, topic, is_static.then_some(slot));
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers);
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    futures::executor::block_on(admin.create_topics([&new], &AdminOptions::new()))?;
    let producer: ThreadedProducer<DefaultProducerContext> = client.create()?;
    let publish = || {
        for partition in 0..PARTITIONS {
            let record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).payload(b"event");
            // A full queue would only mean fewer events.
            drop(producer.send(record));
        }
    };

    let first = member("first")?;
    until(&publish, || !heard(&first).is_empty());
    let second = member("second")?;
    let begun = Instant::now();
    until(&publish, || {
        heard(&first);
        !heard(&second).is_empty()
    });
    let join = begun.elapsed();
    // What the newcomer works on.
    let mut mine = Vec::new();
    let settled = Instant::now();
    while settled.elapsed() < Duration::from_secs(3) {
        publish();
        heard(&first);
        mine = heard(&second);
        std::thread::sleep(Duration::from_millis(10));
    }
    let begun = Instant::now();
    second.unsubscribe();
    until(&publish, || {
        heard(&second);
        heard(&first).iter().any(|partition| mine.contains(partition))
    });
    Ok((join, begun.elapsed()))
}

fn member(
    brokers: &str,
    protocol: &str,
    topic: &str,
    slot: Option<&str>,
) -> Result<BaseConsumer, Box<dyn Error>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", topic);
    if let Some(slot) = slot {
        config.set("group.instance.id", slot);
    }
    config.set("group.protocol", protocol).set("auto.offset.reset", "earliest");
    if protocol == "classic" {
        config.set("partition.assignment.strategy", "cooperative-sticky");
        config.set("session.timeout.ms", "10000").set("heartbeat.interval.ms", "500");
    }
    let consumer: BaseConsumer = config.create()?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

/// The partitions of the records that have come.
fn heard(consumer: &BaseConsumer) -> Vec<i32> {
    let mut partitions = Vec::new();
    while let Some(Ok(message)) = consumer.poll(Duration::from_millis(1)) {
        partitions.push(message.partition());
    }
    partitions
}

fn until(publish: &impl Fn(), mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() && begun.elapsed() < LONGEST {
        publish();
        std::thread::sleep(Duration::from_millis(5));
    }
}
