//! What became of the events before those that this process has in hand.

use autorma_schemas::topics;
use autorma_stream::{Log, NextOffset, Result, TopicPartition};

/// Records that are read at once: a dead letter may have nearly a megabyte.
const PAGE: usize = 50;

/// Whether each of the newest `wanted` outcomes in the log is a dead letter, the newest first.
pub(crate) fn newest(log: &dyn Log, wanted: usize) -> Result<Vec<bool>> {
    let mut outcomes = Vec::new();
    for (topic, is_dead) in [(topics::PREDICTIONS, false), (topics::DEAD_LETTERS, true)] {
        for bounds in log.bounds(topic)? {
            let at = TopicPartition::new(topic, bounds.partition);
            let mut from = bounds.start.max(NextOffset(bounds.end.0.saturating_sub_unsigned(wanted as u64)));
            while from < bounds.end {
                let records = log.read(&at, from, PAGE)?;
                // Offsets have gaps, perhaps up to the end.
                let Some(last) = records.last() else { break };
                from = last.offset.next();
                outcomes.extend(records.iter().map(|record| (record.appended_at, is_dead)));
            }
        }
    }
    outcomes.sort_unstable();
    Ok(outcomes.into_iter().rev().take(wanted).map(|(_, is_dead)| is_dead).collect())
}
