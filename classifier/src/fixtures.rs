//! What several tests begin with.

use autorma_models::Verdict;
use autorma_schemas::{Decision, ImageEvent, Micros, ModelVersion};

use crate::outcome::Said;

/// An image event that says no more than it must.
pub(crate) fn event() -> ImageEvent {
    ImageEvent {
        event_id: "1".into(),
        run_id: None,
        sequence: 0,
        source: "a test".into(),
        name: "a.jpg".into(),
        uri: None,
        bytes: None,
        sha256: String::new(),
        length: 0,
        seen_at: Micros(0),
        attributes: Default::default(),
    }
}

/// What a model says that is sure, of a photo without a shadow.
pub(crate) fn said(model: &ModelVersion) -> Said<'_> {
    let verdict = Verdict {
        predicted_class: "shoe".into(),
        confidence: 1.0,
        probabilities: Vec::new(),
        unknown_probability: 0.0,
        decision: Decision::Accept,
    };
    Said { verdict, model, arm: None, shadow: None }
}
