use std::fmt;
use std::process::ExitCode;

use autorma_classifier::Cast;
use autorma_models::Manifest;
use autorma_models::registry::Source;
use autorma_schemas::{Event, ModelVersion, Prediction, RunRecord, RunState, topics};
use autorma_service::lag;
use autorma_service::roles::{Holder, Holders, RoleLock};
use autorma_stream::{Bounds, Log, NextOffset, Pages, TopicPartition};
use serde::Serialize;

use super::runs;
use crate::configuration::Configuration;
use crate::home::{CLASSIFIER, Home};
use crate::metrics::GROUPS;
use crate::output::tell;
use crate::reading::newest_runs;
use crate::table::{Table, printable};
use crate::when;

/// How many finished runs are recent.
const RECENT: usize = 5;

/// How many of a partition's last offsets are looked at: some are no records, but marks of transactions.
const LATELY: i64 = 16;

/// What `autorma status` says.
#[derive(Debug, Serialize)]
struct Status {
    data: String,
    log: String,
    topics: Vec<Topic>,
    lag: Vec<Lag>,
    stages: Vec<Stage>,
    /// Roles of which this user can't know whether a process has them.
    unknown_stages: Vec<String>,
    members: Vec<Member>,
    runs: Vec<runs::Listed>,
    model: ModelStatus,
    /// Those that images are split among, with their shares, and the one that computes along.
    arms: Vec<ArmStatus>,
    shadow: Option<ModelStatus>,
    last_prediction: Option<LastPrediction>,
}

/// What classifiers have served with lately, which may be another version than an alias names.
#[derive(Debug, Serialize)]
struct LastPrediction {
    #[serde(flatten)]
    model: ModelVersion,
    arm: Option<String>,
    processed_at: String,
}

#[derive(Debug, Serialize)]
struct Topic {
    topic: String,
    partitions: u32,
    records: i64,
}

#[derive(Debug, Serialize)]
struct Lag {
    stage: String,
    topic: String,
    partition: i32,
    committed: i64,
    end: i64,
    lag: i64,
}

/// A living member of a stage's group, on whatever machine.
#[derive(Debug, Serialize)]
struct Member {
    stage: String,
    slot: String,
    process: Option<u32>,
    partitions: Vec<String>,
}

/// A role that a living process of this machine has.
#[derive(Debug, Serialize)]
struct Stage {
    stage: String,
    process: u32,
    command: String,
    since: String,
}

#[derive(Debug, Serialize)]
struct ModelStatus {
    /// Where it comes from: a folder, or a version of the registry.
    source: String,
    name: Option<String>,
    version: Option<String>,
    sha256: Option<String>,
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct ArmStatus {
    arm: String,
    share: u32,
    #[serde(flatten)]
    model: ModelStatus,
}

/// `autorma status`.
pub(crate) fn status(configuration: &Configuration, json: bool) -> anyhow::Result<ExitCode> {
    let home = Home::look(configuration)?;
    tell(json, &Status::now(configuration, &home)?, Status::to_string)?;
    Ok(ExitCode::SUCCESS)
}

impl Status {
    fn now(configuration: &Configuration, home: &Home) -> anyhow::Result<Self> {
        let log = &*home.log;
        let (topics, lag) = (topics_of(log)?, lags(log)?);
        let Holders { living, unknown } = RoleLock::holders(&home.folder)?;
        let (members, runs) = (members(home, &living)?, listed(&newest_runs(log)?));
        let (arms, shadow) = cast(configuration);
        Ok(Self {
            data: home.folder.display().to_string(),
            log: configuration
                .log
                .kafka
                .as_ref()
                .map_or_else(|| "embedded".into(), |kafka| format!("kafka at {}", kafka.brokers)),
            topics,
            lag,
            stages: living.into_iter().map(Stage::of).collect(),
            unknown_stages: unknown,
            members,
            runs,
            model: ModelStatus::of(configuration, &configuration.classifier.model),
            arms,
            shadow,
            last_prediction: last_prediction(log)?,
        })
    }
}

impl Stage {
    fn of(Holder { role, process, command, since }: Holder) -> Self {
        Self { stage: role, process, command, since: when::since(&since) }
    }
}

/// Our topics: a cluster without a prefix may have those of other systems too.
fn topics_of(log: &dyn Log) -> anyhow::Result<Vec<Topic>> {
    let mut topics = Vec::new();
    for topic in log.topics()?.into_iter().filter(|topic| crate::home::NAMES.contains(&topic.name.as_str())) {
        let bounds = log.bounds(&topic.name)?;
        let records = bounds.iter().map(|bounds| bounds.end.0 - bounds.start.0).sum();
        topics.push(Topic { topic: topic.name, partitions: topic.partitions, records });
    }
    Ok(topics)
}

/// How far each stage is behind.
fn lags(log: &dyn Log) -> anyhow::Result<Vec<Lag>> {
    let mut all = Vec::new();
    for (group, topics) in GROUPS {
        all.extend(lag::lag(log, group, topics)?.into_iter().map(|lag| Lag {
            stage: group.into(),
            topic: lag.at.topic,
            partition: lag.at.partition,
            committed: lag.committed.map_or(0, |next| next.0),
            end: lag.end.0,
            lag: lag.lag as i64,
        }));
    }
    Ok(all)
}

/// Who shares the stages' work, by the groups, and which processes these are.
fn members(home: &Home, holders: &[Holder]) -> anyhow::Result<Vec<Member>> {
    // Kafka goes on to tell the process that a slot was taken over from.
    let holder = |slot: &str| {
        let is_its = |number: &str| number == slot || home.slot(number) == slot;
        let has_it = |it: &&Holder| it.role.strip_prefix(CLASSIFIER).is_some_and(is_its);
        holders.iter().find(has_it).map(|holder| holder.process)
    };
    let ours = |group: &autorma_stream::Group| GROUPS.iter().any(|(name, _)| *name == group.name);
    let groups = home.log.groups()?.into_iter().filter(ours);
    let members = groups.flat_map(|group| {
        let holder = |slot: &str| holder(slot).filter(|_| group.name == autorma_classifier::GROUP);
        let member = |it: autorma_stream::Member| Member {
            stage: group.name.clone(),
            process: holder(&it.slot).or(it.process),
            slot: it.slot,
            partitions: it.partitions.iter().map(ToString::to_string).collect(),
        };
        group.members.into_iter().map(member).collect::<Vec<_>>()
    });
    Ok(members.collect())
}

/// The runs that aren't finished, and of the finished ones the recent.
fn listed(runs: &[RunRecord]) -> Vec<runs::Listed> {
    let is_finished = |run: &RunRecord| run.state == RunState::Finished;
    let (mut old, mut listed) =
        (runs.iter().filter(|run| is_finished(run)).count().saturating_sub(RECENT), Vec::new());
    for run in runs {
        if is_finished(run) && old > 0 {
            old -= 1;
        } else {
            listed.push(run.into());
        }
    }
    listed
}

/// What the arms of a split are, and the shadow.
fn cast(configuration: &Configuration) -> (Vec<ArmStatus>, Option<ModelStatus>) {
    // Settings that contradict each other are the classifier's to refuse.
    let (sources, shadow) =
        Cast::of(&configuration.classifier).map_or_else(|_| (vec![], None), |cast| (cast.arms, cast.shadow));
    let arms = configuration.classifier.split.arms().zip(&sources).map(|((arm, share), source)| {
        let (arm, model) = (arm.to_owned(), ModelStatus::of(configuration, source));
        ArmStatus { arm, share, model }
    });
    (arms.collect(), shadow.map(|it| ModelStatus::of(configuration, &Source::Registered(it))))
}

fn last_prediction(log: &dyn Log) -> anyhow::Result<Option<LastPrediction>> {
    let mut last = None::<Prediction>;
    for Bounds { partition, start, end } in log.bounds(topics::PREDICTIONS)? {
        let from = NextOffset((end.0 - LATELY).max(start.0));
        let partition = Pages::new(TopicPartition::new(topics::PREDICTIONS, partition), from);
        for record in partition.up_to(log, end) {
            let prediction = Prediction::decode(&record?.value).ok();
            last = prediction.into_iter().chain(last).max_by_key(|it| it.processed_at);
        }
    }
    Ok(last.map(|Prediction { model, arm, processed_at, .. }| LastPrediction {
        model,
        arm,
        processed_at: when::with_offset(processed_at),
    }))
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Data folder: {}\nLog: {}\n", self.data, self.log)?;
        let mut stages = Table::new(["stage", "process", "command", "since"]);
        for it in &self.stages {
            let since = when::to_the_second(&it.since);
            stages.row([it.stage.clone(), it.process.to_string(), it.command.clone(), since]);
        }
        if !stages.is_empty() {
            writeln!(f, "{stages}")?;
        }
        if !self.unknown_stages.is_empty() {
            let roles = printable(&self.unknown_stages.join(", "));
            writeln!(f, "Whether anybody has these roles isn't known (another user's locks): {roles}\n")?;
        } else if stages.is_empty() {
            writeln!(f, "No stage is running.\n")?;
        }
        if !self.members.is_empty() {
            let mut members = Table::new(["member of", "slot", "process", "partitions"]);
            for it in &self.members {
                let process = it.process.map_or_else(String::new, |process| process.to_string());
                members.row([it.stage.clone(), it.slot.clone(), process, it.partitions.join(" ")]);
            }
            writeln!(f, "{members}")?;
        }
        let mut topics = Table::new(["topic", "partitions", "records"]);
        for it in &self.topics {
            topics.row([it.topic.clone(), it.partitions.to_string(), it.records.to_string()]);
        }
        writeln!(f, "{topics}")?;
        let mut lag = Table::new(["read by", "topic", "partition", "committed", "end", "lag"]);
        for it in &self.lag {
            let numbers = [i64::from(it.partition), it.committed, it.end, it.lag].map(|n| n.to_string());
            let [partition, committed, end, behind] = numbers;
            lag.row([it.stage.clone(), it.topic.clone(), partition, committed, end, behind]);
        }
        writeln!(f, "{lag}")?;
        match self.runs.is_empty() {
            true => writeln!(f, "No runs yet.\n"),
            false => writeln!(f, "{}", runs::table(&self.runs)),
        }?;
        writeln!(f, "Model configured here: {}", self.model)?;
        for it in &self.arms {
            writeln!(f, "Arm {}, share {}: {}", it.arm, it.share, it.model)?;
        }
        if let Some(shadow) = &self.shadow {
            writeln!(f, "Shadow: {shadow}")?;
        }
        let Some(LastPrediction { model, arm, processed_at }) = &self.last_prediction else { return Ok(()) };
        let ModelVersion { name, version, sha256 } = model;
        let arm = arm.as_ref().map_or_else(String::new, |arm| format!(", arm {arm}"));
        writeln!(f, "Last prediction: by {name} {version}{arm}, sha-256 {sha256}, {processed_at}")
    }
}

impl fmt::Display for ModelStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelStatus { problem: Some(problem), .. } => f.write_str(problem),
            ModelStatus { name, version, sha256, source, .. } => write!(
                f,
                "{} {}, from {source}, sha-256 {}",
                name.as_deref().unwrap_or_default(),
                version.as_deref().unwrap_or_default(),
                sha256.as_deref().unwrap_or_default()
            ),
        }
    }
}

impl ModelStatus {
    fn of(configuration: &Configuration, source: &Source) -> Self {
        let manifest = configuration.registry().and_then(|registry| Ok(source.manifest(&*registry)?));
        let (is, problem) = match manifest {
            Ok(manifest) => (Some(manifest), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let part = |part: fn(&Manifest) -> String| is.as_ref().map(part);
        Self {
            source: source.to_string(),
            name: part(|it| it.name.clone()),
            version: part(|it| it.version.clone()),
            sha256: part(Manifest::sha256),
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What people are told of a folder in which nothing has happened yet.
    fn told(stages: &[&str], unknown: &[&str]) -> String {
        let stage = |stage: &&str| Stage {
            stage: (*stage).into(),
            process: 7,
            command: "autorma up".into(),
            since: "2026-11-24T20:01:02.000000+01:00".into(),
        };
        let source = "models/shipped".into();
        let status = Status {
            data: "state".into(),
            log: "embedded".into(),
            topics: Vec::new(),
            lag: Vec::new(),
            stages: stages.iter().map(stage).collect(),
            unknown_stages: unknown.iter().map(|role| (*role).into()).collect(),
            members: Vec::new(),
            runs: Vec::new(),
            model: ModelStatus { source, name: None, version: None, sha256: None, problem: None },
            arms: Vec::new(),
            shadow: None,
            last_prediction: None,
        };
        status.to_string()
    }

    #[test]
    fn nothing_is_running_only_where_that_is_known() {
        let nobody = told(&[], &[]);
        assert!(nobody.contains("No stage is running.\n"), "{nobody}");
        let text = told(&[], &["ingest", "sink"]);
        assert!(text.contains("isn't known (another user's locks): ingest, sink\n"), "{text}");
        assert!(!text.contains("No stage"), "{text}");
        let text = told(&["ingest"], &["classifier-0"]);
        assert!(text.contains("autorma up") && text.contains("locks): classifier-0\n"), "{text}");
    }

    #[test]
    fn the_model_is_what_is_configured_here() {
        assert!(told(&[], &[]).contains("\nModel configured here: "));
    }
}
