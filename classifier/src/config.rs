mod registry;

use std::path::PathBuf;
use std::time::Duration;

use autorma_models::registry::{Location, Source};
use autorma_service::settings::{Key, Settings};

use crate::Limits;

const MODEL: Key = Key::new(
    "classifier.model",
    "models/shipped",
    "the model: a folder with manifest.json and its ONNX file, or a version of the registry, NAME@ALIAS or NAME/NUMBER",
);
const RUNTIME: Key =
    Key::new("classifier.runtime", "", "ONNX Runtime's shared library; empty: found beside the program");
const BATCH_SIZE: Key =
    Key::new("classifier.batch_size", "10", "images a micro-batch, at most").alias("BATCH_SIZE");
const MAX_WAIT: Key =
    Key::new("classifier.max_wait", "20ms", "how long the first image of a micro-batch waits for others");
const WORKERS: Key =
    Key::new("classifier.workers", "0", "threads that decode and run the model; 0: one a processor");
const MAX_IN_FLIGHT: Key =
    Key::new("classifier.max_in_flight", "128", "images between reading and commit, at most");
const MAX_MEGABYTES: Key = Key::new("classifier.max_megabytes", "64", "largest file, in MB");
const MAX_MEGAPIXELS: Key =
    Key::new("classifier.max_megapixels", "50", "largest picture, in millions of pixels");
const MAX_DECODE_MEGABYTES: Key =
    Key::new("classifier.max_decode_megabytes", "256", "most memory for decoding one picture, in MB");
const ROOTS: Key = Key::new(
    "classifier.roots",
    "",
    "folders that file:// references may point into, separated by ':'; empty: those that ingest has published from",
);
const STORES: Key = Key::new(
    "classifier.stores",
    "",
    "URLs that other references may begin with, separated by ','; empty: none",
);
const DEAD_SHARE: Key = Key::new(
    "classifier.dead_share",
    "0.9",
    "the stage stops when more than this share of recent events are dead letters; 1: never",
);
const DEAD_WINDOW: Key = Key::new("classifier.dead_window", "200", "how many events are recent");
const SLOT: Key = Key::new("classifier.slot", "0", "stable name of this classifier among several");

/// What the program sets unless it is told otherwise.
const DRAIN: Duration = Duration::from_secs(20);

/// The settings of the stage.
#[derive(Debug, Clone)]
pub struct Config {
    /// The model.
    pub model: Source,
    /// Where the registry is.
    pub registry: Location,
    /// ONNX Runtime's shared library.
    pub runtime: PathBuf,
    /// Images a micro-batch, and of the contract's batch numbers.
    pub batch_size: usize,
    /// How long an image waits for others.
    pub max_wait: Duration,
    /// Threads that decode and run the model.
    pub workers: usize,
    /// Images between reading and commit.
    pub max_in_flight: usize,
    /// What one file may cost.
    pub limits: Limits,
    /// Folders that references may point into; empty: those that ingest has published from, as the log says.
    pub roots: Vec<PathBuf>,
    /// URLs that references to objects may begin with.
    pub stores: Vec<String>,
    /// The largest share of dead letters among recent events.
    pub dead_share: f64,
    /// How many events are recent.
    pub dead_window: usize,
    /// How long what is in hand may take to be committed after a shutdown was asked for.
    pub drain: Duration,
    /// The stable name of this classifier.
    pub slot: String,
}

impl Config {
    /// Reads the settings of the stage.
    pub fn read(settings: &mut Settings) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = |count: usize| if count == 0 { processors } else { count };
        let roots: String = settings.get(&ROOTS, ..);
        let stores: String = settings.get(&STORES, ..);
        Self {
            model: Source::meant(&settings.get::<String>(&MODEL, ..)),
            registry: registry::read(settings),
            runtime: settings.get(&RUNTIME, ..),
            batch_size: settings.get(&BATCH_SIZE, 1..=256),
            max_wait: settings.get(&MAX_WAIT, Duration::ZERO..=Duration::from_secs(60)),
            workers: threads(settings.get(&WORKERS, 0..=256)),
            max_in_flight: settings.get(&MAX_IN_FLIGHT, 1..=100_000),
            limits: Limits {
                bytes: settings.get(&MAX_MEGABYTES, 1..=2047_u64) * 1_000_000,
                pixels: settings.get(&MAX_MEGAPIXELS, 1..=10_000_u64) * 1_000_000,
                memory: settings.get(&MAX_DECODE_MEGABYTES, 1..=65_536_u64) * 1_000_000,
            },
            roots: std::env::split_paths(&roots).filter(|root| !root.as_os_str().is_empty()).collect(),
            stores: stores
                .split(',')
                .map(str::trim)
                .filter(|url| !url.is_empty())
                .map(str::to_owned)
                .collect(),
            dead_share: settings.get(&DEAD_SHARE, 0.0..=1.0),
            dead_window: settings.get(&DEAD_WINDOW, 1..=1_000_000),
            drain: DRAIN,
            slot: settings.get(&SLOT, ..),
        }
    }
}
