use std::collections::BTreeMap;

use autorma_schemas::Micros;
use autorma_stream::PollLimit;

use crate::bookkeeping::Place;
use crate::manifest::Mark;
use crate::outcome::{Kind, Outcome};

/// Outcomes of one flush, at most.
const MAX_OUTCOMES: usize = 2000;
/// Bytes of one flush, about.
pub(crate) const MAX_BYTES: usize = 8 << 20;

/// What was read since the last flush.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// By run, what its part will hold.
    pub(crate) runs: BTreeMap<String, Lines>,
    /// The last record of each partition.
    pub(crate) last: BTreeMap<String, Mark>,
    /// When the events of the outcomes were seen.
    pub(crate) seen: Vec<Micros>,
    pub(crate) predictions: u64,
    pub(crate) dead_letters: u64,
    pub(crate) duplicates: u64,
    records: usize,
    bytes: usize,
}

/// What one run's part will hold.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) text: Vec<u8>,
    pub(crate) duplicates: u64,
}

impl Buffer {
    /// There was a record, whatever it held: its offset is news.
    pub(crate) fn count(&mut self) {
        self.records += 1;
    }

    /// Takes an outcome to its place.
    pub(crate) fn add(&mut self, place: Place, outcome: Outcome) {
        match place {
            Place::Elsewhere => {}
            Place::Duplicate(run_id) => {
                self.duplicates += 1;
                self.runs.entry(run_id).or_default().duplicates += 1;
            }
            Place::Run(run_id) => {
                self.runs.entry(run_id).or_default().push(&outcome.line);
                self.bytes += outcome.line.len() + 1;
                self.seen.push(outcome.seen_at);
                match outcome.kind {
                    Kind::Prediction => self.predictions += 1,
                    Kind::DeadLetter => self.dead_letters += 1,
                }
            }
        }
    }

    /// Whether nothing was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether there is room for no more.
    pub(crate) fn is_full(&self) -> bool {
        self.records >= MAX_OUTCOMES || self.bytes >= MAX_BYTES
    }

    /// What the next poll may bring.
    pub(crate) fn room(&self) -> PollLimit {
        match self.is_full() {
            true => PollLimit::NOTHING,
            false => PollLimit { records: MAX_OUTCOMES - self.records, bytes: MAX_BYTES - self.bytes },
        }
    }
}

impl Lines {
    /// Takes an outcome's line.
    pub(crate) fn push(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
    }
}
