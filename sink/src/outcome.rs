use autorma_schemas::{
    Agreement, DeadLetter, DecodeError, Event, Id, Micros, ModelVersion, Prediction, topics,
};
use autorma_stream::StoredRecord;
use serde::Serialize;

use crate::Error;
use crate::entry::{FailedEntry, PredictionEntry};

/// What became of an image event, as it goes into a part.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) id: Id,
    /// The run that it names.
    pub(crate) run_id: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) seen_at: Micros,
    /// When it was made.
    pub(crate) done_at: Micros,
    /// Its line of a part, without the end of line.
    pub(crate) line: Vec<u8>,
}

/// The two kinds of outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Prediction,
    DeadLetter,
}

/// What a line begins with; the entry of the results file follows, under the name of its kind. What only the summary is
/// made of stands here: the results file is a contract.
#[derive(Debug, Serialize)]
struct Head<'a> {
    id: Id,
    sequence: i64,
    seen_at: Micros,
    done_at: Micros,
    #[serde(skip_serializing_if = "Option::is_none")]
    arm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<Agreement>,
    /// Which version said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow_model: Option<&'a ModelVersion>,
}

impl Outcome {
    /// The outcome in a record; None, and a line in the log, if no autorma can ever read it.
    pub(crate) fn read(record: &StoredRecord) -> Result<Option<Self>, Error> {
        let decoded = match &*record.at.topic {
            topics::PREDICTIONS => Prediction::decode(&record.value).map(Self::prediction),
            _ => DeadLetter::decode(&record.value).map(Self::dead_letter),
        };
        readable(record, decoded)
    }

    fn prediction(it: Prediction) -> Self {
        let head = Head {
            id: Id::of(&it.event_id),
            sequence: it.sequence,
            seen_at: it.seen_at,
            done_at: it.processed_at,
            arm: it.arm.as_deref(),
            shadow: it.shadow.as_ref().map(|shadow| shadow.agreement((&it.predicted_class, it.decision))),
            shadow_model: it.shadow.as_ref().map(|shadow| &shadow.model),
        };
        let (id, seen_at, done_at) = (head.id, head.seen_at, head.done_at);
        let line = line(&head, Kind::Prediction, &PredictionEntry::of(&it));
        Self { id, run_id: named(it.run_id), kind: Kind::Prediction, seen_at, done_at, line }
    }

    fn dead_letter(it: DeadLetter) -> Self {
        let id = it.event_id.as_deref().map_or_else(|| Id::of_record(&it.origin), Id::of);
        let (seen_at, done_at) = (it.seen_at, it.failed_at);
        let head =
            Head { id, sequence: it.sequence, seen_at, done_at, arm: None, shadow: None, shadow_model: None };
        let line = line(&head, Kind::DeadLetter, &FailedEntry::of(&it));
        Self { id, run_id: named(it.run_id), kind: Kind::DeadLetter, seen_at, done_at, line }
    }
}

/// What a record holds. One that follows no schema of ours will never be readable and is passed over; one of a newer
/// schema stops the sink, since a newer autorma can read it.
pub(crate) fn readable<T>(
    record: &StoredRecord,
    decoded: Result<T, DecodeError>,
) -> Result<Option<T>, Error> {
    match decoded {
        Ok(event) => Ok(Some(event)),
        Err(DecodeError::UnknownSchema) => {
            Err(Error::Newer { at: record.at.clone(), offset: record.offset.0 })
        }
        Err(error) => {
            tracing::error!(partition = %record.at, offset = record.offset.0, %error, "passed over a record");
            Ok(None)
        }
    }
}

/// An empty name is none.
fn named(run_id: Option<String>) -> Option<String> {
    run_id.filter(|id| !id.is_empty())
}

fn line(head: &Head<'_>, kind: Kind, entry: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(head).expect("numbers and digits are JSON");
    line.pop();
    line.extend_from_slice(kind.separator());
    serde_json::to_writer(&mut line, entry).expect("entries have text for keys");
    line.push(b'}');
    line
}

impl Kind {
    /// What stands between a line's head and its entry.
    pub(crate) fn separator(self) -> &'static [u8] {
        match self {
            Kind::Prediction => b",\"prediction\":",
            Kind::DeadLetter => b",\"dead_letter\":",
        }
    }
}
