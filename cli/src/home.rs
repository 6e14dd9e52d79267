//! The data folder: the log in it, and who has which role there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use autorma_schemas::topics;
use autorma_service::roles::RoleLock;
use autorma_stream::embedded::Embedded;
use autorma_stream::{Log, Retention, Topic};

use crate::configuration::Configuration;

/// How many classifiers may share a data folder.
const MOST_CLASSIFIERS: usize = 64;

/// The roles that only one process at a time may have.
pub(crate) const INGEST: &str = "ingest";
/// The sink's.
pub(crate) const SINK: &str = "sink";
/// Each classifier's, followed by its slot.
pub(crate) const CLASSIFIER: &str = "classifier-";

/// How often somebody who looks at a new log looks again whether it has its topics, and how long after.
const CREATION_LOOKS: u32 = 100;
const CREATION_PAUSE: Duration = Duration::from_millis(20);

/// The data folder.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) folder: PathBuf,
    pub(crate) log: Arc<dyn Log>,
}

impl Home {
    /// Opens it, creating what isn't there.
    pub(crate) fn open(configuration: &Configuration) -> anyhow::Result<Self> {
        let home = Self::as_it_is(configuration)?;
        let keep = Retention::Age(configuration.retention);
        let topic = |name: &str, partitions, retention| Topic { name: name.into(), partitions, retention };
        home.log.create(&[
            topic(topics::IMAGES, configuration.partitions, keep),
            topic(topics::PREDICTIONS, configuration.partitions, keep),
            topic(topics::DEAD_LETTERS, configuration.partitions, keep),
            // The order of a run's records matters, and there are few of them.
            topic(topics::RUNS, 1, Retention::Compact),
            topic(topics::LEDGER, 1, Retention::Compact),
        ])?;
        Ok(home)
    }

    /// Opens it for looking: it must be there.
    pub(crate) fn look(configuration: &Configuration) -> anyhow::Result<Self> {
        if !place(&configuration.data).exists() {
            bail!(
                "there is no log in {}: `autorma run` or `autorma up` creates it; --data names another folder",
                configuration.data.display()
            );
        }
        let home = Self::as_it_is(configuration)?;
        // A process that has just created the file may still be about to create the topics.
        for _ in 0..CREATION_LOOKS {
            if !home.log.topics()?.is_empty() {
                return Ok(home);
            }
            std::thread::sleep(CREATION_PAUSE);
        }
        bail!("the log in {} has no topics yet: `autorma up` creates them", configuration.data.display())
    }

    fn as_it_is(configuration: &Configuration) -> anyhow::Result<Self> {
        let folder = configuration.data.clone();
        let failed = || format!("opening the log in {} (--data)", folder.display());
        let log = Embedded::open(&place(&folder)).with_context(failed)?;
        Ok(Self { folder, log: Arc::new(log) })
    }

    /// Takes a role for this process.
    pub(crate) fn take(&self, role: &str, command: &str) -> anyhow::Result<RoleLock> {
        Ok(RoleLock::take(&self.folder, role, command)?)
    }

    /// Takes the output folder: two sinks, of whatever data folders, would overwrite each other's files.
    pub(crate) fn take_output(
        &self,
        configuration: &Configuration,
        command: &str,
    ) -> anyhow::Result<RoleLock> {
        let output = &configuration.sink.output;
        RoleLock::take(&output.join(".autorma"), SINK, command)
            .with_context(|| format!("the output folder {} is in use, or can't be", output.display()))
    }

    /// Takes a classifier's role: the slot that is configured, or the first that is free. Returns the slot.
    pub(crate) fn take_classifier(
        &self,
        configuration: &Configuration,
        command: &str,
    ) -> anyhow::Result<(RoleLock, String)> {
        if configuration.slot_chosen {
            let slot = configuration.classifier.slot.clone();
            return Ok((self.take(&format!("{CLASSIFIER}{slot}"), command)?, slot));
        }
        let (lock, slot) = RoleLock::take_first_free(&self.folder, CLASSIFIER, 0..MOST_CLASSIFIERS, command)
            .context("no slot is free for another classifier")?;
        Ok((lock, slot.to_string()))
    }

    /// Drops old records now and then, while `going_on` says so after the pause that it makes.
    pub(crate) fn keep_house(&self, mut going_on: impl FnMut(Duration) -> bool) {
        while going_on(Duration::from_secs(60)) {
            match self.log.housekeep() {
                Ok(done) if done == Default::default() => {}
                Ok(done) => tracing::debug!(done.expired, done.compacted, "dropped old records"),
                Err(error) => tracing::warn!(%error, "old records stay for now"),
            }
        }
    }
}

/// The log's file in a data folder.
fn place(folder: &std::path::Path) -> PathBuf {
    folder.join("log.sqlite")
}
