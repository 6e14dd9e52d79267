use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Event, Micros};

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
