//! A part: the outcomes of one run that one flush made durable, as JSON Lines. The first line is the header.

use std::collections::BTreeMap;
use std::ops::Range;

use autorma_schemas::{Agreement, Decision, Id, Micros, ModelVersion};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::outcome::Kind;

/// What to do about a part that isn't what the sink wrote. The manifest knows how much it held.
const REMEDY: &str = "move this file away and start again: what it held is read anew from the log";

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) part: u64,
    pub(crate) run_id: String,
    pub(crate) stored_at: Micros,
    /// Outcomes of events that the run already had: only their number is kept.
    pub(crate) duplicates: u64,
    /// The offsets that the flush went through: every outcome of the run in them is in this part, or was a duplicate.
    pub(crate) covers: BTreeMap<String, [i64; 2]>,
}

/// One of the other lines, as much of it as the summary is made of.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) id: Id,
    pub(crate) sequence: i64,
    pub(crate) seen_at: Micros,
    pub(crate) done_at: Micros,
    #[serde(default)]
    pub(crate) arm: Option<String>,
    #[serde(default)]
    pub(crate) shadow: Option<Agreement>,
    /// A part of an earlier autorma doesn't say it.
    #[serde(default)]
    pub(crate) shadow_model: Option<ModelVersion>,
    #[serde(default)]
    pub(crate) prediction: Option<Predicted>,
    #[serde(default)]
    pub(crate) dead_letter: Option<Failed>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Predicted {
    pub(crate) predicted_class: String,
    /// No number if the producer's was none.
    pub(crate) confidence: Option<f64>,
    pub(crate) decision: Decision,
    pub(crate) model: ModelVersion,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Failed {
    pub(crate) reason: String,
}

impl Line {
    pub(crate) fn kind(&self) -> Kind {
        if self.prediction.is_some() { Kind::Prediction } else { Kind::DeadLetter }
    }
}

/// A part's content.
pub(crate) fn write(header: &Header, lines: &[u8]) -> Vec<u8> {
    let mut part = serde_json::to_vec(header).expect("numbers and text are JSON");
    part.push(b'\n');
    part.extend_from_slice(lines);
    part
}

/// A part that is read back.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) header: Header,
    place: String,
    bytes: Bytes,
    /// Where the second line begins.
    body: usize,
}

impl Part {
    pub(crate) fn read(place: &str, bytes: Bytes) -> Result<Self, Error> {
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let header = serde_json::from_slice(first).map_err(|error| unreadable(place, error))?;
        let body = (first.len() + 1).min(bytes.len());
        Ok(Self { header, place: place.into(), bytes, body })
    }

    /// Each outcome, and where in the part its entry stands.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Result<(Line, Range<usize>), Error>> {
        let mut start = self.body;
        let lines = self.bytes[self.body..].split(|byte| *byte == b'\n');
        lines.filter_map(move |text| {
            let begins = start;
            start += text.len() + 1;
            (!text.is_empty()).then(|| self.line(text, begins))
        })
    }

    fn line(&self, text: &[u8], begins: usize) -> Result<(Line, Range<usize>), Error> {
        let line: Line = serde_json::from_slice(text).map_err(|error| unreadable(&self.place, error))?;
        // Inside a text the quote would follow a backslash, so what is found is the key.
        let separator = line.kind().separator();
        let found = text.windows(separator.len()).position(|window| window == separator);
        let entry =
            found.ok_or_else(|| unreadable(&self.place, "a line without an entry"))? + separator.len();
        Ok((line, begins + entry..begins + text.len() - 1))
    }
}

fn unreadable(place: &str, cause: impl ToString) -> Error {
    Error::Unreadable { place: place.into(), cause: cause.to_string(), remedy: REMEDY }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let covers = BTreeMap::from([("predictions-0".into(), [3, 9])]);
        Header { part: 42, run_id: "20261123_153147".into(), stored_at: Micros(7), duplicates: 1, covers }
    }

    #[test]
    fn an_entry_is_found_as_it_was_written() {
        let entry = r#"{"reason":"missing","error":"no \"prediction\":, here"}"#;
        let text = format!(
            "{{\"id\":\"{:032x}\",\"sequence\":2,\"seen_at\":1,\"done_at\":3,\"dead_letter\":{entry}}}\n",
            255
        );
        let bytes = Bytes::from(write(&header(), text.repeat(2).as_bytes()));
        let part = Part::read("p", bytes.clone()).unwrap();
        assert_eq!(part.header, header());
        let lines: Vec<_> = part.lines().map(Result::unwrap).collect();
        assert_eq!(lines.len(), 2);
        for (line, range) in lines {
            assert_eq!((line.id, line.sequence, line.kind()), (Id(255), 2, Kind::DeadLetter));
            assert_eq!(&bytes[range], entry.as_bytes());
        }
    }

    #[test]
    fn a_part_may_hold_duplicates_alone() {
        let part = Part::read("p", write(&header(), b"").into()).unwrap();
        assert_eq!(part.lines().count(), 0);
    }

    #[test]
    fn what_the_sink_never_wrote_is_an_error() {
        for bytes in [&b""[..], b"{", b"[]\n", b"\n\n"] {
            assert!(matches!(Part::read("p", bytes.into()), Err(Error::Unreadable { .. })));
        }
        let mut bytes = write(&header(), b"{\"id\":\"zz\"}\n");
        let count = |bytes: &[u8]| {
            Part::read("p", Bytes::copy_from_slice(bytes)).unwrap().lines().filter(Result::is_err).count()
        };
        assert_eq!(count(&bytes), 1);
        bytes.truncate(bytes.len() - 3);
        assert_eq!(count(&bytes), 1);
    }
}
