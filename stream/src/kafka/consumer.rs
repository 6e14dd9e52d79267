mod leaving;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

use super::members::{Holdings, Member};
use super::orphans::Orphans;
use super::rebalancing::Listener;
use super::{Cluster, REQUEST, errors, message, offsets, unread};
use crate::{
    Consumer, Error, Membership, NextOffset, Passed, PollLimit, Rebalance, Record, Result, Subscription,
    TopicPartition,
};

/// Records that wait here while the stage has room for none, at most; then the partitions are paused.
const WAITING: usize = 200;
/// Bytes of them, beyond one: photos may travel in records.
const WAITING_BYTES: usize = 16 << 20;
/// How long a partition must be quiet before is asked whether anything is left in it, and how often when nothing came.
const QUIET: Duration = Duration::from_millis(15);
const SELDOM: Duration = Duration::from_secs(1);
/// The shortest poll.
const GLANCE: Duration = Duration::from_millis(2);

/// A member of a Kafka consumer group. It is polled, and dropped, on one thread.
pub(super) struct KafkaConsumer {
    cluster: Arc<Cluster>,
    member: Arc<Member>,
    held: Arc<Mutex<Holdings>>,
    topics: Vec<String>,
    waiting: VecDeque<Record>,
    /// When a record came last, and when the ends were looked at last.
    heard: Instant,
    looked: Instant,
    /// Whether something came since the ends were looked at.
    behind: bool,
    /// When the last poll ended.
    polled: Instant,
    passed: BTreeMap<TopicPartition, Passed>,
    orphans: Orphans,
    left: bool,
}

/// What came of listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Record,
    Event,
    Nothing,
}

impl KafkaConsumer {
    pub(super) fn join(
        cluster: Arc<Cluster>,
        subscription: Subscription,
        stage: Box<dyn Rebalance>,
    ) -> Result<Self> {
        let Subscription { group, topics, slot } = subscription;
        topics.iter().try_for_each(|topic| cluster.known.partitions(&cluster, topic).map(drop))?;
        let held = Arc::<Mutex<Holdings>>::default();
        let listener = Listener {
            ear: cluster.ear(),
            prefix: cluster.config.prefix.clone(),
            group: group.clone(),
            slot: slot.clone(),
            patience: REQUEST.min(cluster.config.session_timeout),
            stage: Mutex::new(stage),
            held: Arc::clone(&held),
            changed: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            failure: Mutex::default(),
            is_let_in: AtomicBool::new(false),
        };
        let doing = format!("joining the group {group:?}");
        let config = cluster.config.member(&group, &slot);
        let consumer = config.create_with_context::<_, BaseConsumer<Listener>>(listener);
        let consumer = cluster.made(consumer, &doing)?;
        subscribe(&cluster, &consumer, &topics, &doing)?;
        let place = (cluster.config.brokers.clone(), cluster.config.prefix.clone());
        let member = Member::enrol(group, slot, place, consumer, Arc::clone(&held));
        let now = Instant::now();
        Ok(Self {
            cluster,
            member,
            held,
            topics,
            waiting: VecDeque::new(),
            heard: now,
            looked: now,
            behind: true,
            polled: now,
            passed: BTreeMap::new(),
            orphans: Orphans::begin(),
            left: false,
        })
    }

    fn listener(&self) -> &Listener {
        self.member.consumer.context()
    }

    /// One event of the client: a record into the queue, a rebalance, an error that passes.
    fn hear(&mut self, longest: Duration) -> Result<Heard> {
        let record = match self.member.consumer.poll(whole_milliseconds(longest)) {
            // A rebalance comes back as nothing, too.
            None if self.listener().changed.load(Ordering::Relaxed) => return self.heard_of(Heard::Event),
            None => return self.heard_of(Heard::Nothing),
            Some(Ok(message)) => message::record(&self.cluster, &message),
            Some(Err(error)) => {
                self.fail(&error)?;
                return self.heard_of(Heard::Event);
            }
        };
        self.cluster.contact.works();
        (self.heard, self.behind) = (Instant::now(), true);
        let mut held = self.held.lock();
        // What comes of a partition that has just gone is its next owner's.
        if let Some(held) = held.get_mut(&record.at) {
            if held.position.is_some_and(|position| record.offset.0 < position.0) {
                return Err(Error::MadeAnew(record.at));
            }
            if let Some(from) = held.reset.take_if(|from| from.0 <= record.offset.0) {
                unread::tell(&record.at, from, NextOffset(record.offset.0));
            }
            held.position = Some(record.offset.next());
            self.waiting.push_back(Record { stored: record, assignment: held.assignment.clone() });
        }
        drop(held);
        self.heard_of(Heard::Record)
    }

    /// Unless the stage's listener has failed meanwhile.
    fn heard_of(&self, heard: Heard) -> Result<Heard> {
        let failure = self.listener().failure.lock().take();
        failure.map_or(Ok(heard), Err)
    }

    /// Most errors pass by themselves: librdkafka goes on trying.
    fn fail(&mut self, error: &KafkaError) -> Result<()> {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        match code {
            Code::FencedInstanceId => {
                self.lose_all();
                Err(Error::Fenced { slot: self.member.membership.slot.clone() })
            }
            Code::UnknownTopicOrPartition | Code::UnknownTopic => {
                self.cluster.known.forget();
                let topics = self.topics.join(", ");
                let cause = format!(
                    "a topic that was being read has gone, of: {topics}; `autorma topics create` makes it"
                );
                Err(Error::Storage { place: self.cluster.place(), cause })
            }
            Code::PollExceeded | Code::NoOffset => Ok(()),
            code if errors::is_of_the_group(code) => Ok(()),
            code if errors::is_passing(code) => match errors::of_code(&self.cluster, "reading", code) {
                error @ (Error::Credentials { .. } | Error::Insecure { .. }) => {
                    tracing::debug!(%error, "a connection was refused");
                    Ok(())
                }
                _ => Ok(()),
            },
            code => Err(errors::of_code(&self.cluster, "reading", code)),
        }
    }

    /// Whether partitions came or went since the last look. Those of a fenced member went for good.
    fn rebalanced(&mut self) -> Result<bool> {
        let changed = self.listener().changed.swap(false, Ordering::Relaxed);
        if changed {
            if let Some((code, _)) = self.member.consumer.client().fatal_error() {
                return self.fail(&KafkaError::Global(code)).map(|()| true);
            }
            // What has gone may be back already, to be read again.
            self.waiting.retain(|record| record.assignment.is_alive());
        }
        Ok(changed)
    }

    fn lose_all(&mut self) {
        let held: Vec<_> = self.held.lock().keys().cloned().collect();
        self.waiting.clear();
        self.listener().revoke(&held, true);
    }

    /// What waits, within the limit, as records of living assignments.
    fn take(&mut self, limit: PollLimit, taken: &mut Vec<Record>, bytes: &mut usize) -> bool {
        while let Some(Record { stored: next, .. }) = self.waiting.front() {
            let size = next.size();
            let has_room = taken.len() < limit.records
                && (taken.is_empty() || *bytes + size <= limit.bytes)
                && limit.bytes > 0;
            if !has_room {
                return false;
            }
            *bytes += size;
            taken.extend(self.waiting.pop_front());
        }
        taken.len() < limit.records
    }

    fn is_full(&self) -> bool {
        let bytes = || self.waiting.iter().map(|record| record.stored.value.len()).sum::<usize>();
        self.waiting.len() >= WAITING || bytes() >= WAITING_BYTES
    }

    /// Keeps what waits from growing: while the stage has no room, nothing more is fetched.
    fn pause(&mut self, pause: bool) -> Result<()> {
        let consumer = &self.member.consumer;
        if self.listener().paused.swap(pause, Ordering::Relaxed) == pause {
            return Ok(());
        }
        let done = consumer.assignment().and_then(|all| match pause {
            true => consumer.pause(&all),
            false => consumer.resume(&all),
        });
        self.cluster.made(done, if pause { "pausing" } else { "going on" })
    }

    /// Asks the group again where it couldn't say at the assignment where it continues. Maybe nothing will ever come of
    /// those partitions that would tell.
    fn locate(&self) {
        let mut unknown = TopicPartitionList::new();
        for (at, _) in self.held.lock().iter().filter(|(_, held)| held.position.is_none()) {
            unknown.add_partition(&self.cluster.config.full(&at.topic), at.partition);
        }
        if unknown.count() == 0 {
            return;
        }
        let committed = self.listener().committed(&self.member.consumer, &unknown);
        let mut held = self.held.lock();
        for (at, group) in committed {
            if let Some(held) = held.get_mut(&at) {
                held.position = Some(group.unwrap_or(NextOffset::START));
                held.committed = held.committed.max(group);
            }
        }
    }

    /// Partitions end behind their last record: markers of transactions stand there too. When a partition is quiet, and
    /// its end further than the last record, and nothing lies between, then it was passed.
    fn look_behind(&mut self) {
        let due = if self.behind { QUIET } else { SELDOM };
        if self.heard.elapsed() < QUIET || self.looked.elapsed() < due || !self.waiting.is_empty() {
            return;
        }
        self.looked = Instant::now();
        self.locate();
        let config = &self.cluster.config;
        let held = self.held.lock();
        let positions = held.iter().filter_map(|(at, held)| Some((at.clone(), held.position?)));
        let positions: Vec<_> = positions.collect();
        drop(held);
        let all = positions.iter().map(|(at, _)| (config.full(&at.topic), at.partition));
        let Ok(ends) = offsets::ends(&self.cluster, &self.cluster.asking, all, KafkaOffset::End) else {
            return;
        };
        self.behind = false;
        let mut beyond = BTreeMap::<String, BTreeMap<i32, (NextOffset, NextOffset)>>::new();
        for ((at, position), (_, end)) in positions.into_iter().zip(ends) {
            if end > position {
                beyond.entry(at.topic).or_default().insert(at.partition, (position, end));
            }
        }
        for (topic, partitions) in beyond {
            // What isn't exhausted is about to come.
            let exhausted =
                self.cluster.reader.exhausted(&self.cluster, &topic, &partitions).unwrap_or_default();
            self.behind |= exhausted.len() < partitions.len();
            for (partition, (position, end)) in partitions {
                let at = TopicPartition::new(topic.as_str(), partition);
                if exhausted.contains(&partition)
                    && let Some(held) =
                        self.held.lock().get_mut(&at).filter(|held| held.position == Some(position))
                {
                    if let Some(from) = held.reset.take() {
                        unread::tell(&at, from, end);
                    }
                    held.position = Some(end);
                    self.passed.insert(at, Passed { next: end, assignment: held.assignment.clone() });
                }
            }
        }
    }

    /// Polls until the limit, the end of the wait, or a rebalance.
    fn poll_on(&mut self, limit: PollLimit, wait: Duration, begun: Instant) -> Result<Vec<Record>> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        if limit.records == 0 || limit.bytes == 0 {
            self.pause(self.is_full())?;
            loop {
                // Events that are nobody's business end a call without any time.
                let heard = self.hear(wait.saturating_sub(begun.elapsed()).max(GLANCE))?;
                self.rebalanced()?;
                if heard == Heard::Nothing || self.is_full() {
                    return Ok(taken);
                }
            }
        }
        self.pause(false)?;
        while self.take(limit, &mut taken, &mut bytes) {
            let rest = wait.saturating_sub(begun.elapsed());
            let rest = if taken.is_empty() { rest } else { Duration::ZERO };
            // The look behind must come in between.
            let heard = self.hear(if self.behind { rest.min(QUIET) } else { rest })?;
            if self.rebalanced()? {
                if !taken.is_empty() {
                    self.listener().changed.store(true, Ordering::Relaxed);
                }
                break;
            }
            if heard == Heard::Nothing {
                if !taken.is_empty() || rest.is_zero() {
                    break;
                }
                self.look_behind();
            }
        }
        taken.retain(|record: &Record| record.assignment.is_alive());
        Ok(taken)
    }
}

fn subscribe(
    cluster: &Cluster,
    consumer: &BaseConsumer<Listener>,
    topics: &[String],
    doing: &str,
) -> Result<()> {
    let names: Vec<_> = topics.iter().map(|topic| cluster.config.full(topic)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    cluster.made(consumer.subscribe(&names), doing)
}

/// Rounded up: rdkafka waits for the rest of a millisecond without pausing.
fn whole_milliseconds(time: Duration) -> Duration {
    Duration::from_millis(time.as_nanos().div_ceil(1_000_000) as u64)
}

impl Consumer for KafkaConsumer {
    fn poll(&mut self, limit: PollLimit, wait: Duration) -> Result<Vec<Record>> {
        let begun = Instant::now();
        if begun - self.polled > self.cluster.config.session_timeout * 2 {
            // The group has thrown this member out, and it is about to hear of it piece by piece, or never.
            self.lose_all();
            if !self.come_back()? {
                // The next poll is late, too, and goes on with it.
                return Ok(Vec::new());
            }
        }
        if self.orphans.are_left(&self.cluster, &self.member.membership, &self.topics) {
            self.join_again("partitions are nobody's")?;
        }
        let polled = self.poll_on(limit, wait, begun);
        self.polled = Instant::now();
        polled
    }

    fn passed(&mut self) -> BTreeMap<TopicPartition, Passed> {
        let mut passed = std::mem::take(&mut self.passed);
        // What was taken away, and perhaps given back, since then starts elsewhere.
        passed.retain(|_, passed| passed.assignment.is_alive());
        passed
    }

    fn membership(&self) -> Membership {
        self.member.membership.clone()
    }

    fn leave(mut self: Box<Self>) -> Result<()> {
        self.depart();
        Ok(())
    }
}

impl Drop for KafkaConsumer {
    /// A member that is dropped leaves, so that the others needn't wait for its session to end.
    fn drop(&mut self) {
        if !self.left && !std::thread::panicking() {
            self.depart();
        }
    }
}
