use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// How long a stage that beats may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the stages of a process are. Clones share it.
///
/// A process is *live* while no stage has failed or is stalled; one that isn't should be restarted. It is *ready*
/// when all its stages are.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Stage>>>);

/// How one stage is, as the stage itself tells it. Clones share it.
#[derive(Debug, Clone)]
pub struct StageHealth {
    name: String,
    health: Health,
}

#[derive(Debug, Default)]
struct Stage {
    state: State,
    beat: Option<Instant>,
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Starting,
    Ready,
    Stalled,
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
    /// The handle of a stage, which is starting if it is new.
    pub fn stage(&self, name: &str) -> StageHealth {
        self.lock().entry(name.into()).or_default();
        StageHealth { name: name.into(), health: self.clone() }
    }

    /// Whether the process works, or may still come to.
    pub fn is_live(&self) -> bool {
        self.live(Instant::now()).good
    }

    /// Whether every stage is ready, and there is one.
    pub fn is_ready(&self) -> bool {
        self.ready(Instant::now()).good
    }

    pub(super) fn live(&self, now: Instant) -> Report {
        let works = |state: &State| !matches!(state, State::Failed | State::Stalled);
        self.report(now, ["not live", "live"], |stages| stages.values().all(works))
    }

    pub(super) fn ready(&self, now: Instant) -> Report {
        let is_ready = |state: &State| *state == State::Ready;
        self.report(now, ["not ready", "ready"], |stages| !stages.is_empty() && stages.values().all(is_ready))
    }

    fn report(
        &self,
        now: Instant,
        words: [&'static str; 2],
        good: impl FnOnce(&BTreeMap<String, State>) -> bool,
    ) -> Report {
        let inner = self.lock();
        let stages = inner.iter().map(|(name, stage)| (name.clone(), stage.at(now))).collect();
        let errors = inner.iter().filter_map(|(name, stage)| Some((name.clone(), stage.error.clone()?)));
        let good = good(&stages);
        Report { good, status: words[usize::from(good)], errors: errors.collect(), stages }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Stage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    fn at(&self, now: Instant) -> State {
        let silent = self.beat.is_some_and(|beat| now.saturating_duration_since(beat) > PATIENCE);
        if self.state == State::Ready && silent { State::Stalled } else { self.state }
    }
}

impl StageHealth {
    /// It does its work.
    pub fn ready(&self) {
        self.set(State::Ready, None);
    }

    /// It has ended with an error.
    pub fn failed(&self, why: &str) {
        self.set(State::Failed, Some(why.into()));
    }

    /// It has ended because it was asked to, or because its work is done.
    pub fn stopped(&self) {
        self.set(State::Stopped, None);
    }

    /// It makes progress. A stage that has said so once and then says nothing for a minute, although it is ready, is
    /// stalled; one that never does isn't judged by it.
    pub fn beat(&self) {
        self.update(|stage| stage.beat = Some(Instant::now()));
    }

    fn set(&self, state: State, error: Option<String>) {
        self.update(|stage| (stage.state, stage.error) = (state, error));
    }

    fn update(&self, change: impl FnOnce(&mut Stage)) {
        change(self.health.lock().entry(self.name.clone()).or_default());
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
        sink.stopped();
        assert!(!health.is_ready() && health.is_live());
    }

    #[test]
    fn a_failure_is_told() {
        let health = Health::default();
        health.stage("ingest").ready();
        health.stage("sink").failed("no space");
        assert!(!health.is_live());
        let report = serde_json::to_string(&health.ready(Instant::now())).unwrap();
        assert_eq!(
            report,
            r#"{"status":"not ready","stages":{"ingest":"ready","sink":"failed"},"errors":{"sink":"no space"}}"#
        );
    }

    #[test]
    fn whoever_beats_must_go_on() {
        let (health, quiet) = (Health::default(), Health::default());
        let stage = health.stage("classifier");
        stage.beat();
        stage.ready();
        quiet.stage("classifier").ready();
        let later = Instant::now() + 2 * PATIENCE;
        assert!(health.live(Instant::now()).good && !health.live(later).good);
        assert!(quiet.live(later).good);
        stage.stopped();
        assert!(health.live(later).good, "no progress is expected any more");
    }
}
