use autorma_schemas::{
    Agreement, DeadLetter, DecodeError, Event, Micros, ModelVersion, Origin, Prediction, hex, topics,
};
use autorma_stream::StoredRecord;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

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

/// What tells an image event from all others in its run: 128 bits, so that the ids of a large run stay in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) u128);

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

impl Id {
    /// An event's id is its own 128 bits if it is one of ours, 32 hexadecimal digits, and a hash otherwise.
    fn of(event_id: &str) -> Self {
        let is_ours =
            event_id.len() == 32 && event_id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let ours = is_ours.then(|| u128::from_str_radix(event_id, 16).ok()).flatten();
        Self(ours.unwrap_or_else(|| hash(event_id)))
    }

    /// A record that isn't an image event has no id; its place in the log is one.
    fn of_record(origin: &Origin) -> Self {
        Self(hash(&format!("{}-{}@{}", origin.topic, origin.partition, origin.offset)))
    }
}

fn hash(text: &str) -> u128 {
    let digest = Sha256::digest(text);
    digest.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0.to_be_bytes()))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        u128::from_str_radix(&digits, 16).map(Self).map_err(serde::de::Error::custom)
    }
}
