//! The commands that look and change nothing. Each returns the text that it shows.

mod dead_letters;
mod runs;
mod show;
mod status;

pub(crate) use dead_letters::dead_letters;
pub(crate) use runs::{runs, show as show_run};
pub(crate) use show::show;
pub(crate) use status::status;

use std::collections::BTreeMap;

use autorma_schemas::{Event, RunRecord, topics};
use autorma_stream::{Log, StoredRecord, TopicPartition};
use serde::Serialize;

/// Records that one read brings.
const PAGE: usize = 1000;

/// Calls `each` with every record of a topic, partition by partition; false ends it.
fn scan(log: &dyn Log, topic: &str, mut each: impl FnMut(StoredRecord) -> bool) -> anyhow::Result<()> {
    for bounds in log.bounds(topic)? {
        let at = TopicPartition::new(topic, bounds.partition);
        let mut from = bounds.start;
        loop {
            let page = log.read(&at, from, PAGE)?;
            let Some(last) = page.last() else { break };
            from = last.offset.next();
            for record in page {
                if !each(record) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// The newest record of each run, the oldest run first.
fn newest_runs(log: &dyn Log) -> anyhow::Result<Vec<RunRecord>> {
    let mut runs = BTreeMap::new();
    scan(log, topics::RUNS, |record| {
        if let Ok(run) = RunRecord::decode(&record.value) {
            runs.insert((run.opened_at, run.run_id.clone()), run);
        }
        true
    })?;
    Ok(runs.into_values().collect())
}

/// JSON for scripts.
fn json_text(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}
