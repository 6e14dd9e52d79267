mod shrink;

use std::ops::Deref;

use autorma_models::Verdict;
use autorma_schemas::{
    DeadLetter, Event, HeaderValue, ImageEvent, Micros, ModelVersion, Origin, Prediction, Reason, Shadow,
    batch_number, topics,
};
use autorma_stream::{Append, Assignment, Offset, Record, StoredRecord, TopicPartition};

use self::shrink::{LARGEST, short, shrink};
use crate::trace::{Headers, carried};
use crate::{Failure, Picture};

pub(crate) use self::shrink::fits;

/// An image event whose picture is ready for the model.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) assignment: Assignment,
    pub(crate) origin: Origin,
    /// Without its bytes: the picture is made of them.
    pub(crate) event: ImageEvent,
    pub(crate) picture: Picture,
    /// Of its trace, for the outcome's record.
    pub(crate) trace: Headers,
}

/// What is said of an image, and by whom.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) verdict: Verdict,
    pub(crate) model: &'a ModelVersion,
    /// The arm that the image belongs to, where there is a split.
    pub(crate) arm: Option<&'a str>,
    /// What another version says, where there is one.
    pub(crate) shadow: Option<Shadow>,
}

/// An image event with its outcome.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) assignment: Assignment,
    pub(crate) at: TopicPartition,
    pub(crate) offset: Offset,
    pub(crate) outcome: Outcome,
}

/// What becomes of an image event.
#[derive(Debug)]
pub(crate) enum Outcome {
    Prediction(Box<Traced<Prediction>>),
    DeadLetter(Reason, Box<Traced<DeadLetter>>),
}

/// An event with the headers of its record.
#[derive(Debug)]
pub(crate) struct Traced<T> {
    event: T,
    trace: Headers,
}

impl<T> Deref for Traced<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.event
    }
}

impl Outcome {
    /// As it goes to its topic, keyed by the event.
    pub(crate) fn append(&self) -> Append {
        let (topic, key, value, trace) = match self {
            Outcome::Prediction(it) => {
                (topics::PREDICTIONS, Some(it.event_id.clone()), it.encode(), &it.trace)
            }
            Outcome::DeadLetter(_, it) => {
                let value = Some(it.encode()).filter(|value| value.len() <= LARGEST);
                let value = value.unwrap_or_else(|| shrink(it, LARGEST).encode());
                (topics::DEAD_LETTERS, it.event_id.clone(), value, &it.trace)
            }
        };
        let key = key.map(String::into_bytes);
        Append { topic: topic.into(), key, value, headers: trace.clone(), ..Append::default() }
    }

    /// Whether its image event stands in this partition.
    pub(crate) fn is_of(&self, at: &TopicPartition) -> bool {
        let origin = match self {
            Outcome::Prediction(it) => &it.origin,
            Outcome::DeadLetter(_, it) => &it.origin,
        };
        origin.partition == at.partition && origin.topic == at.topic
    }

    pub(crate) fn is_dead(&self) -> bool {
        matches!(self, Outcome::DeadLetter(..))
    }
}

impl Decoded {
    /// With what is said of it.
    pub(crate) fn predicted(self, said: Said<'_>, batch_size: usize) -> Finished {
        let Said { verdict, model, arm, shadow } = said;
        let event = self.event;
        let prediction = Prediction {
            event_id: event.event_id,
            run_id: event.run_id,
            sequence: event.sequence,
            batch_number: batch_number(event.sequence, batch_size),
            source: event.source,
            name: event.name,
            uri: event.uri,
            sha256: event.sha256,
            attributes: event.attributes,
            predicted_class: verdict.predicted_class,
            confidence: verdict.confidence,
            probabilities: verdict.probabilities,
            unknown_probability: verdict.unknown_probability,
            decision: verdict.decision,
            model: model.clone(),
            origin: self.origin.clone(),
            seen_at: event.seen_at,
            processed_at: Micros::now(),
            arm: arm.map(str::to_owned),
            shadow,
        };
        let outcome = Outcome::Prediction(Box::new(Traced { event: prediction, trace: self.trace }));
        finished(self.assignment, self.origin, outcome)
    }

    /// With the reason why there is no prediction.
    pub(crate) fn failed(self, failure: Failure, batch_size: usize) -> Finished {
        dead((self.assignment, self.origin, self.trace), self.event, failure, batch_size)
    }
}

/// The place of a record, as its outcome names it.
pub(crate) fn origin(stored: &StoredRecord) -> Origin {
    Origin { topic: stored.at.topic.clone(), partition: stored.at.partition, offset: stored.offset.0 }
}

/// An image event that can't be classified.
pub(crate) fn dead(
    (assignment, origin, trace): (Assignment, Origin, Headers),
    event: ImageEvent,
    failure: Failure,
    batch_size: usize,
) -> Finished {
    let letter = DeadLetter {
        event_id: Some(event.event_id),
        run_id: event.run_id,
        sequence: event.sequence,
        batch_number: batch_number(event.sequence, batch_size),
        source: event.source,
        name: event.name,
        uri: event.uri,
        sha256: event.sha256,
        attributes: event.attributes,
        seen_at: event.seen_at,
        ..blank(failure.message, failure.reason, origin.clone())
    };
    let letter = Traced { event: letter, trace };
    finished(assignment, origin, Outcome::DeadLetter(failure.reason, Box::new(letter)))
}

/// A record that isn't an image event: kept as it is.
pub(crate) fn unreadable(record: Record, message: String) -> Finished {
    let Record { stored, assignment } = record;
    let origin = origin(&stored);
    let trace = carried(&stored, None, &origin);
    let header = |(name, value): (String, Vec<u8>)| (name, HeaderValue(value));
    let letter = DeadLetter {
        raw: Some(stored.value),
        headers: stored.headers.into_iter().map(header).collect(),
        seen_at: Micros(stored.appended_at),
        ..blank(message, Reason::UnreadableEvent, origin.clone())
    };
    let letter = Traced { event: letter, trace };
    finished(assignment, origin, Outcome::DeadLetter(Reason::UnreadableEvent, Box::new(letter)))
}

fn blank(message: String, reason: Reason, origin: Origin) -> DeadLetter {
    DeadLetter {
        batch_number: 1,
        reason: reason.as_str().into(),
        message: short(message),
        origin,
        failed_at: Micros::now(),
        ..DeadLetter::default()
    }
}

fn finished(assignment: Assignment, origin: Origin, outcome: Outcome) -> Finished {
    let at = TopicPartition::new(origin.topic, origin.partition);
    Finished { assignment, at, offset: Offset(origin.offset), outcome }
}

#[cfg(test)]
mod tests;
