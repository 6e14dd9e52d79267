use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Event, Micros};

/// What the model says of one image event. Schema: `schemas/avro/v2/prediction.avsc`, which documents each field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Prediction {
    pub event_id: String,
    pub run_id: Option<String>,
    pub sequence: i64,
    pub batch_number: i64,
    pub source: String,
    pub name: String,
    pub uri: Option<String>,
    pub sha256: String,
    pub attributes: BTreeMap<String, String>,
    pub predicted_class: String,
    pub confidence: f64,
    pub probabilities: Vec<ClassProbability>,
    pub unknown_probability: f64,
    pub decision: Decision,
    pub model: ModelVersion,
    pub origin: Origin,
    pub seen_at: Micros,
    pub processed_at: Micros,
    pub arm: Option<String>,
    pub shadow: Option<Shadow>,
}

impl Event for Prediction {
    const SCHEMAS: &'static [&'static str] =
        &[include_str!("../avro/v1/prediction.avsc"), include_str!("../avro/v2/prediction.avsc")];
}

/// What a version that isn't published says of the same picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Shadow {
    pub predicted_class: String,
    pub confidence: f64,
    pub unknown_probability: f64,
    pub decision: Decision,
    pub model: ModelVersion,
}

/// How what a shadow says relates to what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// The same class and decision, however sure each is; or both unknown, whatever classes come next.
    Same,
    /// The same class, to be treated otherwise.
    OtherDecision,
    /// Another class.
    OtherClass,
}

impl Agreement {
    /// Every one, in the order of reports.
    pub const ALL: [Agreement; 3] = [Agreement::Same, Agreement::OtherDecision, Agreement::OtherClass];

    /// As it is written in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Agreement::Same => "same",
            Agreement::OtherDecision => "other_decision",
            Agreement::OtherClass => "other_class",
        }
    }

    /// Of two verdicts, each a class and what to do.
    pub fn of(one: (&str, Decision), other: (&str, Decision)) -> Self {
        let are_unknown = [one.1, other.1] == [Decision::Unknown; 2];
        match (one.0 == other.0 || are_unknown, one.1 == other.1) {
            (true, true) => Agreement::Same,
            (true, false) => Agreement::OtherDecision,
            (false, _) => Agreement::OtherClass,
        }
    }
}

impl Shadow {
    /// Whether it says the same as what is published, a class and what to do.
    pub fn agreement(&self, published: (&str, Decision)) -> Agreement {
        Agreement::of((&self.predicted_class, self.decision), published)
    }
}

/// One class and its calibrated probability, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ClassProbability {
    pub label: String,
    pub probability: f64,
}

/// What the warehouse should do with a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Trust it.
    Accept,
    /// Send it to a person.
    Review,
    /// None of the model's classes.
    Unknown,
}

impl Decision {
    /// Every decision, in the order of reports.
    pub const ALL: [Decision; 3] = [Decision::Accept, Decision::Review, Decision::Unknown];

    /// The decision as it is written in files and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Accept => "accept",
            Decision::Review => "review",
            Decision::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The model that made a prediction: `sha256` is that of its ONNX file; of an ensemble, that of its members' ones, a line each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ModelVersion {
    pub name: String,
    pub version: String,
    pub sha256: String,
}

/// Where the image event stood in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Origin {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}@{}", self.topic, self.partition, self.offset)
    }
}

/// The contract's batch number: images of a run in groups of `batch_size`, both from 1. Images that weren't
/// numbered by their producer (`sequence` 0) are in batch 1.
pub fn batch_number(sequence: i64, batch_size: usize) -> i64 {
    sequence.saturating_sub(1).max(0) / (batch_size.max(1) as i64) + 1
}

#[cfg(test)]
mod tests {
    use super::{Agreement, Decision, batch_number};

    #[test]
    fn two_that_say_unknown_say_the_same() {
        use Decision::{Accept, Review, Unknown};
        let of = |one: (&str, Decision), other: (&str, Decision)| Agreement::of(one, other);
        assert_eq!(of(("tops", Unknown), ("shirts", Unknown)), Agreement::Same);
        assert_eq!(of(("tops", Accept), ("tops", Accept)), Agreement::Same);
        assert_eq!(of(("tops", Unknown), ("tops", Review)), Agreement::OtherDecision);
        for other in [Accept, Review] {
            assert_eq!(of(("tops", Unknown), ("shirts", other)), Agreement::OtherClass);
            assert_eq!(of(("tops", other), ("shirts", other)), Agreement::OtherClass);
        }
    }

    #[test]
    fn ten_images_are_a_batch() {
        let numbers: Vec<_> = [i64::MIN, 0, 1, 10, 11, 20, 21].map(|s| batch_number(s, 10)).into();
        assert_eq!(numbers, [1, 1, 1, 1, 2, 2, 3]);
    }
}
