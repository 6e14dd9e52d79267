use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use autorma_schemas::{Event, ImageEvent};
use autorma_stream::{
    Assignment, Consumer, Log, Membership, NextOffset, Offset, Pages, PollLimit, Rebalance, Record, Result,
    StoredRecord, Subscription, TopicPartition,
};

use super::view::{NewRun, Reading};

/// Hands the chosen image events of the real log to the classifier, as events of the new run. They keep their places:
/// a prediction's origin is where its event stands in the real log. How many are read follows what the classifier has
/// room for.
pub(super) struct Reader {
    real: Arc<dyn Log>,
    membership: Membership,
    rebalance: Box<dyn Rebalance>,
    run: NewRun,
    reading: Arc<Reading>,
    partitions: VecDeque<Partition>,
    /// Every partition, from the first poll on.
    assigned: Vec<(TopicPartition, Assignment)>,
    has_begun: bool,
    /// What was read and had no room yet.
    ready: VecDeque<Record>,
    sequence: i64,
}

/// What is left to read of a partition.
struct Partition {
    at: TopicPartition,
    assignment: Assignment,
    pages: Pages,
    offsets: VecDeque<Offset>,
}

impl Reader {
    pub(super) fn new(
        real: Arc<dyn Log>,
        subscription: Subscription,
        rebalance: Box<dyn Rebalance>,
        run: NewRun,
        offsets: BTreeMap<TopicPartition, Vec<Offset>>,
        reading: Arc<Reading>,
    ) -> Self {
        let Subscription { group, slot, .. } = subscription;
        let partition = |(at, offsets): (TopicPartition, Vec<Offset>)| Partition {
            pages: Pages::new(at.clone(), NextOffset::START),
            assignment: Assignment::begin(),
            offsets: offsets.into(),
            at,
        };
        let partitions: VecDeque<_> = offsets.into_iter().map(partition).collect();
        let assigned = partitions.iter().map(|it| (it.at.clone(), it.assignment.clone())).collect();
        Self {
            real,
            membership: Membership { group, slot, incarnation: 1 },
            rebalance,
            run,
            reading,
            partitions,
            assigned,
            has_begun: false,
            ready: VecDeque::new(),
            sequence: 0,
        }
    }

    /// The next record, without taking it; None at the end.
    fn peek(&mut self) -> Result<Option<&Record>> {
        while self.ready.is_empty() {
            let Some(partition) = self.partitions.front_mut() else { return Ok(None) };
            let Some(first) = partition.offsets.front() else {
                self.partitions.pop_front();
                continue;
            };
            partition.pages.skip_to(NextOffset(first.0));
            let page = partition.pages.read(&*self.real)?;
            let (chosen, vanished) = partition.choose(page);
            self.reading.vanished.fetch_add(vanished, Ordering::AcqRel);
            for mut stored in chosen {
                let number = self.run.renumber.then_some(self.sequence + 1);
                // It was readable when it was chosen, so if it isn't now, the topic was made anew.
                let Some(value) = renamed(&stored.value, &self.run.id, number) else {
                    self.reading.vanished.fetch_add(1, Ordering::AcqRel);
                    continue;
                };
                self.sequence += 1;
                stored.value = value;
                let assignment = partition.assignment.clone();
                self.ready.push_back(Record { stored, assignment });
            }
        }
        Ok(self.ready.front())
    }
}

/// The event as one of the new run; without a `number` it keeps its own.
fn renamed(value: &[u8], run_id: &str, number: Option<i64>) -> Option<Vec<u8>> {
    let event = ImageEvent::decode(value).ok()?;
    let sequence = number.unwrap_or(event.sequence);
    Some(ImageEvent { run_id: Some(run_id.to_owned()), sequence, ..event }.encode())
}

impl Partition {
    /// The records of a page that were chosen, and how many that were aren't there any more.
    fn choose(&mut self, page: Vec<StoredRecord>) -> (Vec<StoredRecord>, u64) {
        let before = self.offsets.len();
        if page.is_empty() {
            self.offsets.clear();
            return (Vec::new(), before as u64);
        }
        let mut chosen = Vec::new();
        for record in page {
            while self.offsets.front().is_some_and(|offset| *offset < record.offset) {
                self.offsets.pop_front();
            }
            if self.offsets.front() == Some(&record.offset) {
                self.offsets.pop_front();
                chosen.push(record);
            }
        }
        let vanished = before - self.offsets.len() - chosen.len();
        (chosen, vanished as u64)
    }
}

impl Consumer for Reader {
    fn poll(&mut self, limit: PollLimit, wait: Duration) -> Result<Vec<Record>> {
        if !self.has_begun {
            self.has_begun = true;
            for (at, _) in &self.assigned {
                self.rebalance.assigned(at)?;
            }
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while records.len() < limit.records {
            let next = match self.peek() {
                Ok(Some(next)) => next,
                Ok(None) => break,
                // What was taken isn't lost: the error comes again with the next poll.
                Err(_) if !records.is_empty() => break,
                Err(error) => return Err(error),
            };
            bytes += next.stored.value.len();
            if !records.is_empty() && bytes > limit.bytes {
                break;
            }
            records.extend(self.ready.pop_front());
        }
        match records.len() {
            0 => sleep(wait),
            read => drop(self.reading.read.fetch_add(read as u64, Ordering::AcqRel)),
        }
        Ok(records)
    }

    fn membership(&self) -> Membership {
        self.membership.clone()
    }

    fn leave(mut self: Box<Self>) -> Result<()> {
        let partitions: Vec<_> = self.assigned.iter().map(|(at, _)| at.clone()).collect();
        self.rebalance.revoked(&partitions, false);
        self.assigned.iter().for_each(|(_, assignment)| assignment.end());
        Ok(())
    }
}
