//! Which run an outcome belongs to, and which runs are complete.

mod outside;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use autorma_schemas::{Id, Micros, RunRecord, RunState};

use crate::Counts;
use crate::names::is_outside;
use crate::outcome::Kind;
pub(crate) use outside::Outside;

/// The runs that the sink knows.
#[derive(Debug, Default)]
pub(crate) struct Bookkeeping {
    /// Those that aren't finished.
    runs: BTreeMap<String, Run>,
    finished: HashSet<String>,
    /// The sink's own run, for outcomes that no other run takes.
    outside: Option<Outside>,
    /// When the last of those that are finished, in whichever output folder, was closed.
    outside_closed: Option<Micros>,
    /// How long that one takes outcomes.
    run_length: Duration,
}

/// A run that isn't finished. It may be known by its outcomes alone: its record is in another topic.
#[derive(Debug, Default)]
struct Run {
    record: Option<RunRecord>,
    seen: HashSet<Id>,
    predictions: u64,
    dead_letters: u64,
    duplicates: u64,
}

/// Where an outcome goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// To this run.
    Run(String),
    /// To this run, which has the event already: it is counted.
    Duplicate(String),
    /// Nowhere: it was made durable in another output folder.
    Elsewhere,
}

/// A run that has an outcome for each of its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complete {
    pub(crate) record: RunRecord,
    pub(crate) counts: Counts,
}

impl Bookkeeping {
    pub(crate) fn new(run_length: Duration, outside: Option<Outside>) -> Self {
        Self { run_length, outside, ..Self::default() }
    }

    /// A record of a run. Its states only go forward, whatever order records are read in.
    pub(crate) fn record(&mut self, record: RunRecord) {
        if record.state == RunState::Finished {
            if is_outside(&record.run_id) {
                self.outside_closed = self.outside_closed.max(record.closed_at);
            }
            return self.finish(&record.run_id);
        }
        if self.finished.contains(&record.run_id) {
            return;
        }
        let run = self.runs.entry(record.run_id.clone()).or_default();
        let is_closed = |record: &RunRecord| record.state == RunState::Closed;
        if is_closed(&record) || !run.record.as_ref().is_some_and(is_closed) {
            run.record = Some(record);
        }
    }

    /// Takes an outcome. `covered` says that a sink has made it durable, perhaps in another output folder.
    pub(crate) fn place(
        &mut self,
        named: Option<&str>,
        id: Id,
        kind: Kind,
        covered: bool,
        now: Micros,
    ) -> Place {
        let run_id = match named.filter(|run_id| !self.finished.contains(*run_id)) {
            Some(run_id) => run_id.to_owned(),
            None if covered => return Place::Elsewhere,
            None => self.outside_run(now),
        };
        let run = self.runs.entry(run_id.clone()).or_default();
        if run.take(id, kind) { Place::Run(run_id) } else { Place::Duplicate(run_id) }
    }

    /// An outcome in a part that is read back. One that another part has, too, was filled in while that was away: parts
    /// hold no duplicates.
    pub(crate) fn restore(&mut self, run_id: &str, id: Id, kind: Kind) {
        let run = self.runs.entry(run_id.to_owned()).or_default();
        if !run.seen.contains(&id) {
            run.take(id, kind);
        }
    }

    /// An outcome that is filled in. Whether the run didn't have its event yet.
    pub(crate) fn fill_in(&mut self, run_id: &str, id: Id, kind: Kind) -> bool {
        self.runs.entry(run_id.to_owned()).or_default().take(id, kind)
    }

    /// Duplicates in a part that is read back.
    pub(crate) fn restore_duplicates(&mut self, run_id: &str, duplicates: u64) {
        self.runs.entry(run_id.to_owned()).or_default().duplicates += duplicates;
    }

    /// How many outcomes each unfinished run has.
    pub(crate) fn outcomes(&self) -> BTreeMap<String, u64> {
        self.runs.iter().map(|(run_id, run)| (run_id.clone(), run.outcomes())).collect()
    }

    /// The runs that are known by their outcomes alone, other than the sink's own.
    pub(crate) fn without_record(&self) -> impl Iterator<Item = &str> {
        let own = self.outside.as_ref().map(|outside| outside.run_id.as_str());
        let unknown = self.runs.iter().filter(|(_, run)| run.record.is_none());
        unknown.map(|(run_id, _)| run_id.as_str()).filter(move |run_id| Some(*run_id) != own)
    }

    pub(crate) fn is_finished(&self, run_id: &str) -> bool {
        self.finished.contains(run_id)
    }

    /// The run's files are durable and `runs` says so: its outcomes are forgotten, its name isn't.
    pub(crate) fn finish(&mut self, run_id: &str) {
        self.runs.remove(run_id);
        self.finished.insert(run_id.to_owned());
        if self.outside.as_ref().is_some_and(|outside| outside.run_id == run_id) {
            self.outside = None;
        }
    }

    /// The runs that can be finished.
    pub(crate) fn complete(&self) -> Vec<Complete> {
        let complete = |run: &Run| Some(Complete { record: run.record.clone()?, counts: run.counts() });
        self.runs.values().filter(|run| run.is_complete()).filter_map(complete).collect()
    }

    /// Whether one of them can.
    pub(crate) fn is_any_complete(&self) -> bool {
        self.runs.values().any(Run::is_complete)
    }

    /// Whether every run is finished.
    pub(crate) fn is_nothing_open(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs that aren't finished.
    pub(crate) fn open(&self) -> BTreeMap<String, Counts> {
        self.runs.iter().map(|(run_id, run)| (run_id.clone(), run.counts())).collect()
    }
}

impl Run {
    /// Counts an outcome. Whether the run didn't have its event yet.
    fn take(&mut self, id: Id, kind: Kind) -> bool {
        let is_new = self.seen.insert(id);
        match kind {
            _ if !is_new => self.duplicates += 1,
            Kind::Prediction => self.predictions += 1,
            Kind::DeadLetter => self.dead_letters += 1,
        }
        is_new
    }

    /// Whether it is closed and each of its images has an outcome.
    fn is_complete(&self) -> bool {
        self.counts().images.is_some_and(|images| self.outcomes() >= images)
    }

    fn outcomes(&self) -> u64 {
        self.predictions + self.dead_letters + self.duplicates
    }

    fn counts(&self) -> Counts {
        let closed = self.record.as_ref().filter(|record| record.state == RunState::Closed);
        Counts {
            images: closed.map(|record| record.images.max(0) as u64),
            predictions: self.predictions,
            dead_letters: self.dead_letters,
            duplicates: self.duplicates,
        }
    }
}
