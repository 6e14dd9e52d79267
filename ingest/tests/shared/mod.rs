//! A folder, a log and what is in them.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autorma_ingest::{Batch, Config, Found, Metrics};
use autorma_schemas::{Event, ImageEvent, LedgerRecord, Micros, RunKind, RunRecord, RunState, topics};
use autorma_service::Shutdown;
use autorma_stream::embedded::Embedded;
use autorma_stream::{
    Advance, Append, Consumer, Log, NextOffset, NoRebalance, PollLimit, Producer, Retention, Subscription,
    Topic, Transaction,
};

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) registry: prometheus::Registry,
    pub(crate) metrics: Metrics,
    pub(crate) config: Config,
    pub(crate) shutdown: Shutdown,
}

impl World {
    /// With a log in memory.
    pub(crate) fn new() -> Self {
        Self::with(|_| Arc::new(Embedded::in_memory().unwrap()))
    }

    /// With a log on the disk, as the program has it.
    pub(crate) fn on_disk() -> Self {
        Self::with(|folder| Arc::new(Embedded::open(&folder.join("log")).unwrap()))
    }

    fn with(log: impl FnOnce(&Path) -> Arc<dyn Log>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        let registry = prometheus::Registry::new();
        let log = log(folder.path());
        create_topics(&*log);
        let config = config(&folder.path().join("in"));
        let (metrics, shutdown) = (Metrics::new(&registry).unwrap(), Shutdown::new());
        Self { folder, log, metrics, registry, config, shutdown }
    }

    /// The input folder, canonical.
    pub(crate) fn input(&self) -> PathBuf {
        self.config.input.canonicalize().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.input().join(name)
    }

    /// Writes a photo that looks old enough to be taken at once.
    pub(crate) fn photo(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        age(&path, 60);
        path
    }

    pub(crate) fn batch(&self) -> Batch {
        self.batch_with(|_| {})
    }

    pub(crate) fn batch_with(&self, mut progress: impl FnMut(Found)) -> Batch {
        autorma_ingest::batch(&self.config, &*self.log, &self.metrics, &self.shutdown, &mut progress).unwrap()
    }

    pub(crate) fn events(&self) -> Vec<ImageEvent> {
        read(&*self.log, topics::IMAGES)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.events().into_iter().map(|event| event.name).collect()
    }

    pub(crate) fn ledger(&self) -> Vec<LedgerRecord> {
        read(&*self.log, topics::LEDGER)
    }

    /// The newest record of each run.
    pub(crate) fn runs(&self) -> Vec<RunRecord> {
        let records = read::<RunRecord>(&*self.log, topics::RUNS).into_iter();
        records.map(|run| (run.run_id.clone(), run)).collect::<BTreeMap<_, _>>().into_values().collect()
    }

    pub(crate) fn append(&self, topic: &str, key: &str, event: &impl Event) {
        let append = Append {
            topic: topic.into(),
            key: Some(key.as_bytes().to_vec()),
            value: event.encode(),
            ..Append::default()
        };
        let mut producer = self.log.producer("test").unwrap();
        producer.commit(&Transaction { appends: vec![append], advance: None }).unwrap();
    }

    /// As the sink does once a run's files are durable.
    pub(crate) fn finish(&self, run: &RunRecord) {
        let finished = RunRecord { state: RunState::Finished, ..run.clone() };
        self.append(topics::RUNS, &run.run_id, &finished);
    }

    /// From now on, batches are of a command that is called now, with `--reprocess`.
    pub(crate) fn reprocess(&mut self) {
        self.config.reprocess = Some(Micros::now());
    }

    /// Waits for `condition`, but not for ever.
    pub(crate) fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !condition() {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.names());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn counted(&self, outcome: &str) -> u64 {
        self.metrics.files.with_label_values(&[outcome]).get()
    }
}

pub(crate) fn create_topics(log: &dyn Log) {
    let topic = |name: &str, partitions, retention| Topic { name: name.into(), partitions, retention };
    log.create(&[
        topic(topics::IMAGES, 4, Retention::Age(Duration::from_secs(3600))),
        topic(topics::RUNS, 1, Retention::Compact),
        topic(topics::LEDGER, 1, Retention::Compact),
    ])
    .unwrap();
}

pub(crate) fn config(input: &Path) -> Config {
    Config {
        input: input.to_owned(),
        recursive: false,
        reprocess: None,
        settle: Duration::from_secs(2),
        rescan: Duration::from_secs(3600),
        run_length: Duration::from_secs(3600),
        max_ahead: 1_000_000,
        patience: Duration::from_secs(30),
    }
}

/// Makes the file look as if it was written `seconds` ago.
pub(crate) fn age(path: &Path, seconds: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

/// Everything in a topic, in the order of offsets within partitions; images by run and sequence.
fn read<E: Event + Sortable>(log: &dyn Log, topic: &str) -> Vec<E> {
    let mut events = Vec::new();
    for bounds in log.bounds(topic).unwrap() {
        let records = log.read(&bounds.at, NextOffset::START, usize::MAX >> 1).unwrap();
        events.extend(records.iter().map(|record| E::decode(&record.value).unwrap()));
    }
    events.sort_by_cached_key(E::order);
    events
}

pub(crate) trait Sortable {
    fn order(&self) -> (String, i64);
}

impl Sortable for ImageEvent {
    fn order(&self) -> (String, i64) {
        (self.run_id.clone().unwrap(), self.sequence)
    }
}

impl Sortable for LedgerRecord {
    fn order(&self) -> (String, i64) {
        (String::new(), 0)
    }
}

impl Sortable for RunRecord {
    fn order(&self) -> (String, i64) {
        (String::new(), 0)
    }
}

pub(crate) fn run_record(id: &str, input: &str) -> RunRecord {
    RunRecord { images: 1, ..RunRecord::open(id, RunKind::Batch, input, Micros::now()) }
}

pub(crate) fn text(path: &Path) -> &str {
    std::str::from_utf8(path.as_os_str().as_bytes()).unwrap()
}

/// Stands for the classifier: commits its offsets, and nothing else.
pub(crate) struct Classifier {
    log: Arc<dyn Log>,
    consumer: Box<dyn Consumer>,
    producer: Box<dyn Producer>,
}

impl Classifier {
    pub(crate) fn join(world: &World) -> Self {
        let subscription = Subscription {
            group: "classifier".into(),
            topics: vec![topics::IMAGES.into()],
            slot: "0".into(),
        };
        let mut consumer = world.log.subscribe(subscription, Box::new(NoRebalance)).unwrap();
        consumer.poll(PollLimit::NOTHING, Duration::ZERO).unwrap();
        Self { log: Arc::clone(&world.log), consumer, producer: world.log.producer("classifier-0").unwrap() }
    }

    /// All that there is at the moment is done.
    pub(crate) fn catch_up(&mut self) {
        self.consumer.poll(PollLimit::NOTHING, Duration::ZERO).unwrap();
        let bounds = self.log.bounds(topics::IMAGES).unwrap().into_iter();
        let offsets = bounds.map(|it| (it.at, it.end)).collect();
        let advance = Some(Advance::to(self.consumer.membership(), offsets));
        self.producer.commit(&Transaction { appends: Vec::new(), advance }).unwrap();
    }
}

/// A test of the program passes in a process that has these limits, and knows by a variable that it is that one.
pub(crate) fn passes_under(limits: &str, test: &str, variable: &str) {
    let child = Command::new("sh")
        .args(["-c", &format!("{limits}; exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}
