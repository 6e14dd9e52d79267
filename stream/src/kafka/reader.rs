use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

use super::contact::Ear;
use super::{Cluster, errors};
use crate::{NextOffset, Offset, Result, StoredRecord, TopicPartition};

/// Reads partitions from any offset, outside all groups: one at a time.
#[derive(Default)]
pub(super) struct Reader(Mutex<Option<Open>>);

/// The consumer, and where it stands: whoever reads on needn't turn the page.
struct Open {
    consumer: BaseConsumer<Ear>,
    stands: Option<(TopicPartition, NextOffset)>,
}

impl Reader {
    /// Up to `max` records from `from` on; fewer only at the end.
    pub(super) fn read(
        &self,
        cluster: &Cluster,
        at: &TopicPartition,
        from: NextOffset,
        max: usize,
    ) -> Result<Vec<StoredRecord>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            let consumer = cluster.config.reader(true).create_with_context(cluster.ear());
            *open = Some(Open { consumer: cluster.check(consumer, "reading")?, stands: None });
        }
        let reader = open.as_mut().expect("opened above");
        let result = reader.read(cluster, at, from, max);
        if result.is_err() {
            // Whatever it has in its queues is no longer wanted.
            *open = None;
        }
        result
    }
}

impl Open {
    fn read(
        &mut self,
        cluster: &Cluster,
        at: &TopicPartition,
        from: NextOffset,
        max: usize,
    ) -> Result<Vec<StoredRecord>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        if self.stands.take().is_none_or(|(there, next)| there != *at || next != from) {
            self.turn_to(cluster, at, from)?;
        }
        let (mut records, mut heard) = (Vec::new(), Instant::now());
        loop {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let record = record(cluster, &message);
                    heard = Instant::now();
                    // Where there is nothing at `from` any more, or not yet, the broker goes to what it has.
                    if record.at == *at && record.offset.0 >= from.0 {
                        records.push(record);
                    }
                    if records.len() >= max {
                        let next = records.last().map_or(from, |record| record.offset.next());
                        self.stands = Some((at.clone(), next));
                        return Ok(records);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
                Some(Err(error)) => {
                    let code = error.rdkafka_error_code();
                    if matches!(code, Some(Code::UnknownTopicOrPartition | Code::UnknownPartition)) {
                        cluster.known.forget();
                        return Err(errors::unknown_topic(&at.topic));
                    }
                    if !code.is_some_and(errors::is_passing) || heard.elapsed() > cluster.patience() {
                        return cluster.check(Err(error), &format!("reading {at}"));
                    }
                }
                None if heard.elapsed() > cluster.patience() => {
                    return Err(errors::of_code(cluster, &format!("reading {at}"), Code::OperationTimedOut));
                }
                None => {}
            }
        }
    }

    fn turn_to(&self, cluster: &Cluster, at: &TopicPartition, from: NextOffset) -> Result<()> {
        let mut list = TopicPartitionList::new();
        let offset = KafkaOffset::Offset(from.0.max(0));
        let full = cluster.config.full(&at.topic);
        let assigned =
            list.add_partition_offset(&full, at.partition, offset).and_then(|()| self.consumer.assign(&list));
        cluster.check(assigned, &format!("reading {at}"))
    }
}

/// A message as ours.
pub(super) fn record(cluster: &Cluster, message: &BorrowedMessage<'_>) -> StoredRecord {
    let topic = message.topic();
    let topic = topic.strip_prefix(cluster.config.prefix.as_str()).unwrap_or(topic);
    let header = |header: rdkafka::message::Header<'_, &[u8]>| {
        (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
    };
    StoredRecord {
        at: TopicPartition::new(topic, message.partition()),
        offset: Offset(message.offset()),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().unwrap_or_default().to_vec(),
        headers: message.headers().into_iter().flat_map(|headers| headers.iter().map(header)).collect(),
        appended_at: message.timestamp().to_millis().unwrap_or(0) * 1000,
    }
}
