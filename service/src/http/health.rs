use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

/// How the stages of a process are. Clones share it.
///
/// A process is *live* while no stage has failed; one that isn't should be restarted. It is *ready*
/// when all its stages are; one that has done its work counts as ready.
#[derive(Clone, Default)]
pub struct Health {
    stages: Arc<Mutex<BTreeMap<String, Stage>>>,
    lacks: Option<Arc<dyn Fn() -> Option<String> + Send + Sync>>,
}

/// How one stage is, as the stage itself tells it. Clones share it.
#[derive(Debug, Clone)]
pub struct StageHealth {
    name: String,
    health: Health,
}

#[derive(Debug, Default)]
struct Stage {
    state: State,
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Starting,
    Ready,
    Done,
    Failed,
    Stopped,
}

/// An answer to a probe.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(skip)]
    pub(super) good: bool,
    status: &'static str,
    stages: BTreeMap<String, State>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    errors: BTreeMap<String, String>,
}

impl Health {
    /// One that asks, whenever it is asked whether it is ready, what the stages lack that they all need, if anything.
    pub fn lacking(lacks: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self { stages: Arc::default(), lacks: Some(Arc::new(lacks)) }
    }

    /// The handle of a stage, which is starting if it is new.
    pub fn stage(&self, name: &str) -> StageHealth {
        self.stages.lock().entry(name.into()).or_default();
        StageHealth { name: name.into(), health: self.clone() }
    }

    /// Whether the process works, or may still come to.
    pub fn is_live(&self) -> bool {
        self.live().good
    }

    /// Whether every stage is ready or has done its work, and there is one.
    pub fn is_ready(&self) -> bool {
        self.ready().good
    }

    pub(super) fn live(&self) -> Report {
        let works = |state: &State| *state != State::Failed;
        self.report(["not live", "live"], |stages| stages.values().all(works))
    }

    pub(super) fn ready(&self) -> Report {
        let lacking = self.lacks.as_ref().and_then(|lacks| lacks());
        let is_ready = |state: &State| matches!(state, State::Ready | State::Done);
        let mut report = self.report(["not ready", "ready"], |stages| {
            lacking.is_none() && !stages.is_empty() && stages.values().all(is_ready)
        });
        report.errors.extend(lacking.map(|lacking| ("log".to_owned(), lacking)));
        report
    }

    fn report(
        &self,
        words: [&'static str; 2],
        good: impl FnOnce(&BTreeMap<String, State>) -> bool,
    ) -> Report {
        let inner = self.stages.lock();
        let stages = inner.iter().map(|(name, stage)| (name.clone(), stage.state)).collect();
        let errors = inner.iter().filter_map(|(name, stage)| Some((name.clone(), stage.error.clone()?)));
        let good = good(&stages);
        Report { good, status: words[usize::from(good)], errors: errors.collect(), stages }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Health").field(&self.stages).finish()
    }
}

impl StageHealth {
    /// It does its work.
    pub fn ready(&self) {
        self.set(State::Ready, None);
    }

    /// It doesn't work yet, or for the moment, and tries again.
    pub fn starting(&self, why: &str) {
        self.set(State::Starting, Some(why.into()));
    }

    /// It has ended with an error.
    pub fn failed(&self, why: &str) {
        self.set(State::Failed, Some(why.into()));
    }

    /// It has ended because its work is done.
    pub fn done(&self) {
        self.set(State::Done, None);
    }

    /// It has ended because it was asked to.
    pub fn stopped(&self) {
        self.set(State::Stopped, None);
    }

    fn set(&self, state: State, error: Option<String>) {
        self.health.stages.lock().insert(self.name.clone(), Stage { state, error });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_every_stage() {
        let health = Health::default();
        assert!(health.is_live() && !health.is_ready(), "nothing has begun");
        let (ingest, sink) = (health.stage("ingest"), health.stage("sink"));
        ingest.ready();
        assert!(!health.is_ready());
        sink.ready();
        assert!(health.is_ready());
        health.stage("ingest");
        assert!(health.is_ready(), "asking for a handle changes nothing");
        ingest.done();
        assert!(health.is_ready(), "the others go on");
        sink.stopped();
        assert!(!health.is_ready() && health.is_live());
    }

    #[test]
    fn what_all_need_is_asked_for() {
        let is_there = Arc::new(Mutex::new(true));
        let asked = Arc::clone(&is_there);
        let health = Health::lacking(move || (!*asked.lock()).then(|| "no log".into()));
        health.stage("sink").ready();
        assert!(health.is_ready());
        *is_there.lock() = false;
        assert!(health.is_live() && !health.is_ready());
        assert!(serde_json::to_string(&health.ready()).unwrap().contains(r#""log":"no log""#));
    }

    #[test]
    fn a_failure_is_told() {
        let health = Health::default();
        health.stage("ingest").ready();
        health.stage("sink").failed("no space");
        assert!(!health.is_live());
        let report = serde_json::to_string(&health.ready()).unwrap();
        assert_eq!(
            report,
            r#"{"status":"not ready","stages":{"ingest":"ready","sink":"failed"},"errors":{"sink":"no space"}}"#
        );
    }
}
