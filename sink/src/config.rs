use std::path::PathBuf;
use std::time::Duration;

use autorma_service::settings::{Key, Settings};

const OUTPUT: Key =
    Key::new("sink.output", "data/inference/output", "folder for results and summaries; created if missing");
const RUN_LENGTH: Key = Key::new(
    "sink.run_length",
    "1h",
    "how long outcomes without a run are collected before they get files of their own",
);
const SLOT: Key = Key::new("sink.slot", "0", "stable name of this sink");

/// The settings of the stage.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where results and summaries go.
    pub output: PathBuf,
    /// Length of the runs of its own, `outside_…`.
    pub run_length: Duration,
    /// The stable name of this sink.
    pub slot: String,
}

impl Config {
    /// Reads the settings of the stage.
    pub fn read(settings: &mut Settings) -> Self {
        Self {
            output: settings.get(&OUTPUT, ..),
            run_length: settings
                .get(&RUN_LENGTH, Duration::from_secs(1)..=Duration::from_secs(31 * 24 * 3600)),
            slot: settings.get(&SLOT, ..),
        }
    }
}
