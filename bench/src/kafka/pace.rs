//! How fast records came into a topic, as the broker has written it down.

use std::time::Duration;

use anyhow::ensure;
use autorma_stream::kafka::Kafka;
use autorma_stream::scan;

/// How often to look whether all is there: that costs processor time, of which there is none to spare.
pub(super) const PACE: Duration = Duration::from_millis(250);

/// When each of so many records was appended, in microseconds, in order.
pub(super) fn times(log: &Kafka, topic: &str, records: usize) -> anyhow::Result<Vec<i64>> {
    let appended = scan(log, topic)?.map(|record| Ok(record?.appended_at));
    let mut times = appended.collect::<autorma_stream::Result<Vec<_>>>()?;
    ensure!(times.len() == records, "{} records instead of {records}", times.len());
    times.sort_unstable();
    Ok(times)
}

/// Records a second between the first and the last quarter: whoever starts has started, and nobody has come to an end.
pub(super) fn middle_rate(times: &[i64]) -> f64 {
    let (from, to) = (times.len() / 4, times.len() * 3 / 4);
    (to - from) as f64 * 1e6 / (times[to] - times[from]).max(1) as f64
}
