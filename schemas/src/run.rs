use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Event, Micros};

/// How far back the clock may be set without ending a run. One that was opened by a clock far ahead would take images
/// until that time comes.
const SET_BACK: Duration = Duration::from_secs(60);

/// The state of a run; the newest record of a run holds. Schema: `schemas/avro/v1/run_record.avsc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RunRecord {
    pub run_id: String,
    pub kind: RunKind,
    pub state: RunState,
    pub input: String,
    pub images: i64,
    pub already_done: i64,
    pub opened_at: Micros,
    pub closed_at: Option<Micros>,
    pub predictions: i64,
    pub dead_letters: i64,
    pub duplicates: i64,
}

impl Event for RunRecord {
    const SCHEMAS: &'static [&'static str] = &[include_str!("../avro/v1/run_record.avsc")];
}

impl RunRecord {
    /// A run that begins at `now`, without images yet.
    pub fn open(run_id: impl Into<String>, kind: RunKind, input: impl Into<String>, now: Micros) -> Self {
        Self {
            run_id: run_id.into(),
            kind,
            state: RunState::Open,
            input: input.into(),
            images: 0,
            already_done: 0,
            opened_at: now,
            closed_at: None,
            predictions: 0,
            dead_letters: 0,
            duplicates: 0,
        }
    }

    /// The same once no image may be added any more.
    pub fn closed(self, now: Micros) -> Self {
        Self { state: RunState::Closed, closed_at: Some(now), ..self }
    }
}

/// Whether a run of this length has had its time.
pub fn run_is_over(opened_at: Micros, length: Duration, now: Micros) -> bool {
    let age = now.seconds_since(opened_at);
    age >= length.as_secs_f64() || age < -SET_BACK.as_secs_f64()
}

/// The name of a run that begins at `now`: `prefix` and the time, moved on by seconds until no other run has it.
pub fn free_run_id(prefix: &str, now: Micros, mut is_taken: impl FnMut(&str) -> bool) -> String {
    let mut names = (0..).map(|seconds| format!("{prefix}{}", Micros(now.0 + seconds * 1_000_000).stamp()));
    names.find(|name| !is_taken(name)).expect("there are more seconds than runs")
}

/// What makes a run one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// A folder, once (`autorma run`).
    Batch,
    /// A stretch of the daemon's time, an hour by default (`autorma up`).
    Stream,
    /// Photos sent together, over HTTP or by `autorma produce`.
    Upload,
    /// Events read again from the log.
    Replay,
}

impl RunKind {
    /// Whether ingest makes such runs.
    pub fn is_of_ingest(self) -> bool {
        matches!(self, RunKind::Batch | RunKind::Stream)
    }
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RunKind::Batch => "batch",
            RunKind::Stream => "stream",
            RunKind::Upload => "upload",
            RunKind::Replay => "replay",
        })
    }
}

/// How far a run is: whether images may still be added, and whether its files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// They may.
    Open,
    /// They may not: `images` is final.
    Closed,
    /// Results and summary are durable.
    Finished,
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RunState::Open => "open",
            RunState::Closed => "closed",
            RunState::Finished => "finished",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: Micros = Micros(1_795_000_000_000_000);

    #[test]
    fn a_run_ends_with_its_hour_and_with_a_clock_set_far_back() {
        let is_over = |minutes: i64| run_is_over(Micros(NOW.0 - minutes * 60_000_000), HOUR, NOW);
        assert!(!is_over(0) && !is_over(59) && is_over(60));
        assert!(!is_over(-1) && is_over(-2));
    }

    #[test]
    fn no_two_runs_have_one_name() {
        let first = free_run_id("retry_", NOW, |_| false);
        assert_eq!(first, format!("retry_{}", NOW.stamp()));
        let next = free_run_id("retry_", NOW, |name| name == first);
        assert_eq!(next, format!("retry_{}", Micros(NOW.0 + 1_000_000).stamp()));
    }
}
