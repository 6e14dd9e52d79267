//! What became of the events before those that this process has in hand.

use std::time::Duration;

use autorma_schemas::{Micros, topics};
use autorma_stream::retry::patiently;
use autorma_stream::{Bounds, Log, NextOffset, Pages, Result};

/// Older outcomes say nothing of now: what was wrong with them may be mended.
const RECENT: Duration = Duration::from_secs(3600);

/// Whether each of the newest `wanted` outcomes in the log from before `now` is a dead letter, the newest first; no more
/// than those of the hour before.
pub(crate) fn newest(log: &dyn Log, wanted: usize, now: Micros) -> Result<Vec<bool>> {
    let recent = now.0 - RECENT.as_micros() as i64..now.0;
    let mut outcomes = Vec::new();
    for (topic, is_dead) in [(topics::PREDICTIONS, false), (topics::DEAD_LETTERS, true)] {
        for Bounds { at, start, end } in patiently(|| log.bounds(topic))? {
            // On Kafka each may have a transaction of its own, whose end takes an offset, too.
            let far = end.0.saturating_sub_unsigned(2 * wanted as u64);
            for record in Pages::new(at, start.max(NextOffset(far))).up_to(log, end) {
                outcomes.push((record?.appended_at, is_dead));
            }
        }
    }
    outcomes.retain(|(at, _)| recent.contains(at));
    outcomes.sort_unstable();
    Ok(outcomes.into_iter().rev().take(wanted).map(|(_, is_dead)| is_dead).collect())
}
