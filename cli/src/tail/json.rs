//! Records as one JSON object a line.

use std::collections::BTreeMap;

use autorma_schemas::{
    DeadLetter, Decision, ImageEvent, ModelVersion, Origin, Prediction, Shadow, readable_url, topics,
};
use autorma_stream::StoredRecord;
use serde::Serialize;
use serde_json::json;

use crate::inspect::Kept;
use crate::when::with_offset;

/// A prediction for scripts.
#[derive(Debug, Serialize)]
struct Predicted<'a> {
    event_id: &'a str,
    run_id: Option<&'a str>,
    name: &'a str,
    path: Option<String>,
    predicted_class: &'a str,
    confidence: f64,
    decision: Decision,
    probabilities: BTreeMap<&'a str, f64>,
    unknown_probability: f64,
    attributes: &'a BTreeMap<String, String>,
    source: &'a str,
    sha256: &'a str,
    model: &'a ModelVersion,
    origin: &'a Origin,
    seen_at: String,
    processed_at: String,
    arm: Option<&'a str>,
    shadow: Option<&'a Shadow>,
}

/// One object a line.
pub(super) fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers and text are JSON") + "\n"
}

/// A prediction's line.
pub(super) fn prediction(it: &Prediction) -> String {
    line(&Predicted {
        event_id: &it.event_id,
        run_id: it.run_id.as_deref(),
        name: &it.name,
        path: it.uri.as_deref().map(readable_url),
        predicted_class: &it.predicted_class,
        confidence: it.confidence,
        decision: it.decision,
        probabilities: it.probabilities.iter().map(|it| (&*it.label, it.probability)).collect(),
        unknown_probability: it.unknown_probability,
        attributes: &it.attributes,
        source: &it.source,
        sha256: &it.sha256,
        model: &it.model,
        origin: &it.origin,
        seen_at: with_offset(it.seen_at),
        processed_at: with_offset(it.processed_at),
        arm: it.arm.as_deref(),
        shadow: it.shadow.as_ref(),
    })
}

/// A dead letter's line.
pub(super) fn letter(it: &DeadLetter) -> String {
    let Kept { raw_base64, headers_base64 } = Kept::of(it);
    line(&json!({
        "event_id": it.event_id,
        "run_id": it.run_id,
        "name": it.name,
        "path": it.uri.as_deref().map(readable_url),
        "reason": it.reason,
        "message": it.message,
        "attributes": it.attributes,
        "source": it.source,
        "sha256": it.sha256,
        "origin": it.origin,
        "seen_at": with_offset(it.seen_at),
        "failed_at": with_offset(it.failed_at),
        "raw_base64": raw_base64,
        "headers_base64": headers_base64,
    }))
}

/// An image event's line.
pub(super) fn image(it: &ImageEvent, record: &StoredRecord) -> String {
    line(&json!({
        "event_id": it.event_id,
        "run_id": it.run_id,
        "sequence": it.sequence,
        "name": it.name,
        "path": it.uri.as_deref().map(readable_url),
        "is_inline": it.bytes.is_some(),
        "bytes": it.length,
        "attributes": it.attributes,
        "source": it.source,
        "sha256": it.sha256,
        "origin": {
            "topic": topics::IMAGES, "partition": record.at.partition, "offset": record.offset.0,
        },
        "seen_at": with_offset(it.seen_at),
    }))
}
