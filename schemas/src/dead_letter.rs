use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Event, Micros, Origin};

/// An image event that can't be classified. Schema: `schemas/avro/v1/dead_letter.avsc`, which documents each field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DeadLetter {
    pub event_id: Option<String>,
    pub run_id: Option<String>,
    pub sequence: i64,
    pub batch_number: i64,
    pub source: String,
    pub name: String,
    pub uri: Option<String>,
    pub sha256: String,
    pub attributes: BTreeMap<String, String>,
    pub reason: String,
    pub message: String,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub raw: Option<Vec<u8>>,
    pub headers: BTreeMap<String, HeaderValue>,
    pub origin: Origin,
    pub seen_at: Micros,
    pub failed_at: Micros,
}

/// The value of a record's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeaderValue(#[serde(with = "apache_avro::serde::bytes")] pub Vec<u8>);

impl Event for DeadLetter {
    const SCHEMAS: &'static [&'static str] = &[include_str!("../avro/v1/dead_letter.avsc")];
}

/// Why an image event is a dead letter. The list is closed; `docs/dead-letters.md` documents each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The record isn't an image event in any known schema.
    UnreadableEvent,
    /// The event has neither bytes nor a reference, or its fields contradict each other.
    InvalidEvent,
    /// The reference points outside the allowed roots, or uses a scheme that isn't allowed.
    ForbiddenReference,
    /// The photo isn't there any more.
    Missing,
    /// The photo is there and can't be read (permissions, an input/output error that stays).
    Unreadable,
    /// The photo's content isn't what was seen when the event was made.
    ContentChanged,
    /// The file is larger than the limit in bytes.
    TooManyBytes,
    /// The picture is larger than the limit in pixels, or decoding it needs more memory than allowed.
    TooManyPixels,
    /// The content isn't of a format that can be decoded.
    UnknownFormat,
    /// The content is of a known format and broken.
    Undecodable,
    /// The model failed on this image, alone.
    ModelFailed,
    /// The model's output for this image has numbers that are no numbers.
    NotANumber,
}

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Reason; 12] = [
        Reason::UnreadableEvent,
        Reason::InvalidEvent,
        Reason::ForbiddenReference,
        Reason::Missing,
        Reason::Unreadable,
        Reason::ContentChanged,
        Reason::TooManyBytes,
        Reason::TooManyPixels,
        Reason::UnknownFormat,
        Reason::Undecodable,
        Reason::ModelFailed,
        Reason::NotANumber,
    ];

    /// The reason as it is written in events, files and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::UnreadableEvent => "unreadable-event",
            Reason::InvalidEvent => "invalid-event",
            Reason::ForbiddenReference => "forbidden-reference",
            Reason::Missing => "missing",
            Reason::Unreadable => "unreadable",
            Reason::ContentChanged => "content-changed",
            Reason::TooManyBytes => "too-many-bytes",
            Reason::TooManyPixels => "too-many-pixels",
            Reason::UnknownFormat => "unknown-format",
            Reason::Undecodable => "undecodable",
            Reason::ModelFailed => "model-failed",
            Reason::NotANumber => "not-a-number",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
