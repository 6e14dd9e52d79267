//! The flags that are settings.

use std::path::PathBuf;

use autorma_service::settings::Layer;

use super::{Cli, Command, Common, RunsCommand};

impl Cli {
    /// The flags that are settings.
    pub(crate) fn layer(&self) -> Layer {
        let mut flags = Flags(Layer::new("flags"));
        self.common.flags(&mut flags);
        if self.photos().is_none() {
            flags.path("data", self.common.data.last(), "--data");
        }
        match &self.command {
            Command::Run(args) => {
                args.whole.flags(&mut flags);
                flags.switch("ingest.reprocess", args.reprocess, "--reprocess");
            }
            Command::Up(args) => args.flags(&mut flags),
            Command::Ingest(args) => {
                args.input.flags(&mut flags);
                args.http.flags(&mut flags);
            }
            Command::Classify(args) => {
                args.model.flags(&mut flags);
                args.http.flags(&mut flags);
                flags.value("classifier.slot", args.slot.as_ref(), "--slot");
            }
            Command::Sink(args) => {
                args.output.flags(&mut flags);
                args.http.flags(&mut flags);
            }
            Command::Status(args) => flags.value("classifier.model", args.model.as_ref(), "--model"),
            Command::Runs(args) => match &args.command {
                Some(RunsCommand::Show { output, .. }) => output.flags(&mut flags),
                None => args.output.flags(&mut flags),
            },
            Command::Show(args) => args.output.flags(&mut flags),
            Command::Replay(args) => args.output.flags(&mut flags),
            Command::Evaluate(args) => flags.value("classifier.model", args.model.as_ref(), "--model"),
            _ => {}
        }
        flags.0
    }
}

impl Common {
    fn flags(&self, flags: &mut Flags) {
        match (&self.log, &self.brokers) {
            (None, Some(_)) => flags.value("log.kind", Some(&"kafka"), "--brokers"),
            (log, _) => flags.value("log.kind", log.as_ref(), "--log"),
        }
        flags.value("log.kafka.brokers", self.brokers.as_ref(), "--brokers");
        flags.value("logging.level", self.log_level.as_ref(), "--log-level");
        flags.value("logging.format", self.log_format.as_ref(), "--log-format");
        for (key, value) in &self.set {
            flags.value(key, Some(value), "--set");
        }
    }
}

/// The layer of flags in the making.
pub(super) struct Flags(Layer);

impl Flags {
    pub(super) fn value(&mut self, key: &str, value: Option<&impl ToString>, flag: &str) {
        if let Some(value) = value {
            self.0 = std::mem::take(&mut self.0).with(key, value.to_string(), flag);
        }
    }

    pub(super) fn path(&mut self, key: &str, value: Option<&PathBuf>, flag: &str) {
        match value.map(|path| path.to_str()) {
            // What it would look like in UTF-8 is another path.
            Some(None) => {
                self.0 =
                    std::mem::take(&mut self.0).with_problem(key, flag, "a path that is UTF-8: rename it");
            }
            text => self.value(key, text.flatten().as_ref(), flag),
        }
    }

    pub(super) fn switch(&mut self, key: &str, on: bool, flag: &str) {
        self.value(key, on.then_some("true").as_ref(), flag);
    }
}
