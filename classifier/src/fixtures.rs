//! What several tests begin with.

use autorma_models::Verdict;
use autorma_schemas::{Decision, ImageEvent, ModelVersion};

use crate::outcome::Said;

/// An image event that says no more than it must.
pub(crate) fn event() -> ImageEvent {
    ImageEvent {
        event_id: "1".into(),
        source: "a test".into(),
        name: "a.jpg".into(),
        ..ImageEvent::default()
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
