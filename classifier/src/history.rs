//! What became of the events before those that this process has in hand.

use std::time::Duration;

use autorma_schemas::{Micros, topics};
use autorma_stream::retry::patiently;
use autorma_stream::{Log, NextOffset, Result, TopicPartition};

/// Records that are read at once: a dead letter may have nearly a megabyte.
const PAGE: usize = 50;

/// Older outcomes say nothing of now: what was wrong with them may be mended.
const RECENT: Duration = Duration::from_secs(3600);

/// Whether each of the newest `wanted` outcomes in the log from before `now` is a dead letter, the newest first; no more
/// than those of the hour before.
pub(crate) fn newest(log: &dyn Log, wanted: usize, now: Micros) -> Result<Vec<bool>> {
    let recent = now.0 - RECENT.as_micros() as i64..now.0;
    let mut outcomes = Vec::new();
    for (topic, is_dead) in [(topics::PREDICTIONS, false), (topics::DEAD_LETTERS, true)] {
        for bounds in patiently(|| log.bounds(topic))? {
            let at = TopicPartition::new(topic, bounds.partition);
            // On Kafka each may have a transaction of its own, whose end takes an offset, too.
            let far = bounds.end.0.saturating_sub_unsigned(2 * wanted as u64);
            let mut from = bounds.start.max(NextOffset(far));
            while from < bounds.end {
                let records = patiently(|| log.read(&at, from, PAGE))?;
                // Offsets have gaps, perhaps up to the end.
                let Some(last) = records.last() else { break };
                from = last.offset.next();
                outcomes.extend(records.iter().map(|record| (record.appended_at, is_dead)));
            }
        }
    }
    outcomes.retain(|(at, _)| recent.contains(at));
    outcomes.sort_unstable();
    Ok(outcomes.into_iter().rev().take(wanted).map(|(_, is_dead)| is_dead).collect())
}
