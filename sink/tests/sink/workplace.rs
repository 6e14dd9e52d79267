//! A log, an output folder, and sinks that work on them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use autorma_schemas::{
    ClassProbability, DeadLetter, Decision, Event, Micros, ModelVersion, Origin, Prediction, RunKind,
    RunRecord, RunState, event_id, topics,
};
use autorma_service::Shutdown;
use autorma_sink::{Config, Error, Metrics, Progress, Snapshot};
use autorma_stream::embedded::Embedded;
use autorma_stream::{Append, Log, Retention, Topic, Transaction};
use serde_json::Value;

/// Longer than anything takes that goes well.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// When everything happens, in microseconds.
pub(crate) const OPENED: i64 = 1_795_000_000_000_000;

pub(crate) struct Workplace {
    pub(crate) log: Embedded,
    pub(crate) output: tempfile::TempDir,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self::on(&std::env::temp_dir())
    }

    /// Whose log drops what retention lets go.
    pub(crate) fn keeping(retention: Retention) -> Self {
        Self::with(&std::env::temp_dir(), retention)
    }

    /// With its output folder in another one.
    pub(crate) fn on(folder: &Path) -> Self {
        Self::with(folder, Retention::Age(Duration::from_secs(3600)))
    }

    fn with(folder: &Path, retention: Retention) -> Self {
        let workplace =
            Self { log: Embedded::in_memory().unwrap(), output: tempfile::tempdir_in(folder).unwrap() };
        workplace.create_topics(retention);
        workplace
    }

    pub(crate) fn create_topics(&self, retention: Retention) {
        let topic = |(name, partitions): (&str, u32)| Topic { name: name.into(), partitions, retention };
        let all = [(topics::PREDICTIONS, 3), (topics::DEAD_LETTERS, 2), (topics::RUNS, 1)].map(topic);
        self.log.create(&all).unwrap();
    }

    /// Appends records, each in a transaction of its own so that the sink may see any number of them.
    pub(crate) fn append(&self, records: impl IntoIterator<Item = Append>) {
        let mut producer = self.log.producer("test").unwrap();
        for record in records {
            producer.commit(&Transaction { appends: vec![record], advance: None }).unwrap();
        }
    }

    pub(crate) fn sink(&self) -> Running {
        self.sink_on(Arc::new(self.log.clone()), self.output.path(), Duration::from_secs(3600))
    }

    pub(crate) fn sink_on(&self, log: Arc<dyn Log>, output: &Path, run_length: Duration) -> Running {
        let config = Config { output: output.into(), run_length };
        Self::start(config, log, Progress::default())
    }

    /// A sink that begins anew in the process of an earlier one, whose progress this is.
    pub(crate) fn sink_after(&self, progress: Progress) -> Running {
        let config = Config { output: self.output.path().into(), run_length: Duration::from_secs(3600) };
        Self::start(config, Arc::new(self.log.clone()), progress)
    }

    fn start(config: Config, log: Arc<dyn Log>, progress: Progress) -> Running {
        let shutdown = Shutdown::new();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let thread = std::thread::spawn({
            let (progress, shutdown, metrics) = (progress.clone(), shutdown.clone(), metrics.clone());
            move || {
                let ready = || ready.send(()).unwrap_or_default();
                autorma_sink::run(&config, &*log, &metrics, &progress, &shutdown, ready)
            }
        });
        // A sink that fails before it is ready says so when it is stopped.
        let _ = is_ready.recv_timeout(LONG);
        Running { progress, metrics, shutdown, thread }
    }

    pub(crate) fn results(&self, run_id: &str) -> Vec<u8> {
        std::fs::read(autorma_sink::results_path(self.output.path(), run_id)).unwrap()
    }

    pub(crate) fn summary(&self, run_id: &str) -> autorma_sink::Summary {
        let text = std::fs::read(autorma_sink::summary_path(self.output.path(), run_id)).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    pub(crate) fn hidden(&self) -> PathBuf {
        self.output.path().join(".autorma").join(self.log.identity().unwrap())
    }

    /// Parts of a run, and temporary files, that are in the folder.
    pub(crate) fn left_over(&self, run_id: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.hidden().join(run_id)) else {
            return Vec::new();
        };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The run's states in the log, in order.
    pub(crate) fn states(&self, run_id: &str) -> Vec<RunState> {
        let at = autorma_stream::TopicPartition::new(topics::RUNS, 0);
        let records = self.log.read(&at, autorma_stream::NextOffset::START, 10_000).unwrap();
        let runs = records.iter().map(|record| RunRecord::decode(&record.value).unwrap());
        runs.filter(|run| run.run_id == run_id).map(|run| run.state).collect()
    }
}

pub(crate) struct Running {
    pub(crate) progress: Progress,
    pub(crate) metrics: Metrics,
    shutdown: Shutdown,
    thread: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub(crate) fn wait(&self, condition: impl FnMut(&Snapshot) -> bool) {
        assert!(self.progress.wait(LONG, condition), "{:?}", self.progress.snapshot());
    }

    pub(crate) fn wait_for_run(&self, run_id: &str) {
        self.wait(|snapshot| snapshot.finished.iter().any(|finished| finished.run_id == run_id));
    }

    pub(crate) fn wait_for_outcomes(&self, outcomes: u64) {
        self.wait(|snapshot| snapshot.durable_outcomes >= outcomes);
    }

    pub(crate) fn stop(self) {
        self.shutdown.request();
        self.thread.join().unwrap().unwrap();
    }

    /// Waits until it fails by itself.
    pub(crate) fn fail(self) -> Error {
        let begun = Instant::now();
        while !self.thread.is_finished() {
            assert!(begun.elapsed() < LONG, "it goes on: {:?}", self.progress.snapshot());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.thread.join().unwrap().unwrap_err()
    }
}

/// The entries of a results file.
pub(crate) fn entries(results: &[u8], key: &str) -> Vec<Value> {
    let results: Value = serde_json::from_slice(results).unwrap();
    results[key].as_array().unwrap().clone()
}

pub(crate) fn run(run_id: &str, state: RunState, images: i64) -> Append {
    let record = RunRecord {
        state,
        images,
        already_done: 2,
        closed_at: (state != RunState::Open).then_some(Micros(OPENED + 5_000_000)),
        ..RunRecord::open(run_id, RunKind::Batch, "data/inference/input", Micros(OPENED))
    };
    let key = Some(run_id.as_bytes().to_vec());
    Append { topic: topics::RUNS.into(), key, value: record.encode(), ..Append::default() }
}

pub(crate) fn prediction(run_id: Option<&str>, number: i64) -> Prediction {
    let name = format!("img_{number:02}.jpg");
    let uri = format!("file:///in/{name}");
    let sha256 = autorma_schemas::sha256(name.as_bytes());
    let label = |(label, probability): (&str, f64)| ClassProbability { label: label.into(), probability };
    Prediction {
        event_id: event_id(&uri, &sha256),
        run_id: run_id.map(String::from),
        sequence: number,
        batch_number: autorma_schemas::batch_number(number, 10),
        source: "folder".into(),
        name,
        uri: Some(uri),
        sha256,
        attributes: BTreeMap::from([("order".into(), number.to_string())]),
        predicted_class: "shirts".into(),
        confidence: 0.98,
        probabilities: [("shirts", 0.98), ("handbags", 0.02)].map(label).into(),
        unknown_probability: 0.1 + 0.2,
        decision: if number % 3 == 0 { Decision::Review } else { Decision::Accept },
        model: ModelVersion {
            name: "refund-classifier".into(),
            version: "7".into(),
            sha256: "ab".repeat(32),
        },
        origin: origin(number),
        seen_at: Micros(OPENED),
        processed_at: Micros(OPENED + number * 10_000),
        arm: None,
        shadow: None,
    }
}

pub(crate) fn dead_letter(run_id: Option<&str>, number: i64) -> DeadLetter {
    let of = prediction(run_id, number);
    DeadLetter {
        event_id: Some(of.event_id),
        run_id: of.run_id,
        sequence: number,
        batch_number: of.batch_number,
        source: of.source,
        name: of.name,
        uri: of.uri,
        sha256: of.sha256,
        attributes: of.attributes,
        reason: "undecodable".into(),
        message: "the file ends early".into(),
        raw: None,
        headers: BTreeMap::new(),
        origin: of.origin,
        seen_at: of.seen_at,
        failed_at: of.processed_at,
    }
}

fn origin(number: i64) -> Origin {
    Origin { topic: topics::IMAGES.into(), partition: (number % 3) as i32, offset: number }
}

/// A prediction, or a dead letter for every fourth image.
pub(crate) fn outcome(run_id: &str, number: i64) -> Append {
    outcome_in(Some(run_id), number)
}

pub(crate) fn outcome_in(run_id: Option<&str>, number: i64) -> Append {
    if number % 4 == 0 {
        append(topics::DEAD_LETTERS, &dead_letter(run_id, number))
    } else {
        append(topics::PREDICTIONS, &prediction(run_id, number))
    }
}

pub(crate) fn append(topic: &str, event: &impl Event) -> Append {
    Append { topic: topic.into(), value: event.encode(), ..Append::default() }
}

pub(crate) fn is_filed(snapshot: &Snapshot, workplace: &Workplace) -> bool {
    ends(workplace).iter().all(|(at, end)| snapshot.durable.get(at).is_some_and(|durable| durable >= end))
}

pub(crate) fn is_lag_zero(workplace: &Workplace) -> bool {
    let committed = workplace.log.committed(autorma_sink::GROUP).unwrap();
    ends(workplace).iter().all(|(at, end)| committed[at] >= *end)
}

fn ends(workplace: &Workplace) -> Vec<(autorma_stream::TopicPartition, autorma_stream::NextOffset)> {
    let of = |topic| workplace.log.bounds(topic).unwrap().into_iter().map(|it| (it.at, it.end));
    [topics::PREDICTIONS, topics::DEAD_LETTERS, topics::RUNS].into_iter().flat_map(of).collect()
}
