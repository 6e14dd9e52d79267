use std::collections::BTreeMap;

use autorma_schemas::{Micros, RunKind, RunRecord, free_run_id, run_is_over};
use autorma_stream::{Offset, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{Bookkeeping, Place};
use crate::manifest::Offsets;
use crate::names::OUTSIDE;

/// The sink's own run, for outcomes that no other run takes. The manifest keeps it: `runs` hears of it when it is
/// finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outside {
    pub(crate) run_id: String,
    pub(crate) opened_at: Micros,
    /// When it stopped taking outcomes.
    pub(crate) closed_at: Option<Micros>,
    /// Of each run that its outcomes name (empty: none), the first offsets: those before went elsewhere. So what was
    /// in a part that has vanished is known again in the log.
    #[serde(default)]
    pub(crate) begins: BTreeMap<String, Offsets>,
}

impl Bookkeeping {
    /// The run of the sink's own, as the manifest should have it.
    pub(crate) fn outside(&self) -> Option<&Outside> {
        self.outside.as_ref()
    }

    /// When the last of the sink's own runs that are finished was closed: it holds nothing that is younger.
    pub(crate) fn outside_closed(&self) -> Option<Micros> {
        self.outside_closed
    }

    /// The run of the sink's own that takes outcomes now. One is opened if there is none.
    pub(super) fn outside_run(&mut self, now: Micros) -> String {
        if let Some(outside) = &self.outside {
            return outside.run_id.clone();
        }
        let is_taken = |name: &str| self.finished.contains(name) || self.runs.contains_key(name);
        let run_id = free_run_id(OUTSIDE, now, is_taken);
        self.outside = Some(Outside {
            run_id: run_id.clone(),
            opened_at: now,
            closed_at: None,
            begins: BTreeMap::new(),
        });
        run_id
    }

    /// Remembers where the outcomes that name `named` begin to go to the sink's own run, if this one went there.
    pub(crate) fn note(&mut self, place: &Place, named: Option<&str>, at: &TopicPartition, offset: Offset) {
        let (Place::Run(run_id) | Place::Duplicate(run_id)) = place else { return };
        if let Some(outside) = self.outside.as_mut().filter(|outside| outside.run_id == *run_id)
            && outside.begin(named, at).is_none()
        {
            let begins = outside.begins.entry(named.unwrap_or_default().into()).or_default();
            begins.entry(at.topic.clone()).or_default().insert(at.partition, offset.0);
        }
    }

    /// The unfinished run that an outcome went to when its record was read for the first time, if it did to one.
    pub(crate) fn home(&self, named: Option<&str>, at: &TopicPartition, offset: Offset) -> Option<String> {
        if let Some(run_id) = named.filter(|run_id| !self.finished.contains(*run_id)) {
            return Some(run_id.to_owned());
        }
        let outside = self.outside.as_ref()?;
        (outside.begin(named, at)? <= offset.0).then(|| outside.run_id.clone())
    }

    /// Whether the sink's own run has taken outcomes for long enough.
    pub(crate) fn is_outside_due(&self, now: Micros) -> bool {
        let is_over = |it: &Outside| run_is_over(it.opened_at, self.run_length, now);
        self.outside.as_ref().is_some_and(|it| it.closed_at.is_none() && is_over(it))
    }

    /// Closes the sink's own run if it is time. What it has then is what it holds.
    pub(crate) fn close_outside(&mut self, now: Micros) {
        if self.is_outside_due(now)
            && let Some(outside) = &mut self.outside
        {
            outside.closed_at = Some(now);
            self.hold_outside();
        }
    }

    /// Writes the record of the sink's own run, if it is closed. After a restart: once its parts are read back.
    pub(crate) fn hold_outside(&mut self) {
        let Some(Outside { run_id, opened_at, closed_at: Some(closed_at), .. }) = &self.outside else {
            return;
        };
        let run = self.runs.entry(run_id.clone()).or_default();
        let record = RunRecord::open(run_id, RunKind::Stream, "outside", *opened_at).closed(*closed_at);
        run.record = Some(RunRecord { images: run.outcomes() as i64, ..record });
    }
}

impl Outside {
    /// The first outcome in a partition that names `named`.
    fn begin(&self, named: Option<&str>, at: &TopicPartition) -> Option<i64> {
        self.begins.get(named.unwrap_or_default())?.get(&at.topic)?.get(&at.partition).copied()
    }
}
