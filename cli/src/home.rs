//! The data folder: the log in it, or the locks beside one on Kafka, and who has which role on this machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use autorma_schemas::topics;
use autorma_service::Shutdown;
use autorma_service::http::Health;
use autorma_service::roles::{RoleError, RoleLock};
use autorma_stream::embedded::Embedded;
use autorma_stream::kafka::Kafka;
use autorma_stream::{Error as LogError, Housekeeping, Log, Retention, Topic};
use parking_lot::Mutex;

use crate::configuration::Configuration;

/// How many classifiers may share a data folder.
const MOST_CLASSIFIERS: usize = 64;

/// The roles that only one process at a time may have.
pub(crate) const INGEST: &str = "ingest";
/// The sink's.
pub(crate) const SINK: &str = "sink";
/// Each classifier's, followed by its slot.
pub(crate) const CLASSIFIER: &str = "classifier-";

/// What to do where another process has an output folder.
pub(crate) const ANOTHER_OUTPUT: &str = "stop it or use another --output";

/// How often somebody who looks at a new log looks again whether it has its topics, and how long after.
const CREATION_LOOKS: u32 = 100;
const CREATION_PAUSE: Duration = Duration::from_millis(20);

/// How often old records are dropped.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// How long the end of a process waits for that.
const TIDYING: Duration = Duration::from_secs(10);

/// How long a cluster may be out of reach until the stages are called not ready: leaders change within that.
const MOMENT: Duration = Duration::from_secs(5);

/// The data folder.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) folder: PathBuf,
    pub(crate) log: Arc<dyn Log>,
    /// The cluster, if the log is on one.
    pub(crate) kafka: Option<Kafka>,
    /// Whether the settings of its topics were looked at and are good: once a process is enough.
    checked: Mutex<bool>,
}

impl Home {
    /// A data folder with this log, which is that cluster's, if any's.
    pub(crate) fn of(folder: PathBuf, log: Arc<dyn Log>, kafka: Option<Kafka>) -> Self {
        Self { folder, log, kafka, checked: Mutex::default() }
    }

    /// Opens it, creating what isn't there. The topics of a cluster are created by `autorma topics create` alone, and
    /// looked for when a stage begins: the cluster may be away now.
    pub(crate) fn open(configuration: &Configuration) -> anyhow::Result<Self> {
        if configuration.log.kafka.is_some() {
            return Self::as_it_is(configuration);
        }
        let (log, retention) = (embedded(configuration)?, configuration.log.retention);
        log.create(&topics(configuration))?;
        if configuration.log.retention_chosen && log.keep(retention)? {
            tracing::info!(?retention, "the log keeps events for another time than before");
        }
        Ok(Self::of(configuration.data.clone(), Arc::new(log), None))
    }

    /// Of stages that use the log.
    pub(crate) fn health(&self) -> Health {
        let Some(kafka) = self.kafka.clone() else { return Health::default() };
        Health::lacking(move || {
            let out = kafka.out_of_reach().filter(|out| *out > MOMENT)?;
            Some(format!("kafka has been out of reach for {} s", out.as_secs()))
        })
    }

    /// An error if the log is on a cluster whose topics would lose something or put it in disorder.
    pub(crate) fn expect_good_topics(&self, configuration: &Configuration) -> anyhow::Result<()> {
        self.expect_topics()?;
        let Some(kafka) = &self.kafka else { return Ok(()) };
        let mut checked = self.checked.lock();
        if *checked {
            return Ok(());
        }
        match crate::topics::problems(kafka, configuration) {
            Ok(problems) if problems.is_empty() => {
                *checked = true;
                Ok(())
            }
            Ok(problems) => bail!("{}; `autorma topics check` tells more", problems.join("; ")),
            Err(LogError::Forbidden { what }) => {
                tracing::debug!(
                    what,
                    "the settings of the topics aren't checked: this user may not see them"
                );
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An error if the log is on a cluster that lacks topics.
    pub(crate) fn expect_topics(&self) -> anyhow::Result<()> {
        if self.kafka.is_none() {
            return Ok(());
        }
        for topic in NAMES {
            match self.log.bounds(topic) {
                Ok(_) => {}
                Err(error @ LogError::UnknownTopic(_)) => {
                    let advice = "`autorma topics create` makes the topics of a cluster; log.kafka.prefix must be the same";
                    return Err(anyhow::Error::new(error).context(advice));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Opens it for looking: it must be there.
    pub(crate) fn look(configuration: &Configuration) -> anyhow::Result<Self> {
        if configuration.log.kafka.is_some() {
            let home = Self::as_it_is(configuration)?;
            home.expect_topics()?;
            return Ok(home);
        }
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
        if let Some(config) = &configuration.log.kafka {
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("creating the folder {}", folder.display()))?;
            let kafka = Kafka::new(config.clone())?;
            return Ok(Self::of(folder, Arc::new(kafka.clone()), Some(kafka)));
        }
        Ok(Self::of(folder, Arc::new(embedded(configuration)?), None))
    }

    /// Takes the role of ingest or of the sink, of which a log has one. Another data folder would do only where it has a log
    /// of its own, and all stages would work there.
    pub(crate) fn take(&self, role: &str, command: &str) -> anyhow::Result<RoleLock> {
        let has_all_stages = ["autorma up", "autorma run"].contains(&command);
        let advice = match has_all_stages && self.kafka.is_none() {
            true => "stop it or use another --data",
            false => "a log has only one: stop it first",
        };
        RoleLock::take(&self.folder, role, command).map_err(|error| advised(error, advice))
    }

    /// Takes a role of those that come and go, and that are about this very log: no other data folder would do.
    pub(crate) fn take_in_turn(&self, role: &str, command: &str) -> anyhow::Result<RoleLock> {
        RoleLock::take(&self.folder, role, command)
            .map_err(|error| advised(error, "wait until it has ended, or stop it"))
    }

    /// Takes the output folder: two sinks, of whatever data folders, would overwrite each other's files.
    pub(crate) fn take_output(
        &self,
        configuration: &Configuration,
        command: &str,
    ) -> anyhow::Result<RoleLock> {
        let output = &configuration.sink.output;
        autorma_sink::create_output(output)?;
        RoleLock::take(&output.join(".autorma"), SINK, command)
            .map_err(|error| advised(error, ANOTHER_OUTPUT))
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
            let lock = RoleLock::take(&self.folder, &format!("{CLASSIFIER}{slot}"), command)
                .map_err(|error| advised(error, "choose another --slot, or leave it out"))?;
            return Ok((lock, slot));
        }
        let (lock, slot) = RoleLock::take_first_free(&self.folder, CLASSIFIER, 0..MOST_CLASSIFIERS, command)
            .map_err(|error| told_if_none_is_free(error, "no slot is free for another classifier"))?;
        Ok((lock, self.slot(&slot.to_string())))
    }

    /// The slot of this number in this data folder. On a cluster, other machines and other data folders of this one have a
    /// first slot, too; what only their names told apart would fence each other.
    pub(crate) fn slot(&self, number: &str) -> String {
        if self.kafka.is_none() {
            return number.to_owned();
        }
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        let tag = autorma_schemas::sha256(folder.as_os_str().as_encoded_bytes());
        format!("{}-{}-{number}", host_name(), &tag[..6])
    }

    /// Drops old records each minute until the stop. A sink that has begun anew has read by then what it needs of them.
    pub(crate) fn keep_house(&self, stop: &Shutdown) {
        while stop.sleep(HOUSEKEEPING) {
            let log = Arc::clone(&self.log);
            stop.unless_requested(move || log.housekeep()).into_iter().for_each(told);
        }
    }

    /// Drops old records once, for as long as somebody may wait for it: what a large log still has then, the next process
    /// drops.
    pub(crate) fn drop_old_records(&self) {
        let (log, (tell, done)) = (Arc::clone(&self.log), channel());
        // Where the system gives no thread, nobody tells.
        drop(Builder::new().name("tidy".into()).spawn(move || tell.send(log.housekeep())));
        match done.recv_timeout(TIDYING) {
            Ok(done) => told(done),
            Err(_) => {
                tracing::info!("more records are old than can be dropped now: the next process goes on")
            }
        }
    }

    /// Whether the log has dead letters, as far as it answers: this is for a hint only.
    pub(crate) fn has_dead_letters(&self) -> bool {
        let bounds = self.log.bounds(topics::DEAD_LETTERS);
        bounds.is_ok_and(|bounds| bounds.iter().any(|it| it.start < it.end))
    }
}

fn told(housekeeping: Result<Housekeeping, LogError>) {
    match housekeeping {
        Ok(done) if done == Housekeeping::default() => {}
        Ok(done) => tracing::debug!(done.expired, done.compacted, "dropped old records"),
        Err(error) => tracing::warn!(%error, "old records stay for now"),
    }
}

/// An error if a classifier couldn't take the slot that is configured.
pub(crate) fn expect_slot(configuration: &Configuration) -> anyhow::Result<()> {
    let role = format!("{CLASSIFIER}{}", configuration.classifier.slot);
    RoleLock::check_name(&role).context("classifier.slot")
}

/// The log in the data folder, which is created if need be.
fn embedded(configuration: &Configuration) -> anyhow::Result<Embedded> {
    // Who only looks does both, too.
    let failed = || format!("opening the log in {} (--data) to read and write", configuration.data.display());
    Embedded::open(&place(&configuration.data)).with_context(failed)
}

/// The topics that every log has.
pub(crate) const NAMES: [&str; 5] =
    [topics::IMAGES, topics::PREDICTIONS, topics::DEAD_LETTERS, topics::RUNS, topics::LEDGER];

/// The topics, as they should be in a new log.
pub(crate) fn topics(configuration: &Configuration) -> Vec<Topic> {
    let keep = Retention::Age(configuration.log.retention);
    let topic = |name: &&str| {
        // The order of a run's records matters, and there are few of them.
        let is_memory = [topics::RUNS, topics::LEDGER].contains(name);
        let partitions = if is_memory { 1 } else { configuration.log.partitions };
        Topic {
            name: (*name).into(),
            partitions,
            retention: if is_memory { Retention::Compact } else { keep },
        }
    };
    NAMES.iter().map(topic).collect()
}

/// The error, with what to do if another process has the role.
pub(crate) fn advised(error: RoleError, advice: &str) -> anyhow::Error {
    if matches!(error, RoleError::Held { .. }) { anyhow!("{error}: {advice}") } else { error.into() }
}

/// The error, with what it means if other processes have all roles of a kind.
pub(crate) fn told_if_none_is_free(error: RoleError, what: &'static str) -> anyhow::Error {
    let is_crowded = matches!(error, RoleError::NoneFree { .. });
    let error = anyhow::Error::from(error);
    if is_crowded { error.context(what) } else { error }
}

/// What this machine is called, as far as it may stand in a name.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String =
        name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    if name.is_empty() { "host".into() } else { name }
}

/// The log's file in a data folder.
fn place(folder: &std::path::Path) -> PathBuf {
    folder.join("log.sqlite")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_none_is_free_too_many_are_at_work() {
        let said = |error| format!("{:#}", told_if_none_is_free(error, "too many"));
        let (folder, path) = (PathBuf::from("data"), PathBuf::from("data/locks/producer-0.lock"));
        let crowded = said(RoleError::NoneFree { folder, prefix: "producer-".into(), count: 2 });
        assert!(crowded.starts_with("too many: all 2 roles producer-"), "{crowded}");
        let cause = std::io::ErrorKind::PermissionDenied.into();
        let forbidden = said(RoleError::Forbidden { path, cause });
        assert!(forbidden.starts_with("can't lock data/locks/producer-0.lock"), "{forbidden}");
    }

    #[test]
    fn what_to_do_instead_is_about_the_folder_that_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let [data, output] = ["data", "output"].map(|name| folder.path().join(name).display().to_string());
        let configuration = Configuration::of(&["up", "--data", &data, "--output", &output]);
        let slot = Configuration::of(&["classify", "--data", &data, "--slot", "0"]);
        let cluster = Configuration::of(&["up", "--data", &data, "--brokers", "127.0.0.1:1"]);
        let (home, on_kafka) = (Home::open(&configuration).unwrap(), Home::open(&cluster).unwrap());
        let only_one = "a log has only one: stop it first";
        let takes: [(&dyn Fn() -> anyhow::Result<RoleLock>, &str); 6] = [
            (&|| home.take(INGEST, "autorma up"), "another --data"),
            (&|| home.take(SINK, "autorma sink"), only_one),
            // There, with another folder it would end the one that runs.
            (&|| on_kafka.take(INGEST, "autorma up"), only_one),
            (
                &|| Ok(home.take_classifier(&slot, "autorma classify")?.0),
                "choose another --slot, or leave it out",
            ),
            (&|| home.take_in_turn("retry", "autorma retry"), "wait until it has ended, or stop it"),
            (&|| home.take_output(&configuration, "autorma up"), "another --output"),
        ];
        for (take, advice) in takes {
            let _lock = take().unwrap();
            let said = format!("{:#}", take().unwrap_err());
            assert!(said.contains("is held by `autorma") && said.ends_with(advice), "{said}");
        }
    }

    /// The lock would create it, too, but not so that it is there after a power cut.
    #[test]
    fn the_output_folder_is_created_before_its_lock_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let [data, output] =
            [folder.path().join("data"), file.join("output")].map(|it| it.display().to_string());
        let configuration = Configuration::of(&["up", "--data", &data, "--output", &output]);
        let home = Home::open(&configuration).unwrap();
        let said = format!("{:#}", home.take_output(&configuration, "autorma up").unwrap_err());
        assert!(said.contains(&output) && said.contains("mend it and start again"), "{said}");
        assert!(!said.contains("lock"), "{said}");
    }
}
