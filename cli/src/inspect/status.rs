mod text;

use std::process::ExitCode;

use autorma_classifier::Cast;
use autorma_models::Manifest;
use autorma_models::registry::Source;
use autorma_schemas::{Event, ModelVersion, Prediction, RunRecord, RunState, topics};
use autorma_service::lag;
use autorma_service::roles::{Holder, Holders, RoleLock};
use autorma_stream::{Bounds, Log, NextOffset, Pages};
use serde::Serialize;

use super::runs;
use crate::configuration::Configuration;
use crate::home::{CLASSIFIER, Home};
use crate::metrics::GROUPS;
use crate::output::tell;
use crate::reading::newest_runs;
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
    for Bounds { at, start, end } in log.bounds(topics::PREDICTIONS)? {
        let from = NextOffset((end.0 - LATELY).max(start.0));
        for record in Pages::new(at, from).up_to(log, end) {
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
