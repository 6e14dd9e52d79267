use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::contact::Ear;
use super::figures::Figures;
use super::members::{Held, Holdings};
use super::unread;
use crate::{Assignment, Error, NextOffset, Rebalance, TopicPartition};

/// Hands partitions to the stage and takes them back, inside the consumer's poll and on its thread.
///
/// Rebalances are cooperative: only what moves is taken away, and the rest goes on. While a partition is being revoked,
/// the stage may still commit its work, for the group waits for this member until the call returns.
pub(super) struct Listener {
    pub(super) ear: Ear,
    pub(super) prefix: String,
    pub(super) group: String,
    pub(super) slot: String,
    /// How long the group may take to say where it continues: less than it waits for a member to poll.
    pub(super) patience: Duration,
    pub(super) stage: Mutex<Box<dyn Rebalance>>,
    pub(super) held: Arc<Mutex<Holdings>>,
    /// Whether partitions came or went since the last look.
    pub(super) changed: AtomicBool,
    /// Whether the partitions are paused, all of them: librdkafka remembers each one's pause even while it is another
    /// member's, and drops what it has fetched of one that is resumed and wasn't paused.
    pub(super) paused: AtomicBool,
    pub(super) failure: Mutex<Option<Error>>,
    /// Whether the group has let this member in, perhaps without anything to do.
    pub(super) is_let_in: AtomicBool,
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        if let Some((topic, partition, from)) = unread::reset(message)
            && let Some(held) = self.held.lock().get_mut(&self.our(topic, partition))
        {
            // A second line would be about what is gone already.
            held.reset.get_or_insert(from);
        }
        self.ear.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(error, reason);
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.ear.stats(statistics);
    }
}

impl ConsumerContext for Listener {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        self.changed.store(true, Ordering::Relaxed);
        if !self.ear.is_left() {
            Figures::count(&self.ear.figures.rebalances);
        }
        let done = match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.is_let_in.store(true, Ordering::Relaxed);
                self.assign(consumer, partitions);
                let paused = self.paused.load(Ordering::Relaxed);
                let assigned = consumer.incremental_assign(partitions);
                if paused { assigned.and_then(|()| consumer.pause(partitions)) } else { assigned }
            }
            _ => {
                self.revoke(&self.ours(partitions), consumer.assignment_lost());
                let paused = self.paused.load(Ordering::Relaxed);
                let resumed = if paused { consumer.resume(partitions) } else { Ok(()) };
                resumed.and_then(|()| consumer.incremental_unassign(partitions))
            }
        };
        if let Err(error) = done {
            // librdkafka begins the rebalance again when the group's view differs from its own.
            tracing::warn!(%error, group = self.group, slot = self.slot, "a rebalance was not accepted");
        }
    }
}

impl Listener {
    /// The partitions by our names of them.
    pub(super) fn ours(&self, partitions: &TopicPartitionList) -> Vec<TopicPartition> {
        let all = partitions.elements().into_iter();
        all.map(|it| self.our(it.topic(), it.partition())).collect()
    }

    fn our(&self, topic: &str, partition: i32) -> TopicPartition {
        TopicPartition::new(topic.strip_prefix(self.prefix.as_str()).unwrap_or(topic), partition)
    }

    /// Each partition starts where the stage says, or else where the group continues.
    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &mut TopicPartitionList) {
        let committed = self.committed(consumer, partitions);
        for mut element in partitions.elements() {
            let at = self.our(element.topic(), element.partition());
            let group = committed.get(&at).copied();
            let mut stage = self.stage.lock();
            let chosen = stage.assigned(&at).unwrap_or_else(|error| {
                self.fail(error);
                None
            });
            drop(stage);
            let (offset, position) = match (chosen, group) {
                (Some(next), _) | (None, Some(Some(next))) => {
                    (KafkaOffset::Offset(next.0.max(0)), Some(next))
                }
                (None, Some(None)) => (KafkaOffset::Beginning, Some(NextOffset::START)),
                // The group didn't answer: librdkafka asks again until it does, and so does the consumer.
                (None, None) => (KafkaOffset::Invalid, None),
            };
            if let Err(error) = element.set_offset(offset) {
                tracing::warn!(%error, partition = %at, "no offset to start from");
            }
            let assignment = Assignment::begin();
            let held = Held { assignment, position, committed: group.flatten(), reset: None };
            self.held.lock().insert(at, held);
        }
        tracing::debug!(group = self.group, slot = self.slot, partitions = ?self.ours(partitions), "partitions assigned");
    }

    /// Where the group continues in those of the partitions that it can be asked about; None where it has committed
    /// nothing yet. While a transaction that holds an offset is open, it has no answer.
    pub(super) fn committed(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &TopicPartitionList,
    ) -> BTreeMap<TopicPartition, Option<NextOffset>> {
        let mut list = TopicPartitionList::with_capacity(partitions.count());
        for element in partitions.elements() {
            list.add_partition(element.topic(), element.partition());
        }
        let found = match consumer.committed_offsets(list, self.patience) {
            Ok(found) => found,
            Err(error) => {
                let (group, slot) = (&self.group, &self.slot);
                tracing::info!(group, slot, %error, "waiting for the group to say where it continues: a process that died may have left a transaction open that holds its offsets");
                return BTreeMap::new();
            }
        };
        let answered = found.elements().into_iter().filter(|it| it.error().is_ok());
        let next = answered.map(|it| {
            let next = match it.offset() {
                KafkaOffset::Offset(next) => Some(NextOffset(next)),
                _ => None,
            };
            (self.our(it.topic(), it.partition()), next)
        });
        next.collect()
    }

    /// The stage finishes or drops its work on these; what is `lost` can't be committed any more.
    pub(super) fn revoke(&self, partitions: &[TopicPartition], lost: bool) {
        let is_held = |at: &&TopicPartition| self.held.lock().contains_key(at);
        let partitions: Vec<_> = partitions.iter().filter(is_held).cloned().collect();
        if partitions.is_empty() {
            return;
        }
        let (group, slot) = (&self.group, &self.slot);
        if lost {
            tracing::warn!(group, slot, ?partitions, "partitions lost");
            self.end(&partitions);
        }
        // Not while holding what the committer looks at: the stage waits for it.
        self.stage.lock().revoked(&partitions, lost);
        self.end(&partitions);
        tracing::debug!(group, slot, ?partitions, "partitions revoked");
    }

    fn end(&self, partitions: &[TopicPartition]) {
        let mut held = self.held.lock();
        for at in partitions {
            if let Some(held) = held.remove(at) {
                held.assignment.end();
            }
        }
    }

    fn fail(&self, error: Error) {
        self.failure.lock().get_or_insert(error);
    }
}
