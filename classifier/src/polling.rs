use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use autorma_service::Shutdown;
use autorma_stream::{Consumer, Disposition, NextOffset, PollLimit, Rebalance, TopicPartition};

use crate::desk::Desk;
use crate::{Config, Error, Metrics};

/// Bytes of records that wait to be decoded, beyond one: images may travel in them.
const MAX_WAITING_BYTES: usize = 32 << 20;
/// How long a poll waits, and how long nobody looks whether to stop.
const WAIT: Duration = Duration::from_millis(50);
/// How long work on partitions that go to another member may take to be committed.
const HAND_OVER: Duration = Duration::from_secs(2);

/// How long a member may have no partition before that is told: a rebalance takes less.
const WITHOUT_WORK: Duration = Duration::from_secs(10);

/// The consumer's thread: reads while there is room, keeps the membership alive, and drains at the end.
pub(crate) fn poll(
    desk: &Desk,
    consumer: &mut dyn Consumer,
    held: &Held,
    config: &Config,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    // To wait for room for one record would be to commit one record at a time.
    let wanted = config.batch_size.min(config.max_in_flight);
    let mut idle = Idle { since: Instant::now(), told: false };
    while !shutdown.is_requested() && !desk.has_failed() {
        if idle.is_to_be_told(held.load(Ordering::Relaxed), Instant::now()) {
            tracing::info!(
                "this classifier stands by without a partition of the images: the other classifiers have them all (more of \
                 them, log.partitions, would give it some), or the log is away"
            );
        }
        let room = desk.wait_for_room(wanted, WAIT);
        let queues = desk.queues();
        metrics.queues(queues);
        let bytes = MAX_WAITING_BYTES.saturating_sub(queues.bytes);
        let (limit, wait) = match (room, bytes) {
            (0, _) => (PollLimit::NOTHING, Duration::ZERO),
            (_, 0) => (PollLimit::NOTHING, WAIT),
            (records, bytes) => (PollLimit { records, bytes }, WAIT),
        };
        match consumer.poll(limit, wait) {
            Ok(records) if records.is_empty() => desk.pass(consumer.passed()),
            Ok(records) => desk.admit(records),
            Err(error) if error.disposition() == Disposition::Transient => {
                tracing::warn!(%error, "reading again");
                shutdown.sleep(WAIT);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let begun = Instant::now();
    while !desk.has_failed() && !desk.wait_until_idle(WAIT) && begun.elapsed() < config.drain {
        metrics.queues(desk.queues());
        // What is in hand can be committed, whatever a poll says that may pass.
        match consumer.poll(PollLimit::NOTHING, Duration::ZERO) {
            Err(error) if error.disposition() != Disposition::Transient => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "finishing what is in hand"),
            Ok(_) => {}
        }
    }
    // What isn't even begun is left to the next start.
    desk.abandon();
    Ok(())
}

/// How many partitions a member has.
pub(crate) type Held = AtomicUsize;

/// A member without partitions waits for those of others: somebody who started it for more speed should hear of that.
#[derive(Debug)]
struct Idle {
    since: Instant,
    told: bool,
}

impl Idle {
    /// Once, each time that it has lasted.
    fn is_to_be_told(&mut self, held: usize, now: Instant) -> bool {
        if held > 0 {
            *self = Self { since: now, told: false };
        }
        let is_news = !self.told && now - self.since > WITHOUT_WORK;
        self.told |= is_news;
        is_news
    }
}

/// What is read and not committed goes with its partitions.
#[derive(Debug)]
pub(crate) struct HandOver {
    pub(crate) desk: Arc<Desk>,
    pub(crate) held: Arc<Held>,
}

impl Rebalance for HandOver {
    fn assigned(&mut self, _: &TopicPartition) -> autorma_stream::Result<Option<NextOffset>> {
        self.held.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    }

    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) {
        self.held.fetch_sub(partitions.len(), Ordering::Relaxed);
        self.desk.give_up(partitions, if lost { Duration::ZERO } else { HAND_OVER });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_by_says_so_once_and_again_after_it_had_work() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut idle = Idle { since: begun, told: false };
        let told = [(0, 1), (0, 11), (0, 12), (2, 13), (0, 14), (0, 20), (0, 24), (0, 40)]
            .map(|(held, seconds)| idle.is_to_be_told(held, at(seconds)));
        assert_eq!(told, [false, true, false, false, false, false, true, false]);
    }
}
