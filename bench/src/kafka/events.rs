//! Events a second through the classifier with inference replaced by nothing: its two threads that talk to the log, and
//! its limits, so that transactions have the size that they really have.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use autorma_schemas::topics;
use autorma_stream::kafka::Kafka;
use autorma_stream::retry::{Backoff, retry};
use autorma_stream::{
    Advance, Append, Consumer, Error, Log as _, Membership, NoRebalance, PollLimit, Producer, Record,
    Subscription, Transaction,
};

use super::Broker;
use crate::report::{Report, median};

const IMAGE_BYTES: usize = 300;
const OUTCOME_BYTES: usize = 600;
/// As the classifier has them.
const IN_FLIGHT: usize = 128;
const BATCH: usize = 10;
const WAIT: Duration = Duration::from_millis(50);
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(5), longest: Duration::from_secs(2), attempts: 30 };

/// What is read and not committed.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    done: Condvar,
    room: Condvar,
}

#[derive(Default)]
struct State {
    done: Vec<Record>,
    in_flight: usize,
    /// The committer has ended, maybe with an error.
    over: bool,
}

/// So many events, which are there before.
pub(super) fn measure(broker: &Broker<'_>, events: usize, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("{events} events without inference");
    broker.fresh("events")?;
    let log = broker.log("events")?;
    let begun = Instant::now();
    fill(&log, events)?;
    eprintln!("  produced in {:.1} s", begun.elapsed().as_secs_f64());
    let subscription =
        Subscription { group: "nothing".into(), topics: vec![topics::IMAGES.into()], slot: "0".into() };
    let mut consumer = log.subscribe(subscription, Box::new(NoRebalance))?;
    let membership = consumer.membership();
    let mut producer = log.producer("nothing-0")?;
    let desk = Desk::default();
    let (begun, mut commits, ended) = std::thread::scope(|scope| {
        let committing = scope.spawn(|| {
            let committed = commit(&desk, &mut *producer, &membership, events);
            desk.lock().over = true;
            committed
        });
        let begun = poll(&desk, &mut *consumer);
        // If reading has failed, nothing more comes.
        desk.lock().over = true;
        desk.done.notify_one();
        let (commits, ended) = committing.join().map_err(|_| anyhow!("a panic"))??;
        anyhow::Ok((begun?, commits, ended))
    })?;
    report.add("events_per_second", events as f64 / (ended - begun).as_secs_f64(), Some("at least 10000"));
    report.add("events_a_transaction", events as f64 / commits.len() as f64, None);
    report.add("transaction_median_ms", median(&mut commits) * 1e3, None);
    Ok(())
}

fn fill(log: &Kafka, events: usize) -> anyhow::Result<()> {
    let mut producer = log.producer("filling")?;
    for first in (0..events).step_by(1000) {
        let numbers = first..events.min(first + 1000);
        let appends = numbers.map(|number| append(topics::IMAGES, number, IMAGE_BYTES)).collect();
        producer.commit(&Transaction { appends, advance: None })?;
    }
    Ok(())
}

fn append(topic: &str, number: usize, bytes: usize) -> Append {
    let key = Some(format!("{number:036}").into_bytes());
    // Not the same byte again and again: it is compressed.
    let value = (0..bytes).map(|at| (number.wrapping_mul(31) ^ at.wrapping_mul(7919)) as u8).collect();
    Append { topic: topic.into(), key, value, ..Append::default() }
}

/// Reads while there is room. Returns when the first record came.
fn poll(desk: &Desk, consumer: &mut dyn Consumer) -> anyhow::Result<Instant> {
    let mut begun = None;
    while !desk.lock().over {
        let full = |state: &mut State| IN_FLIGHT - state.in_flight < BATCH;
        let (state, _) =
            desk.room.wait_timeout_while(desk.lock(), WAIT, full).unwrap_or_else(PoisonError::into_inner);
        let room = IN_FLIGHT - state.in_flight;
        drop(state);
        let records = consumer.poll(PollLimit { records: room, bytes: 32 << 20 }, WAIT)?;
        if records.is_empty() {
            continue;
        }
        begun.get_or_insert_with(Instant::now);
        let mut state = desk.lock();
        state.in_flight += records.len();
        state.done.extend(records);
        desk.done.notify_one();
    }
    Ok(begun.unwrap_or_else(Instant::now))
}

/// Commits whatever is there, together, and then again. Returns the seconds of each transaction, and when the last one
/// was durable.
fn commit(
    desk: &Desk,
    producer: &mut dyn Producer,
    membership: &Membership,
    events: usize,
) -> anyhow::Result<(Vec<f64>, Instant)> {
    let (mut committed, mut seconds) = (0, Vec::new());
    while committed < events {
        let nothing = |state: &mut State| state.done.is_empty() && !state.over;
        let state = desk.done.wait_while(desk.lock(), nothing);
        let records = std::mem::take(&mut state.unwrap_or_else(PoisonError::into_inner).done);
        ensure!(!records.is_empty(), "reading has ended after {committed} events");
        let begun = Instant::now();
        let mut offsets = BTreeMap::new();
        for record in &records {
            offsets.insert(record.stored.at.clone(), record.stored.offset.next());
        }
        let numbers = committed..committed + records.len();
        let transaction = Transaction {
            appends: numbers.map(|number| append(topics::PREDICTIONS, number, OUTCOME_BYTES)).collect(),
            advance: Some(Advance { membership: membership.clone(), offsets }),
        };
        let pause = |pause| {
            std::thread::sleep(pause);
            true
        };
        retry(BACKOFF, Error::disposition, pause, || producer.commit(&transaction))?;
        seconds.push(begun.elapsed().as_secs_f64());
        committed += records.len();
        desk.lock().in_flight -= records.len();
        desk.room.notify_one();
    }
    Ok((seconds, Instant::now()))
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
