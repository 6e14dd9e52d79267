mod end;

use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};
use rdkafka::{ClientContext, config::RDKafkaLogLevel};

use super::contact::Ear;
use super::figures::Figures;
use super::members::{Member, Permit};
use super::polled::Polled;
use super::{Cluster, REQUEST, errors};
use crate::bell::Bell;
use crate::{Append, Error, Producer, Result, TopicPartition, Transaction, failpoint};
use end::End;

/// How long one call for the end of a transaction may take, before anybody looks whether to go on.
const STEP: Duration = Duration::from_secs(1);
/// The pause when librdkafka's queue is full.
const FULL: Duration = Duration::from_millis(2);
/// How long a commit waits for a rebalance that is under way.
const REBALANCE: Duration = Duration::from_secs(1);

/// The transactional producer of a slot.
pub(super) struct KafkaProducer {
    cluster: Arc<Cluster>,
    slot: String,
    client: Polled<Delivery>,
    delivered: Arc<Bell>,
    /// Why it can't be used any more.
    end: Option<End>,
}

/// Deliveries that fail make the transaction fail, which tells it. Each rings the bell.
struct Delivery(Ear, Arc<Bell>);

impl ClientContext for Delivery {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.0.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.0.stats(statistics);
    }
}

impl ProducerContext for Delivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.1.ring();
        if let Err((error, _)) = result {
            tracing::debug!(%error, "a record wasn't delivered");
        }
    }
}

impl KafkaProducer {
    /// Takes the slot: whatever an earlier producer of it has begun is undone, and it is fenced.
    pub(super) fn open(cluster: Arc<Cluster>, slot: &str) -> Result<Self> {
        let config = cluster.config.producer(slot);
        let delivered = Arc::new(Bell::default());
        let client = Polled::new(&config, Delivery(cluster.ear(), Arc::clone(&delivered)));
        let doing = format!("taking the slot {slot:?}");
        let client = cluster.made(client, &doing)?;
        let begun = Instant::now();
        // Without a connection there is nobody to ask for the coordinator, and librdkafka asks again half a second later.
        drop(client.client().fetch_metadata(Some(&cluster.config.full("reach")), cluster.patience()));
        loop {
            match client.init_transactions(STEP) {
                Ok(()) => break,
                Err(error) if cluster.is_in_a_hurry() => {
                    tracing::debug!(%error, "no slot was taken");
                    return Err(cluster.given_up());
                }
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                    if begun.elapsed() > REQUEST * 4 {
                        return Err(errors::of_code(&cluster, &doing, error.code()));
                    }
                }
                Err(error) => return cluster.check(Err(error), &doing),
            }
        }
        cluster.contact.works();
        Ok(Self { cluster, slot: slot.to_owned(), client, delivered, end: None })
    }

    /// Everything is there that the records go to.
    fn expect(&self, appends: &[Append]) -> Result<()> {
        let known = &self.cluster.known;
        let topics: BTreeSet<_> = appends.iter().map(|append| append.topic.as_str()).collect();
        topics.into_iter().try_for_each(|topic| known.partitions(&self.cluster, topic).map(drop))?;
        let chosen = appends.iter().filter_map(|append| Some((append, append.partition?)));
        for (append, partition) in chosen {
            known.expect(&self.cluster, &TopicPartition::new(append.topic.as_str(), partition))?;
        }
        Ok(())
    }

    fn send(&self, append: &Append) -> Result<(), KafkaError> {
        let topic = self.cluster.config.full(&append.topic);
        let mut headers = OwnedHeaders::new_with_capacity(append.headers.len());
        for (key, value) in &append.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut record = BaseRecord::<'_, [u8], [u8]>::to(&topic).payload(&append.value);
        record.key = append.key.as_deref();
        record.partition = append.partition;
        if !append.headers.is_empty() {
            record = record.headers(headers);
        }
        loop {
            match self.client.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), same)) => {
                    record = same;
                    std::thread::sleep(FULL);
                }
                Err((KafkaError::MessageProduction(Code::State), _)) => return Err(self.failed()),
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Why the transaction takes no more records: it has failed while they were sent. librdkafka says it to
    /// whoever would begin another.
    fn failed(&self) -> KafkaError {
        self.client.begin_transaction().err().unwrap_or(KafkaError::MessageProduction(Code::State))
    }

    /// Until everything that was sent is acknowledged, or a step is over. rdkafka's own wait, inside its commit, sleeps for
    /// 100 ms each time: measured, 107 ms a transaction.
    fn wait_for_deliveries(&self) {
        let begun = Instant::now();
        while self.client.in_flight_count() > 0 && begun.elapsed() < STEP {
            let heard = self.delivered.heard();
            if self.client.in_flight_count() > 0 {
                // The last one still counts while its ring is heard.
                self.delivered.wait(heard, Duration::from_millis(1));
            }
        }
    }

    /// What `step` does, again and again while that may help. A commit whose answer was lost is asked for until the
    /// answer comes: nobody else can know whether it has happened. Only when none comes for longer than the cluster lets
    /// any transaction live, this producer has lost its way, and who takes the slot next will be told what is so.
    fn insist<E>(&self, step: impl Fn() -> Result<(), E>) -> Result<(), Failure>
    where
        Failure: From<E>,
    {
        let (begun, mut told) = (Instant::now(), false);
        loop {
            match step().map_err(Failure::from) {
                Ok(()) => return Ok(()),
                Err(failure) if self.cluster.is_in_a_hurry() => {
                    tracing::debug!(?failure, "a transaction was left as it is");
                    return Err(Failure::GivenUp);
                }
                Err(Failure::Kafka(error)) if is_passing(&error) => {
                    let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                    if errors::is_passing(code) && code != Code::ConcurrentTransactions {
                        self.cluster.contact.failed();
                    }
                    if !told && begun.elapsed() > REQUEST {
                        told = true;
                        tracing::warn!(slot = self.slot, %error, "a transaction has had no answer for a while: it is asked for again");
                    }
                    if begun.elapsed() > self.cluster.config.transaction_timeout + REQUEST * 4 {
                        return Err(Failure::Unanswered);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The offsets of a group go into the transaction. librdkafka knows no time there: where the group's coordinator has
    /// left the cluster's metadata for a moment, it waits for something else to happen, which may be never (its issues
    /// 5456 and 5511). So it is asked on another thread, which is left to itself, with its client, when the transaction has
    /// no time left.
    ///
    /// Offsets whose fate isn't known may arrive late, and would be taken for those of whatever transaction this producer
    /// has begun by then: the group would go back. So this producer begins none any more; its successor's are told apart
    /// by their epoch.
    fn send_offsets(
        &self,
        offsets: &Arc<TopicPartitionList>,
        metadata: &Arc<ConsumerGroupMetadata>,
    ) -> Result<(), Failure> {
        let (tell, told) = mpsc::channel();
        let (client, offsets, metadata) = (self.client.shared(), Arc::clone(offsets), Arc::clone(metadata));
        let longest = self.cluster.config.transaction_timeout;
        let ask = move || {
            // Nobody listens when it took too long.
            drop(tell.send(client.send_offsets_to_transaction(&offsets, &metadata, longest)));
        };
        let thread = Builder::new().name("offsets".into()).spawn(ask);
        thread.map_err(|error| {
            tracing::error!(%error, "no thread can be started");
            Failure::Unanswered
        })?;
        let begun = Instant::now();
        while begun.elapsed() < longest {
            match told.recv_timeout(STEP) {
                Ok(Err(KafkaError::Transaction(error))) if is_unanswered(&error) => break,
                Ok(done) => return done.map_err(Failure::Kafka),
                Err(_) if self.cluster.is_in_a_hurry() => return Err(Failure::GivenUp),
                Err(_) => {}
            }
        }
        tracing::warn!(
            slot = self.slot,
            "the group's coordinator was lost: the slot's producer is exchanged"
        );
        Err(Failure::Unanswered)
    }

    fn attempt(&self, transaction: &Transaction, permit: Option<&Permit>) -> Result<(), Failure> {
        self.client.begin_transaction()?;
        transaction.appends.iter().try_for_each(|append| self.send(append))?;
        if let Some(permit) = permit.filter(|permit| !permit.offsets.is_empty()) {
            let mut list = TopicPartitionList::with_capacity(permit.offsets.len());
            for (at, next) in &permit.offsets {
                let topic = self.cluster.config.full(&at.topic);
                list.add_partition_offset(&topic, at.partition, KafkaOffset::Offset(next.0))?;
            }
            let list = Arc::new(list);
            self.insist(|| self.send_offsets(&list, &permit.metadata))?;
        }
        self.wait_for_deliveries();
        failpoint::hit("log-before-commit");
        self.insist(|| self.client.commit_transaction(STEP))
    }

    /// Undoes what was begun, and says what it was for.
    fn undo(&mut self, failure: Failure, begun: Instant, transaction: &Transaction) -> Error {
        let error = match failure {
            Failure::GivenUp => return self.cluster.given_up(),
            Failure::Unanswered => return self.finish(Code::OperationTimedOut, begun),
            Failure::Kafka(error) => error,
        };
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        tracing::debug!(%error, ?code, slot = self.slot, "undoing a transaction");
        if let Some(code) = self.fatal() {
            return self.finish(code, begun);
        }
        match self.insist(|| self.client.abort_transaction(STEP)) {
            Ok(()) => Figures::count(&self.cluster.figures.aborted),
            Err(Failure::GivenUp) => return self.cluster.given_up(),
            Err(Failure::Kafka(_) | Failure::Unanswered) => {
                // Whether another has taken the slot since it was forgotten is told only now.
                let rival = self.fatal().filter(|_| errors::is_forgotten(code));
                return self.finish(rival.unwrap_or(code), begun);
            }
        }
        let first = transaction.advance.iter().flat_map(|advance| advance.offsets.keys()).next();
        match (code, first) {
            (code, _) if errors::is_forgotten(code) => self.renew(),
            (code, Some(at)) if errors::is_of_the_group(code) => self.of_the_group(code, at),
            (Code::MessageSizeTooLarge, _) => too_large(transaction),
            (Code::UnknownTopicOrPartition | Code::UnknownPartition, _) => {
                self.cluster.known.forget();
                Error::Busy(format!("a topic isn't there: {code}"))
            }
            _ => errors::of_code(&self.cluster, "writing", code),
        }
    }

    /// The group has moved on. Where the partition is still this member's, the next try carries the new generation.
    fn of_the_group(&self, code: Code, at: &TopicPartition) -> Error {
        match code {
            Code::RebalanceInProgress | Code::IllegalGeneration => {
                Error::Busy(format!("the group is rebalancing, {at} among others"))
            }
            _ => Error::AssignmentEnded(at.clone()),
        }
    }

    /// Why librdkafka has given the producer up.
    fn fatal(&self) -> Option<Code> {
        self.client.client().fatal_error().map(|(code, _)| code)
    }

    /// The cluster forgets a slot in which nothing was committed for a week
    /// (`transactional.id.expiration.ms`). Where it refuses records for that, librdkafka asks for a new
    /// producer's id; where it refuses offsets, it doesn't (`rdkafka_txnmgr.c`), and would be refused for
    /// ever. So the slot is taken anew.
    fn renew(&mut self) -> Error {
        match Self::open(Arc::clone(&self.cluster), &self.slot) {
            Ok(anew) => *self = anew,
            Err(error) => return error,
        }
        tracing::info!(slot = self.slot, "the cluster had forgotten the slot: it was taken anew");
        Error::Busy(format!("the cluster had forgotten the slot {:?}", self.slot))
    }

    /// The producer can't be used any more.
    fn finish(&mut self, code: Code, begun: Instant) -> Error {
        let end = End::of(code, begun.elapsed(), self.cluster.config.transaction_timeout);
        tracing::debug!(?code, ?end, slot = self.slot, "a producer has ended");
        if end == End::Fenced {
            Figures::count(&self.cluster.figures.fenced);
        }
        self.end = Some(end);
        self.ended(end)
    }

    fn ended(&self, end: End) -> Error {
        match end {
            End::Fenced => Error::Fenced { slot: self.slot.clone() },
            End::Expired => {
                Error::Expired { slot: self.slot.clone(), longest: self.cluster.config.transaction_timeout }
            }
        }
    }
}

impl Producer for KafkaProducer {
    fn commit(&mut self, transaction: &Transaction) -> Result<()> {
        if let Some(end) = self.end {
            return Err(self.ended(end));
        }
        self.expect(&transaction.appends)?;
        let begun = Instant::now();
        loop {
            match self.once(transaction) {
                // The group went on to its next generation, perhaps without touching these partitions.
                Err(Error::Busy(_)) if begun.elapsed() < REBALANCE => std::thread::sleep(FULL * 5),
                result => return result,
            }
        }
    }
}

impl KafkaProducer {
    fn once(&mut self, transaction: &Transaction) -> Result<()> {
        let mut member = None;
        let mut permit = None;
        if let Some(advance) = &transaction.advance {
            let ended = || advance.offsets.keys().next().cloned().map(Error::AssignmentEnded);
            let Some(found) = Member::of(&advance.membership) else {
                return ended().map_or(Ok(()), Err);
            };
            permit = Some(found.permit(advance, !transaction.appends.is_empty())?);
            member = Some(found);
        }
        let moves = permit.as_ref().is_some_and(|permit| !permit.offsets.is_empty());
        if transaction.appends.is_empty() && !moves {
            return Ok(());
        }
        let begun = Instant::now();
        if let Err(failure) = self.attempt(transaction, permit.as_ref()) {
            return Err(self.undo(failure, begun, transaction));
        }
        failpoint::hit("log-after-commit");
        self.cluster.contact.works();
        Figures::count(&self.cluster.figures.committed);
        if let (Some(member), Some(permit)) = (member, permit) {
            member.committed(&permit.offsets);
        }
        Ok(())
    }
}

impl Drop for KafkaProducer {
    /// A thread that asks for offsets may hold its client still.
    fn drop(&mut self) {
        self.client.context().0.leave();
    }
}

#[derive(Debug)]
enum Failure {
    Kafka(KafkaError),
    GivenUp,
    Unanswered,
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Failure::Kafka(error)
    }
}

/// Whether the same step may do it later: also while records are on their way, which give up by themselves when the
/// transaction has no time left (`message.timeout.ms`).
fn is_passing(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !error.txn_requires_abort(),
        error => matches!(error, KafkaError::Flush(Code::OperationTimedOut)),
    }
}

/// Whether the offsets were sent and nobody said what became of them.
fn is_unanswered(error: &RDKafkaError) -> bool {
    error.txn_requires_abort() && errors::is_passing(error.code())
}

/// Which record it was isn't said: the largest.
fn too_large(transaction: &Transaction) -> Error {
    let largest = transaction.appends.iter().max_by_key(|append| append.value.len());
    let (topic, bytes) = largest.map_or((String::new(), 0), |it| (it.topic.clone(), it.value.len()));
    Error::TooLarge { topic, bytes }
}
