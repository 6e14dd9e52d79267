//! How far the stages are behind: records that are in the log and that a group hasn't done yet.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use autorma_stream::{Bounds, Log, NextOffset, Result, TopicPartition};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};

/// How far a group is in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition.
    pub at: TopicPartition,
    /// Where the group continues; none if it has never committed there.
    pub committed: Option<NextOffset>,
    /// Where the next record will stand.
    pub end: NextOffset,
    /// How many records the group has before it.
    pub lag: u64,
}

/// The lag of a group in each partition of the topics, in order.
pub fn lag(log: &dyn Log, group: &str, topics: &[&str]) -> Result<Vec<PartitionLag>> {
    // Before the bounds: a group that works meanwhile is then seen behind, never ahead.
    let all = log.committed(group)?;
    let mut lags = Vec::new();
    for topic in topics {
        for bounds in log.bounds(topic)? {
            let committed = all.get(&bounds.at).copied();
            let lag = behind(&bounds, committed);
            lags.push(PartitionLag { at: bounds.at, committed, end: bounds.end, lag });
        }
    }
    Ok(lags)
}

/// What was dropped before anybody read it isn't waited for.
fn behind(bounds: &Bounds, committed: Option<NextOffset>) -> u64 {
    let next = committed.map_or(bounds.start, |next| next.max(bounds.start));
    u64::try_from(bounds.end.0.saturating_sub(next.0)).unwrap_or(0)
}

/// The gauge `autorma_lag_records{group,topic,partition}`, computed at each scrape. While the log doesn't answer, it
/// is left out: no number is better than an old one.
pub struct LagCollector {
    log: Arc<dyn Log>,
    groups: &'static [(&'static str, &'static [&'static str])],
    gauge: IntGaugeVec,
    /// So that an outage is logged once, not at each scrape.
    failing: AtomicBool,
}

impl LagCollector {
    /// Watches the groups, each with the topics that it reads.
    pub fn new(log: Arc<dyn Log>, groups: &'static [(&'static str, &'static [&'static str])]) -> Self {
        Self { log, groups, gauge: gauge(), failing: AtomicBool::new(false) }
    }

    fn measure(&self) -> Result<IntGaugeVec> {
        // A new one each time, so that two scrapes don't disturb each other.
        let gauge = gauge();
        for (group, topics) in self.groups {
            for PartitionLag { at, lag, .. } in lag(&*self.log, group, topics)? {
                let labels = [*group, &at.topic, &at.partition.to_string()];
                gauge.with_label_values(&labels).set(i64::try_from(lag).unwrap_or(i64::MAX));
            }
        }
        Ok(gauge)
    }
}

impl Collector for LagCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        match self.measure() {
            Ok(gauge) => {
                self.failing.store(false, Ordering::Relaxed);
                gauge.collect()
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the lag can't be measured");
                }
                Vec::new()
            }
        }
    }
}

impl fmt::Debug for LagCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LagCollector").field("groups", &self.groups).finish_non_exhaustive()
    }
}

fn gauge() -> IntGaugeVec {
    let opts = Opts::new("autorma_lag_records", "Records in the log that the group hasn't done yet");
    IntGaugeVec::new(opts, &["group", "topic", "partition"]).expect("the names are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_never_negative_and_skips_what_was_dropped() {
        let at = TopicPartition::new("images", 0);
        let bounds = Bounds { at, start: NextOffset(10), end: NextOffset(30) };
        let behind = |committed: Option<i64>| behind(&bounds, committed.map(NextOffset));
        assert_eq!(behind(None), 20);
        assert_eq!(behind(Some(0)), 20);
        assert_eq!(behind(Some(25)), 5);
        assert_eq!(behind(Some(30)), 0);
        assert_eq!(behind(Some(99)), 0);
    }
}
