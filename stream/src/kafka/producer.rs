mod attempt;
mod end;
mod undoing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientContext, config::RDKafkaLogLevel};

use super::contact::Ear;
use super::figures::Figures;
use super::members::Member;
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

impl Drop for KafkaProducer {
    /// A thread that asks for offsets may hold its client still.
    fn drop(&mut self) {
        self.client.context().0.leave();
    }
}
