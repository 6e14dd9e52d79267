//! What the results file says of an image: the contract's keys first, in its order, then those that autorma adds.

use std::collections::BTreeMap;

use autorma_schemas::{
    ClassProbability, DeadLetter, Decision, ModelVersion, Origin, Prediction, readable_url,
};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

#[derive(Debug, Serialize)]
pub(crate) struct PredictionEntry<'a> {
    image_name: &'a str,
    image_path: String,
    predicted_class: &'a str,
    confidence: f64,
    probabilities: Probabilities<'a>,
    batch_number: i64,
    processed_at: String,
    decision: Decision,
    unknown_probability: f64,
    event_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_uri: Option<&'a str>,
    sha256: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
    model: &'a ModelVersion,
    origin: &'a Origin,
}

impl<'a> PredictionEntry<'a> {
    pub(crate) fn of(it: &'a Prediction) -> Self {
        Self {
            image_name: &it.name,
            image_path: image_path(it.uri.as_deref(), &it.name),
            predicted_class: &it.predicted_class,
            confidence: it.confidence,
            probabilities: Probabilities(&it.probabilities),
            batch_number: it.batch_number,
            processed_at: it.processed_at.iso(),
            decision: it.decision,
            unknown_probability: it.unknown_probability,
            event_id: &it.event_id,
            image_uri: it.uri.as_deref(),
            sha256: &it.sha256,
            attributes: &it.attributes,
            model: &it.model,
            origin: &it.origin,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct FailedEntry<'a> {
    image_name: String,
    batch_number: i64,
    error: String,
    timestamp: String,
    reason: &'a str,
    image_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
    origin: &'a Origin,
}

impl<'a> FailedEntry<'a> {
    pub(crate) fn of(it: &'a DeadLetter) -> Self {
        // A record that isn't an image event has no name either.
        let name = if it.name.is_empty() { it.origin.to_string() } else { it.name.clone() };
        let error = match &*it.message {
            "" => it.reason.clone(),
            message => format!("{}: {message}", it.reason),
        };
        Self {
            image_path: image_path(it.uri.as_deref(), &name),
            image_name: name,
            batch_number: it.batch_number,
            error,
            timestamp: it.failed_at.iso(),
            reason: &it.reason,
            event_id: it.event_id.as_deref(),
            image_uri: it.uri.as_deref(),
            attributes: &it.attributes,
            origin: &it.origin,
        }
    }
}

/// Where the photo is, for people; the name if it came with its event.
fn image_path(uri: Option<&str>, name: &str) -> String {
    uri.map_or_else(|| name.to_owned(), readable_url)
}

/// Written as an object, in the order of the model's classes.
#[derive(Debug)]
struct Probabilities<'a>(&'a [ClassProbability]);

impl Serialize for Probabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for class in self.0 {
            map.serialize_entry(&class.label, &class.probability)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::image_path;

    #[test]
    fn a_path_is_what_people_can_open() {
        assert_eq!(image_path(Some("file:///in/a%20b.jpg"), "a b.jpg"), "/in/a b.jpg");
        assert_eq!(image_path(None, "inline.jpg"), "inline.jpg");
    }
}
