use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Event, Micros};

/// One photo to classify. Schema: `schemas/avro/v1/image_event.avsc`, which documents each field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ImageEvent {
    pub event_id: String,
    pub run_id: Option<String>,
    pub sequence: i64,
    pub source: String,
    pub name: String,
    pub uri: Option<String>,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub bytes: Option<Vec<u8>>,
    pub sha256: String,
    pub length: i64,
    pub seen_at: Micros,
    pub attributes: BTreeMap<String, String>,
}

impl Event for ImageEvent {
    const SCHEMAS: &'static [&'static str] = &[include_str!("../avro/v1/image_event.avsc")];

    /// No other bytes have an id, a name, a SHA-256 and a photo in these places.
    fn is_credible(&self) -> bool {
        let is_hash = self.sha256.len() == 64 && self.sha256.bytes().all(|digit| digit.is_ascii_hexdigit());
        let has_photo = self.bytes.is_some() || self.uri.is_some();
        is_hash && has_photo && self.length >= 0 && !self.event_id.is_empty() && !self.name.is_empty()
    }
}

/// The id of the event for the photo at `uri` with the content `sha256`: the same file again has the same id,
/// the same name with new content another. 32 hexadecimal digits.
pub fn event_id(uri: &str, sha256: &str) -> String {
    let digest = Sha256::new().chain_update(uri).chain_update([0]).chain_update(sha256).finalize();
    hex(&digest[..16])
}

/// The SHA-256 of a content as events carry it: 64 lower-case hexadecimal digits.
pub fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a text is so many digits as [`hex`] writes them.
pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::event_id;

    #[test]
    fn an_id_names_place_and_content() {
        let id = event_id("file:///in/a.jpg", "00ff");
        assert_eq!(id, event_id("file:///in/a.jpg", "00ff"));
        assert_eq!(id.len(), 32);
        assert_ne!(id, event_id("file:///in/a.jpg", "00fe"), "new content is a new event");
        assert_ne!(id, event_id("file:///in/b.jpg", "00ff"), "another place is another event");
    }
}
