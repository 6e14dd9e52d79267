use std::sync::Arc;
use std::time::Duration;

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

/// The consumer's thread: reads while there is room, keeps the membership alive, and drains at the end.
pub(crate) fn poll(
    desk: &Desk,
    consumer: &mut dyn Consumer,
    config: &Config,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    // To wait for room for one record would be to commit one record at a time.
    let wanted = config.batch_size.min(config.max_in_flight);
    while !shutdown.is_requested() && !desk.has_failed() {
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
    let begun = std::time::Instant::now();
    while !desk.has_failed() && !desk.wait_until_idle(WAIT) && begun.elapsed() < config.drain {
        consumer.poll(PollLimit::NOTHING, Duration::ZERO)?;
    }
    // What isn't even begun is left to the next start.
    desk.abandon();
    Ok(())
}

/// What is read and not committed goes with its partitions.
#[derive(Debug)]
pub(crate) struct HandOver(pub(crate) Arc<Desk>);

impl Rebalance for HandOver {
    fn assigned(&mut self, _: &TopicPartition) -> autorma_stream::Result<Option<NextOffset>> {
        Ok(None)
    }

    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) {
        self.0.give_up(partitions, if lost { Duration::ZERO } else { HAND_OVER });
    }
}
