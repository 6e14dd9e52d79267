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

/// The settings of the stage.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where results and summaries go.
    pub output: PathBuf,
    /// Length of the runs of its own, `outside_…`.
    pub run_length: Duration,
}

impl Config {
    /// Reads the settings of the stage.
    pub fn read(settings: &mut Settings) -> Self {
        Self {
            output: settings.folder(&OUTPUT),
            run_length: settings
                .get(&RUN_LENGTH, Duration::from_secs(1)..=Duration::from_secs(31 * 24 * 3600)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_service::settings::Layer;

    /// Two sinks of different slots wouldn't fence each other.
    #[test]
    fn the_slot_of_a_sink_is_not_for_choosing() {
        let file = Layer::from_toml("[sink]\noutput = 'results'\nslot = '1'", "autorma.toml").unwrap();
        let mut settings = Settings::new(vec![file]);
        assert_eq!(Config::read(&mut settings).output, PathBuf::from("results"));
        let said = settings.finish().unwrap_err().to_string();
        assert!(said.contains("sink.slot") && said.contains("no such setting"), "{said}");
    }
}
