use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

use super::contact::Ear;
use super::message::record;
use super::{Cluster, errors, offsets};
use crate::{Error, NextOffset, READ_BYTES, Result, StoredRecord, TopicPartition};

/// Reads partitions from any offset, outside all groups: one at a time.
#[derive(Default)]
pub(super) struct Reader(Mutex<Option<Open>>);

/// The consumer, and where it stands: whoever reads on needn't turn the page.
struct Open {
    consumer: BaseConsumer<Reached>,
    stands: Option<(TopicPartition, NextOffset)>,
    /// The topics whose leaders it knows.
    introduced: BTreeSet<String>,
}

enum Heard {
    Record(StoredRecord),
    /// This partition has ended, there. Of which topic isn't said, so that only one is read at a time.
    End(i32, Option<NextOffset>),
}

/// An ear that also hears where a partition has ended, which only librdkafka's text says.
struct Reached(Ear, Mutex<Option<NextOffset>>);

impl ClientContext for Reached {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.0.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(Code::PartitionEOF) {
            *self.1.lock() = reached(reason);
        } else {
            self.0.error(error, reason);
        }
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.0.stats(statistics);
    }
}

impl ConsumerContext for Reached {}

/// "Fetch from broker 1 reached end of partition at offset 24 (HighwaterMark 24)" (`rdkafka_fetcher.c`).
fn reached(reason: &str) -> Option<NextOffset> {
    let (_, rest) = reason.split_once("at offset ")?;
    rest.split(' ').next()?.parse().ok().map(NextOffset)
}

impl Reader {
    /// Up to `max` records from `from` on; fewer only at the end, or where they are large.
    pub(super) fn read(
        &self,
        cluster: &Cluster,
        at: &TopicPartition,
        from: NextOffset,
        max: usize,
    ) -> Result<Vec<StoredRecord>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        self.with(cluster, |open| open.read(cluster, at, from, max))
    }

    /// Which of these partitions of a topic hold nothing from the first offset up to the second.
    pub(super) fn exhausted(
        &self,
        cluster: &Cluster,
        topic: &str,
        between: &BTreeMap<i32, (NextOffset, NextOffset)>,
    ) -> Result<BTreeSet<i32>> {
        self.with(cluster, |open| open.exhausted(cluster, topic, between))
    }

    /// Lets its client say what has piled up, unless somebody reads, or may read on: what has come for him would be lost.
    pub(super) fn hear_out(&self) {
        let Some(open) = self.0.try_lock() else { return };
        if let Some(Open { consumer, stands: None, .. }) = &*open {
            consumer.context().0.hear_out(consumer);
        }
    }

    fn with<T>(&self, cluster: &Cluster, work: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        let mut open = self.0.lock();
        if open.is_none() {
            let mut config = cluster.config.reader(true);
            config.set("group.id", cluster.config.full("reader"));
            let consumer = config.create_with_context(Reached(cluster.ear(), Mutex::default()));
            let consumer = cluster.made(consumer, "reading")?;
            *open = Some(Open { consumer, stands: None, introduced: BTreeSet::new() });
        }
        let result = work(open.as_mut().expect("opened above"));
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
        if self.stands.take().is_none_or(|(there, next)| there != *at || next != from) {
            self.turn_to(cluster, &at.topic, &BTreeMap::from([(at.partition, from)]))?;
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while records.len() < max && bytes < READ_BYTES {
            match self.hear(cluster, &at.topic)? {
                // Where there is nothing at `from` any more, or not yet, the broker goes to what it has.
                Heard::Record(record) if record.at == *at && record.offset.0 >= from.0 => {
                    bytes += record.size();
                    records.push(record);
                }
                Heard::Record(_) => {}
                Heard::End(_, reached) if is_behind(cluster, at, reached)? => {}
                Heard::End(..) => {
                    self.turn_away(cluster)?;
                    return Ok(records);
                }
            }
        }
        self.stands = records.last().map(|last| (at.clone(), last.offset.next()));
        Ok(records)
    }

    fn exhausted(
        &mut self,
        cluster: &Cluster,
        topic: &str,
        between: &BTreeMap<i32, (NextOffset, NextOffset)>,
    ) -> Result<BTreeSet<i32>> {
        self.stands = None;
        let from = between.iter().map(|(partition, (from, _))| (*partition, *from)).collect();
        self.turn_to(cluster, topic, &from)?;
        let (mut exhausted, mut unknown) = (BTreeSet::new(), from);
        let begun = Instant::now();
        // Whoever asks has others to serve: what isn't known by then isn't exhausted.
        while !unknown.is_empty() && begun.elapsed() < cluster.patience() {
            match self.hear(cluster, topic)? {
                Heard::Record(record) if record.at.topic == topic => {
                    unknown.retain(|partition, from| {
                        *partition != record.at.partition || record.offset.0 < from.0
                    });
                }
                Heard::Record(_) => {}
                Heard::End(partition, reached) => {
                    // A new leader may be behind, see `is_behind`.
                    let is_far = between.get(&partition).is_some_and(|(_, end)| reached >= Some(*end));
                    exhausted.extend(unknown.remove(&partition).filter(|_| is_far).map(|_| partition));
                }
            }
        }
        self.turn_away(cluster)?;
        Ok(exhausted)
    }

    /// The next record, or that a partition has ended.
    fn hear(&self, cluster: &Cluster, topic: &str) -> Result<Heard> {
        let doing = format!("reading {topic}");
        let begun = Instant::now();
        loop {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => return Ok(Heard::Record(record(cluster, &message))),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    let reached = self.consumer.context().1.lock().take();
                    return Ok(Heard::End(partition, reached));
                }
                Some(Err(error)) => {
                    let code = error.rdkafka_error_code();
                    if matches!(code, Some(Code::UnknownTopicOrPartition | Code::UnknownPartition)) {
                        cluster.known.forget();
                        return Err(Error::UnknownTopic(topic.into()));
                    }
                    if !code.is_some_and(errors::is_passing) || begun.elapsed() > cluster.patience() {
                        return cluster.check(Err(error), &doing);
                    }
                }
                None if begun.elapsed() > cluster.patience() => {
                    return Err(errors::of_code(cluster, &doing, Code::OperationTimedOut));
                }
                None => {}
            }
        }
    }

    fn turn_to(&mut self, cluster: &Cluster, topic: &str, from: &BTreeMap<i32, NextOffset>) -> Result<()> {
        let doing = format!("reading {topic}");
        let full = cluster.config.full(topic);
        if !self.introduced.contains(topic) {
            // Otherwise librdkafka looks for the leaders when its clock strikes the next second.
            let metadata = self.consumer.fetch_metadata(Some(&full), cluster.patience());
            cluster.check(metadata, &doing)?;
            self.introduced.insert(topic.to_owned());
        }
        let mut list = TopicPartitionList::with_capacity(from.len());
        for (partition, from) in from {
            let added = list.add_partition_offset(&full, *partition, KafkaOffset::Offset(from.0.max(0)));
            cluster.made(added, &doing)?;
        }
        cluster.made(self.consumer.assign(&list), &doing)
    }

    /// An end that nobody reads isn't asked for news, which with such short waits would be often.
    fn turn_away(&self, cluster: &Cluster) -> Result<()> {
        cluster.made(self.consumer.unassign(), "reading")
    }
}

/// Whether the partition goes on behind what was taken for its end: a new leader believes for moments that it ends before
/// what the former has told others. Whoever asks it for the end is sent away in these moments (Kafka's KIP-207), and only
/// whoever fetches is not.
fn is_behind(cluster: &Cluster, at: &TopicPartition, reached: Option<NextOffset>) -> Result<bool> {
    let place = (cluster.config.full(&at.topic), at.partition);
    let ends = offsets::ends(cluster, &cluster.asking, [place].into_iter(), KafkaOffset::End)?;
    Ok(ends.into_iter().any(|(_, end)| reached.is_some_and(|reached| reached < end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_read_from_librdkafka_s_text() {
        let told = "Fetch from broker 1 reached end of partition at offset 2355 (HighwaterMark 2356)";
        assert_eq!(reached(told), Some(NextOffset(2355)));
        assert_eq!(reached("something else"), None);
    }
}
