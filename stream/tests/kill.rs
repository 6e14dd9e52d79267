//! Real processes on one file: what a killed one has committed is there, all of it or nothing of it. The children are
//! this very test program, run with one of the ignored tests.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use autorma_stream::embedded::Embedded;
use autorma_stream::{
    Advance, Append, Log, NextOffset, NoRebalance, PollLimit, Retention, Subscription, Topic, TopicPartition,
    Transaction,
};

type Outcome = Result<(), Box<dyn Error>>;

const FILE: &str = "AUTORMA_TEST_LOG";
const SLOT: &str = "AUTORMA_TEST_SLOT";
/// What a child says in front of a number that it has committed; the test harness says things, too.
const COMMITTED: &str = "committed ";
const RECORDS: usize = 4000;
const ANY: PollLimit = PollLimit { records: 1000, bytes: usize::MAX };
const PATIENCE: Duration = Duration::from_secs(60);

fn create(file: &Path, partitions: u32) -> Result<Embedded, Box<dyn Error>> {
    let log = Embedded::open(file)?;
    let topic = |name: &str, partitions| Topic {
        name: name.into(),
        partitions,
        retention: Retention::Age(Duration::from_secs(3600)),
    };
    log.create(&[topic("in", partitions), topic("out", 1)])?;
    Ok(log)
}

fn publish(log: &Embedded, partitions: i32, numbers: std::ops::Range<usize>) -> Outcome {
    let append = |number: usize| Append {
        topic: "in".into(),
        partition: Some(number as i32 % partitions),
        value: number.to_string().into_bytes(),
        ..Append::default()
    };
    let appends = numbers.map(append).collect();
    Ok(log.producer("publisher")?.commit(&Transaction { appends, advance: None })?)
}

/// A child: copies records from `in` to `out`, a few in each transaction, until it is killed.
#[test]
#[ignore = "run by the other tests in processes of their own"]
fn child_that_works() -> Outcome {
    let (Some(file), Ok(slot)) = (std::env::var_os(FILE), std::env::var(SLOT)) else {
        return Ok(());
    };
    let log = Embedded::open(&PathBuf::from(file))?;
    let subscription = Subscription { group: "g".into(), topics: vec!["in".into()], slot: slot.clone() };
    let mut consumer = log.subscribe(subscription, Box::new(NoRebalance))?;
    let mut producer = log.producer(&slot)?;
    loop {
        let records = consumer.poll(PollLimit { records: 3, bytes: usize::MAX }, Duration::from_secs(10))?;
        if records.is_empty() {
            continue;
        }
        let appends = records.iter().map(|record| Append {
            topic: "out".into(),
            value: record.stored.value.clone(),
            ..Append::default()
        });
        let advance = Advance::behind(consumer.membership(), &records);
        producer.commit(&Transaction { appends: appends.collect(), advance: Some(advance) })?;
        for record in &records {
            println!("\n{COMMITTED}{}", String::from_utf8_lossy(&record.stored.value));
        }
    }
}

/// A child. It would work for ever, so it is killed when this is dropped.
struct Worker {
    process: Child,
    /// Read by a thread of its own, so that nobody waits for ever for one that says nothing.
    lines: Receiver<String>,
    committed: Vec<usize>,
}

impl Worker {
    fn start(file: &Path, slot: &str) -> Result<Self, Box<dyn Error>> {
        Self::start_as(file, slot, "child_that_works")
    }

    fn start_as(file: &Path, slot: &str, child: &str) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--ignored", "--exact", child, "--nocapture"])
            .env(FILE, file)
            .env(SLOT, slot)
            .stdout(Stdio::piped())
            .spawn()?;
        let said = BufReader::new(process.stdout.take().ok_or("the child has no output")?).lines();
        let (tell, lines) = channel();
        std::thread::spawn(move || said.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Ok(Self { process, lines, committed: Vec::new() })
    }

    /// Listens until it has committed so many more.
    fn listen(&mut self, more: usize) -> Outcome {
        let enough = self.committed.len() + more;
        while self.committed.len() < enough {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.map_err(|silence| format!("the child is silent or dead: {silence}"))?;
            self.committed.extend(number(&line));
        }
        Ok(())
    }

    /// Kills it and hears what it still had to say.
    fn kill(mut self) -> Result<Vec<usize>, Box<dyn Error>> {
        self.process.kill()?;
        self.process.wait()?;
        for line in &self.lines {
            self.committed.extend(number(&line));
        }
        Ok(std::mem::take(&mut self.committed))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn number(line: &str) -> Option<usize> {
    line.strip_prefix(COMMITTED)?.parse().ok()
}

fn outputs(log: &Embedded) -> Result<Vec<usize>, Box<dyn Error>> {
    let records = log.read(&TopicPartition::new("out", 0), NextOffset::START, usize::MAX)?;
    records.iter().map(|record| Ok(String::from_utf8(record.value.clone())?.parse()?)).collect()
}

#[test]
fn what_a_killed_process_has_committed_is_there_whole_and_once() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("log.db");
    let log = create(&file, 1)?;
    publish(&log, 1, 0..RECORDS)?;
    let mut said = Vec::new();
    for kill in 0..8 {
        let mut worker = Worker::start(&file, "a")?;
        worker.listen(10 + 17 * kill)?;
        // Not at the moment of its message, but anywhere in a transaction.
        let (listened, pause) = (Instant::now(), Duration::from_micros(700 * kill as u64));
        while listened.elapsed() < pause {
            std::hint::spin_loop();
        }
        said.extend(worker.kill()?);
        let outputs = outputs(&log)?;
        assert_eq!(outputs, (0..outputs.len()).collect::<Vec<_>>(), "no gap, none twice");
        let committed = log.committed("g")?[&TopicPartition::new("in", 0)];
        assert_eq!(committed, NextOffset(outputs.len() as i64), "outputs and offsets together");
        assert!(said.iter().all(|number| *number < outputs.len()), "what was said to be committed is there");
        assert!(said.len() <= outputs.len() && outputs.len() < RECORDS);
    }
    Ok(())
}

#[test]
fn processes_share_the_work_and_continue_that_of_the_killed() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("log.db");
    let log = create(&file, 4)?;
    let watching = Subscription { group: "watching".into(), topics: vec!["out".into()], slot: "test".into() };
    let mut watching = log.subscribe(watching, Box::new(NoRebalance))?;
    let mut workers = Vec::new();
    for slot in ["a", "b", "c"] {
        workers.push(Worker::start(&file, slot)?);
    }
    let begun = Instant::now();
    let mut seen = 0;
    for part in 0..3 {
        while !all_have_work(&log, &workers)? {
            seen += watching.poll(ANY, Duration::from_millis(50))?.len();
            assert!(begun.elapsed() < PATIENCE, "the workers have not settled");
        }
        publish(&log, 4, part * 200..(part + 1) * 200)?;
        for worker in &mut workers {
            worker.listen(3)?;
        }
        workers.remove(0).kill()?;
        workers.push(Worker::start(&file, ["a", "b", "c"][part])?);
    }
    while seen < 600 {
        seen += watching.poll(ANY, Duration::from_secs(1))?.len();
        assert!(begun.elapsed() < PATIENCE, "the work is never done");
    }
    for worker in workers {
        worker.kill()?;
    }
    let outputs = outputs(&log)?;
    for partition in 0..4 {
        let of_partition = outputs.iter().copied().filter(|number| number % 4 == partition);
        assert!(of_partition.eq((0..600).filter(|number| number % 4 == partition)), "each once, in order");
    }
    Ok(())
}

fn all_have_work(log: &Embedded, workers: &[Worker]) -> Result<bool, Box<dyn Error>> {
    let members: Vec<_> = log.groups()?.into_iter().flat_map(|group| group.members).collect();
    let has_work = |worker: &Worker| {
        let mut of_it = members.iter().filter(|member| member.process == Some(worker.process.id()));
        of_it.any(|member| !member.partitions.is_empty())
    };
    Ok(workers.iter().all(has_work))
}

/// A child: says what news it hears.
#[test]
#[ignore = "run by the other tests in processes of their own"]
fn child_that_waits() -> Outcome {
    let Some(file) = std::env::var_os(FILE) else {
        return Ok(());
    };
    let log = Embedded::open(&PathBuf::from(file))?;
    let subscription = Subscription { group: "g".into(), topics: vec!["in".into()], slot: "a".into() };
    let mut consumer = log.subscribe(subscription, Box::new(NoRebalance))?;
    loop {
        for record in consumer.poll(ANY, Duration::from_secs(10))? {
            println!("\n{COMMITTED}{}", String::from_utf8_lossy(&record.stored.value));
        }
    }
}

#[test]
fn news_wakes_other_processes() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("log.db");
    let log = create(&file, 1)?;
    publish(&log, 1, 0..1)?;
    let mut worker = Worker::start_as(&file, "a", "child_that_waits")?;
    worker.listen(1)?;
    let mut waits = Vec::new();
    for number in 1..=21 {
        // At any time between two looks, however long publishing takes.
        std::thread::sleep(Duration::from_millis(25) * (number as u32 - 1));
        publish(&log, 1, number..number + 1)?;
        let published = Instant::now();
        worker.listen(1)?;
        waits.push(published.elapsed());
    }
    worker.kill()?;
    waits.sort();
    println!("heard after {:?}, in the middle", waits[10]);
    // Without the bell it would look every 500 ms: about a quarter of the waits would be longer than 350 ms.
    assert!(waits[15] < Duration::from_millis(300), "{waits:?}");
    Ok(())
}
