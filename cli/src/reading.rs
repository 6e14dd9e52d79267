//! What the log knows of runs.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use autorma_schemas::{Event, RunRecord, topics};
use autorma_sink::is_outside;
pub(crate) use autorma_stream::retry::patiently;
use autorma_stream::{Log, NextOffset, scan};

/// The newest record of each run, the oldest run first.
pub(crate) fn newest_runs(log: &dyn Log) -> anyhow::Result<Vec<RunRecord>> {
    let mut runs = BTreeMap::new();
    for record in scan(log, topics::RUNS)? {
        if let Ok(run) = RunRecord::decode(&record?.value) {
            runs.insert((run.opened_at, run.run_id.clone()), run);
        }
    }
    Ok(runs.into_values().collect())
}

/// What to say behind "none" where the log has dropped dead letters.
pub(crate) const DROPPED: &str = "The log has dropped older ones (log.retention): failed_images in the results of their runs \
    names them, and `run --reprocess` classifies all of a folder again.\n";

/// Whether the log had more of the topic once than it has now.
pub(crate) fn has_dropped(log: &dyn Log, topic: &str) -> anyhow::Result<bool> {
    Ok(log.bounds(topic)?.iter().any(|bounds| bounds.start > NextOffset::START))
}

/// The newest record of a run.
pub(crate) fn known_run(log: &dyn Log, id: &str) -> anyhow::Result<RunRecord> {
    let known = newest_runs(log)?.into_iter().find(|run| run.run_id == id);
    known.with_context(|| format!("there is no run {id:?}; `autorma runs` lists them"))
}

/// The newest record of a run that events name: only by that can they be chosen.
pub(crate) fn named_run(log: &dyn Log, id: &str) -> anyhow::Result<RunRecord> {
    if is_outside(id) {
        bail!(
            "--run {id}: no event says that it is of this run, which the sink has made of those without one; its results \
             list its photos. Choose them otherwise, without --run"
        );
    }
    known_run(log, id)
}

/// An error if a run is asked for by which no events can be chosen.
pub(crate) fn expect_named(log: &dyn Log, id: Option<&str>) -> anyhow::Result<()> {
    id.map_or(Ok(()), |id| named_run(log, id).map(drop))
}
