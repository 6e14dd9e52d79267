//! How fast the embedded log is by itself, in a temporary folder: events of 300 bytes appended in transactions of 100,
//! and then read and committed together with one output each, 100 at a time.
//!
//! `cargo run --release -p autorma-stream --example log_speed [-- <events>]` prints one JSON object.

use std::error::Error;
use std::time::{Duration, Instant};

use autorma_stream::embedded::Embedded;
use autorma_stream::{
    Advance, Append, Log, NoRebalance, PollLimit, Progress, Retention, Subscription, Topic, Transaction,
};

const TRANSACTION: usize = 100;
const EVENT_BYTES: usize = 300;

fn main() -> Result<(), Box<dyn Error>> {
    let events = std::env::args().nth(1).map_or(Ok(100_000), |events| events.parse::<usize>())?;
    let folder = tempfile::tempdir()?;
    let log = Embedded::open(&folder.path().join("log.db"))?;
    let topic = |name: &str| Topic {
        name: name.into(),
        partitions: 4,
        retention: Retention::Age(Duration::from_secs(3600)),
    };
    log.create(&[topic("images"), topic("predictions")])?;
    let append_per_second = append(&log, events)?;
    let consume_per_second = consume(&log, events)?;
    println!(
        "{{\"append_per_second\":{append_per_second:.0},\"consume_per_second\":{consume_per_second:.0}}}"
    );
    Ok(())
}

fn event(topic: &str, number: usize) -> Append {
    let key = Some(number.to_string().into_bytes());
    Append { topic: topic.into(), key, value: vec![b'x'; EVENT_BYTES], ..Append::default() }
}

fn append(log: &Embedded, events: usize) -> Result<f64, Box<dyn Error>> {
    let mut producer = log.producer("ingest")?;
    let begun = Instant::now();
    for first in (0..events).step_by(TRANSACTION) {
        let last = events.min(first + TRANSACTION);
        let appends = (first..last).map(|number| event("images", number)).collect();
        producer.commit(&Transaction { appends, advance: None })?;
    }
    Ok(events as f64 / begun.elapsed().as_secs_f64())
}

fn consume(log: &Embedded, events: usize) -> Result<f64, Box<dyn Error>> {
    let subscription =
        Subscription { group: "classifier".into(), topics: vec!["images".into()], slot: "0".into() };
    let mut consumer = log.subscribe(subscription, Box::new(NoRebalance))?;
    let mut producer = log.producer("classifier")?;
    let (mut progress, mut done) = (Progress::default(), 0);
    let begun = Instant::now();
    while done < events {
        let limit = PollLimit { records: TRANSACTION, bytes: usize::MAX };
        let records = consumer.poll(limit, Duration::from_secs(1))?;
        if records.is_empty() {
            continue;
        }
        let mut advance = Advance::behind(consumer.membership(), &records);
        for record in &records {
            let (at, offset) = (&record.stored.at, record.stored.offset);
            progress.begin(at, offset);
            progress.finish(at, offset);
            advance.offsets.extend(progress.committable(at).map(|next| (at.clone(), next)));
        }
        let appends = records.iter().enumerate().map(|(n, _)| event("predictions", done + n)).collect();
        producer.commit(&Transaction { appends, advance: Some(advance) })?;
        done += records.len();
    }
    Ok(events as f64 / begun.elapsed().as_secs_f64())
}
