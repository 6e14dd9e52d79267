//! `autorma topics`: creates the topics of a cluster, and compares them with what they should be.

use std::process::ExitCode;

use anyhow::bail;
use autorma_schemas::topics::IMAGES;
use autorma_stream::kafka::{Found, Kafka, LARGEST};
use autorma_stream::{Error as LogError, Log, Retention, Topic};
use serde::Serialize;

use crate::args::{TopicsArgs, TopicsCommand};
use crate::configuration::Configuration;
use crate::home::topics;
use crate::output::tell;
use crate::table::Table;

/// What a topic's records may have where nobody has said otherwise: Kafka's default of max.message.bytes. No record but an
/// image event is larger.
const USUAL: u64 = 1_048_588;

/// A topic as it should be and as it is.
#[derive(Debug, Serialize)]
struct Checked {
    topic: String,
    partitions: u32,
    replication: u16,
    cleanup: String,
    retention_seconds: Option<u64>,
    max_message_bytes: u64,
    /// What would go wrong.
    problems: Vec<String>,
    /// What may be meant so.
    notes: Vec<String>,
}

/// Creates or checks them.
pub(crate) fn run(configuration: &Configuration, args: &TopicsArgs) -> anyhow::Result<ExitCode> {
    let Some(cluster) = &configuration.log.kafka else {
        bail!(
            "the log is in the data folder, where topics are made by themselves; --log kafka --brokers HOST:PORT"
        );
    };
    let kafka = Kafka::new(cluster.clone())?;
    let wanted = topics(configuration);
    let (json, creates) = match &args.command {
        TopicsCommand::Create(json) => (json.json, true),
        TopicsCommand::Check(json) => (json.json, false),
    };
    kafka.reach()?;
    if creates {
        kafka.create(&wanted)?;
    }
    let found = kafka.inspect(&wanted)?;
    let checked: Vec<_> = wanted.iter().zip(found).map(|(wanted, found)| check(wanted, found)).collect();
    tell(json, checked.as_slice(), text)?;
    let is_good = checked.iter().all(|it| it.problems.is_empty());
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with the cluster's topics.
pub(crate) fn problems(kafka: &Kafka, configuration: &Configuration) -> Result<Vec<String>, LogError> {
    let wanted = topics(configuration);
    let found = kafka.inspect(&wanted)?;
    let checked = wanted.iter().zip(found).map(|(wanted, found)| check(wanted, found));
    let told = checked.flat_map(|Checked { topic, problems, .. }| {
        problems.into_iter().map(move |problem| format!("the topic {topic}: {problem}"))
    });
    Ok(told.collect())
}

fn check(wanted: &Topic, found: Option<Found>) -> Checked {
    let mut checked = Checked {
        topic: wanted.name.clone(),
        partitions: 0,
        replication: 0,
        cleanup: String::new(),
        retention_seconds: None,
        max_message_bytes: 0,
        problems: Vec::new(),
        notes: Vec::new(),
    };
    let Some(found) = found else {
        checked.problems.push("it isn't there: `autorma topics create` makes it".into());
        return checked;
    };
    compare(wanted, &found, &mut checked);
    let Found { partitions, replication, cleanup, retention, max_message_bytes } = found;
    let retention_seconds = retention.map(|retention| retention.as_secs());
    Checked { partitions, replication, cleanup, retention_seconds, max_message_bytes, ..checked }
}

fn compare(wanted: &Topic, found: &Found, checked: &mut Checked) {
    let (compacts, deletes) = (found.cleanup.contains("compact"), found.cleanup.contains("delete"));
    match wanted.retention {
        Retention::Compact if !compacts || deletes => checked.problems.push(format!(
            "cleanup.policy is {}, which forgets what must be remembered: set it to compact",
            found.cleanup
        )),
        Retention::Age(_) if compacts => checked.problems.push(format!(
            "cleanup.policy is {}, which drops events that share a key: set it to delete",
            found.cleanup
        )),
        Retention::Age(age) if found.retention.is_some_and(|retention| retention < age) => {
            checked.notes.push("it keeps events for less than log.retention".into());
        }
        _ => {}
    }
    let (has, wants) = (found.partitions, wanted.partitions);
    match wanted.retention {
        Retention::Compact if has != 1 => {
            checked.problems.push(format!("it has {has} partitions: the order of its records needs 1"));
        }
        Retention::Age(_) if has < wants => {
            checked.notes.push(format!(
                "it has {has} partitions, not {wants}: so many classifiers can share the work"
            ));
        }
        _ => {}
    }
    if wanted.name == IMAGES && found.max_message_bytes < LARGEST {
        checked.notes.push(format!(
            "it takes records of up to {} bytes: larger photos can't travel in it; max.message.bytes={LARGEST} is what \
             autorma would set",
            found.max_message_bytes
        ));
    }
    if wanted.name != IMAGES && found.max_message_bytes < USUAL {
        checked.problems.push(format!(
            "it takes records of up to {} bytes, and what is larger stops the stage that writes it: set max.message.bytes to \
             {USUAL} or more",
            found.max_message_bytes
        ));
    }
    if found.replication == 1 {
        checked.notes.push("there is one copy of it: it is lost with its broker".into());
    }
}

fn text(checked: &[Checked]) -> String {
    let mut table = Table::new(["topic", "partitions", "copies", "cleanup", "keeps", "largest record"]);
    for it in checked {
        let keeps = match it.retention_seconds {
            _ if it.cleanup == "compact" => "newest of each key".to_owned(),
            Some(seconds) => format!("{} h", seconds / 3600),
            None => "for ever".to_owned(),
        };
        let numbers = [it.partitions.to_string(), it.replication.to_string()];
        let [partitions, copies] = numbers;
        let largest = it.max_message_bytes.to_string();
        table.row([it.topic.clone(), partitions, copies, it.cleanup.clone(), keeps, largest]);
    }
    let mut text = format!("{table}\n");
    for it in checked {
        let lines = it
            .problems
            .iter()
            .map(|line| ("problem", line))
            .chain(it.notes.iter().map(|line| ("note", line)));
        lines.for_each(|(kind, line)| text += &format!("{kind}: {}: {line}\n", it.topic));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Json;

    #[test]
    fn without_a_cluster_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let configuration = Configuration::of(&["topics", "check", "--data", data.to_str().unwrap()]);
        let args = TopicsArgs { command: TopicsCommand::Check(Json { json: false }) };
        let error = run(&configuration, &args).unwrap_err().to_string();
        assert!(error.contains("--log kafka") && !data.exists(), "{error}");
    }
}
