use std::path::PathBuf;
use std::time::Duration;

use autorma_schemas::Micros;
use autorma_service::settings::{Key, Settings};

const INPUT: Key = Key::new("ingest.input", "data/inference/input", "folder of the photos");
const RECURSIVE: Key = Key::new("ingest.recursive", "false", "whether folders in the folder count too");
const REPROCESS: Key =
    Key::new("ingest.reprocess", "false", "whether a batch publishes what finished runs published, too");
const SETTLE: Key =
    Key::new("ingest.settle", "2s", "how long a file that nobody was seen closing must stay unchanged");
const RESCAN: Key =
    Key::new("ingest.rescan", "30s", "how often the folder is read again, since events get lost");
const RUN_LENGTH: Key = Key::new("ingest.run_length", "1h", "how long the daemon adds images to one run");
const MAX_AHEAD: Key = Key::new(
    "ingest.max_ahead",
    "10000",
    "image events that the classifier hasn't committed yet, beyond which ingest waits",
);
const PATIENCE: Key =
    Key::new("ingest.patience", "30s", "how long a batch waits for files that are still being written");

/// The settings of the stage.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the photos.
    pub input: PathBuf,
    /// Whether folders in the folder count too.
    pub recursive: bool,
    /// If given, a batch publishes what runs published that were finished before, too. It is when the command
    /// was called: a batch that begins anew within it does nothing twice. The daemon doesn't.
    pub reprocess: Option<Micros>,
    /// How long a file that nobody was seen closing must stay unchanged.
    pub settle: Duration,
    /// How often the folder is read again.
    pub rescan: Duration,
    /// How long the daemon adds images to one run.
    pub run_length: Duration,
    /// Image events that the classifier hasn't committed yet, beyond which ingest waits.
    pub max_ahead: u64,
    /// How long a batch waits for files that are still being written.
    pub patience: Duration,
}

impl Config {
    /// Reads the settings of the stage.
    pub fn read(settings: &mut Settings) -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            input: settings.folder(&INPUT),
            recursive: settings.get(&RECURSIVE, ..),
            reprocess: settings.get::<bool>(&REPROCESS, ..).then(Micros::now),
            settle: settings.get(&SETTLE, Duration::ZERO..=DAY),
            rescan: settings.get(&RESCAN, Duration::from_millis(10)..=DAY),
            run_length: settings.get(&RUN_LENGTH, Duration::from_secs(1)..=DAY * 366),
            max_ahead: settings.get(&MAX_AHEAD, 1..=u64::MAX),
            patience: settings.get(&PATIENCE, Duration::ZERO..=DAY),
        }
    }
}
