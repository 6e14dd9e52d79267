//! What several tests begin with.

use autorma_schemas::{ImageEvent, Micros};

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
