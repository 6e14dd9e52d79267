use std::sync::Arc;
use std::time::Instant;

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::Producer as _;

use super::attempt::Failure;
use super::end::End;
use super::{KafkaProducer, STEP};
use crate::kafka::errors;
use crate::kafka::figures::Figures;
use crate::{Error, TopicPartition, Transaction};

impl KafkaProducer {
    /// Undoes what was begun, and says what it was for.
    pub(super) fn undo(&mut self, failure: Failure, begun: Instant, transaction: &Transaction) -> Error {
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

    /// What whoever uses it all the same is told.
    pub(super) fn ended(&self, end: End) -> Error {
        match end {
            End::Fenced => Error::Fenced { slot: self.slot.clone() },
            End::Expired => {
                Error::Expired { slot: self.slot.clone(), longest: self.cluster.config.transaction_timeout }
            }
        }
    }
}

/// Which record it was isn't said: the largest.
fn too_large(transaction: &Transaction) -> Error {
    let largest = transaction.appends.iter().max_by_key(|append| append.value.len());
    let (topic, bytes) = largest.map_or((String::new(), 0), |it| (it.topic.clone(), it.value.len()));
    Error::TooLarge { topic, bytes }
}
