use std::sync::{Arc, mpsc};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

use super::{FULL, KafkaProducer, STEP};
use crate::kafka::members::Permit;
use crate::kafka::{REQUEST, errors};
use crate::{Append, Transaction, failpoint};

/// Why a transaction isn't known to be committed.
#[derive(Debug)]
pub(super) enum Failure {
    /// What librdkafka says.
    Kafka(KafkaError),
    /// Whoever uses the cluster is to end.
    GivenUp,
    /// Nobody has said whether it was done, and its time is over.
    Unanswered,
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Failure::Kafka(error)
    }
}

impl KafkaProducer {
    /// Begins a transaction, sends what is in it, and commits it.
    pub(super) fn attempt(&self, transaction: &Transaction, permit: Option<&Permit>) -> Result<(), Failure> {
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
    pub(super) fn insist<E>(&self, step: impl Fn() -> Result<(), E>) -> Result<(), Failure>
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
