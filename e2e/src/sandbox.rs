use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::{Ended, Process, Results};

/// A folder with an input, an output and a data folder, gone when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    folder: TempDir,
    started: AtomicUsize,
    /// The brokers, if the log isn't in the data folder.
    brokers: Option<String>,
    /// Where the registry is, if it isn't in the data folder, as the program is told in its environment.
    registry: Vec<(String, String)>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// A new one with an empty input. Its log is embedded; with `LOG=kafka` in the environment it is on the one broker
    /// of this process.
    pub fn new() -> Self {
        if std::env::var("LOG").is_ok_and(|log| log == "kafka") {
            return Self::on_kafka(&autorma_broker::shared().bootstrap());
        }
        Self::empty(None)
    }

    /// A new one with its log on the cluster, under a prefix of its own.
    pub fn on_kafka(brokers: &str) -> Self {
        let sandbox = Self::bare_on_kafka(brokers);
        sandbox.run(&["topics", "create"]).expect(0);
        sandbox
    }

    /// The same without topics.
    pub fn bare_on_kafka(brokers: &str) -> Self {
        Self::empty(Some(brokers.to_owned()))
    }

    fn empty(brokers: Option<String>) -> Self {
        let (folder, started) = (TempDir::new().unwrap(), AtomicUsize::new(0));
        let sandbox = Self { folder, started, brokers, registry: Vec::new() };
        fs::create_dir(sandbox.input()).unwrap();
        sandbox
    }

    /// The same with another registry than that of the data folder, named by variables of the program's environment.
    pub fn with_registry<'a>(mut self, variables: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        self.registry = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self
    }

    /// A new one with the registry of this one, on the embedded log: what a version says doesn't depend on the log.
    pub fn beside(&self) -> Self {
        let mut beside = Self::empty(None);
        beside.registry = match self.registry.is_empty() {
            true => vec![("AUTORMA_REGISTRY".into(), self.data().join("registry").display().to_string())],
            false => self.registry.clone(),
        };
        beside
    }

    /// What the names of this sandbox's topics begin with.
    pub fn prefix(&self) -> String {
        let name = self.path().file_name().unwrap().to_string_lossy();
        format!("t{}-", name.trim_start_matches('.'))
    }

    /// The folder around everything.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The watched folder.
    pub fn input(&self) -> PathBuf {
        self.path().join("input")
    }

    /// The folder of the results.
    pub fn output(&self) -> PathBuf {
        self.path().join("output")
    }

    /// The folder of the log.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Copies a file into the input under a temporary name and renames it.
    pub fn drop_photo(&self, from: &Path, name: impl AsRef<Path>) {
        let part = self.path().join("part");
        fs::copy(from, &part).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        fs::rename(part, self.input().join(name)).unwrap();
    }

    /// Drops all of them in under names of their own, numbered.
    pub fn drop_photos<'a>(&self, photos: impl IntoIterator<Item = &'a PathBuf>) {
        for (number, photo) in photos.into_iter().enumerate() {
            let extension = photo.extension().unwrap().to_str().unwrap();
            self.drop_photo(photo, format!("photo-{number:05}.{extension}"));
        }
    }

    /// The program with these arguments, in the sandbox's folders, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = std::env::var_os("AUTORMA_PROGRAM").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/e2e/autorma"),
            PathBuf::from,
        );
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path());
        // Nothing of the tester's own settings, and no way to the servers of a test but the straight one.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_uppercase();
            let is_setting =
                text == "BATCH_SIZE" || text.starts_with("AUTORMA_") || text.starts_with("MLFLOW_");
            if is_setting || text.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command.env("AUTORMA_INGEST_INPUT", self.input());
        command.env("AUTORMA_SINK_OUTPUT", self.output());
        command.env("AUTORMA_DATA", self.data());
        command.env("AUTORMA_INGEST_SETTLE", "200ms");
        command.env("AUTORMA_HTTP_ADDRESS", "off");
        command.envs(self.registry.iter().map(|(name, value)| (name, value)));
        if let Some(brokers) = &self.brokers {
            command.env("AUTORMA_LOG_KIND", "kafka").env("AUTORMA_LOG_KAFKA_BROKERS", brokers);
            command.env("AUTORMA_LOG_KAFKA_PREFIX", self.prefix());
        }
        command
    }

    /// Starts the program.
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.spawn(self.command(arguments))
    }

    /// Starts a command of [`Sandbox::command`].
    pub fn spawn(&self, command: Command) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| self.path().join(format!("process-{number}.{kind}"));
        Process::spawn(command, file("out"), file("err"))
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).wait()
    }

    /// `autorma run`, with its report.
    pub fn run_batch(&self) -> Ended {
        self.run(&["run", "--json"])
    }

    /// Images that the runs hold.
    pub fn published(&self) -> i64 {
        let runs = self.run(&["runs", "--json"]).expect(0).json();
        runs.as_array().unwrap().iter().map(|run| run["images"].as_i64().unwrap()).sum()
    }

    /// Whether there is a log to ask.
    pub fn has_log(&self) -> bool {
        self.is_on_kafka() || self.data().join("log.sqlite").exists()
    }

    /// Whether the log is on a cluster.
    pub fn is_on_kafka(&self) -> bool {
        self.brokers.is_some()
    }

    /// What is in the output folder.
    pub fn results(&self) -> Results {
        Results::read(&self.output())
    }

    /// `autorma status`.
    pub fn status(&self) -> serde_json::Value {
        self.run(&["status", "--json"]).expect(0).json()
    }

    /// How many records all stages have before them, by `autorma status`; None while it doesn't tell.
    pub fn lag(&self) -> Option<i64> {
        let status = self.status();
        Some(status["lag"].as_array()?.iter().map(|it| it["lag"].as_i64().unwrap()).sum())
    }

    /// So many predictions of the topic, by photo, as scripts see them.
    pub fn tail(&self, count: usize) -> BTreeMap<String, serde_json::Value> {
        let count = count.to_string();
        let ended = self.run(&["tail", "--json", "--from-beginning", "--count", &count]).expect(0);
        let lines = ended.output.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| (line["name"].as_str().unwrap().to_owned(), line)).collect()
    }
}

impl Drop for Sandbox {
    /// What the processes of a failed test said is kept.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("what was left: {}", self.path().display());
        }
    }
}
