//! W3C Trace Context: the headers with which a trace goes on from an image event to its outcome.
//!
//! autorma reports no spans. It only keeps the trace together: the outcome's record belongs to the event's trace, below
//! a span that stands for the classifier's step and that the log names at the level debug.

use autorma_schemas::{Origin, is_hex, sha256};
use autorma_stream::StoredRecord;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
/// `00-<trace>-<span>-<flags>`.
const LENGTH: usize = 55;
/// A longer `tracestate` isn't carried: vendors must carry this much, and outcomes have to stay small.
const LONGEST_STATE: usize = 512;
/// Members that a `tracestate` may have.
const MOST_MEMBERS: usize = 32;
/// Sampled, and level 2's random trace id. The others have no meaning yet and must be zero.
const KNOWN_FLAGS: u8 = 0b11;

/// A record's headers.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// The headers for the outcome of a record; none if the record has no valid `traceparent`.
pub(crate) fn carried(record: &StoredRecord, event_id: Option<&str>, origin: &Origin) -> Headers {
    let Some(parent) = only(&record.headers, PARENT).and_then(|value| Parent::parse(value)) else {
        return Headers::new();
    };
    let span = span(event_id, origin);
    tracing::debug!(event_id, trace_id = parent.trace, parent_id = parent.span, span_id = span, "traced");
    let value = format!("00-{}-{span}-{:02x}", parent.trace, parent.flags & KNOWN_FLAGS);
    let state = state(&record.headers).map(|state| (STATE.to_owned(), state.into_bytes()));
    std::iter::once((PARENT.to_owned(), value.into_bytes())).chain(state).collect()
}

/// The parts of a valid `traceparent`.
#[derive(Debug, PartialEq, Eq)]
struct Parent<'a> {
    trace: &'a str,
    span: &'a str,
    flags: u8,
}

impl<'a> Parent<'a> {
    /// Versions after 00 may have more behind a further dash, and are read as 00.
    fn parse(value: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii())?;
        let (known, further) = text.split_at_checked(LENGTH)?;
        let mut parts = known.split('-');
        let [version, trace, span, flags] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        let is_whole = match version {
            "00" => further.is_empty(),
            "ff" => false,
            _ => further.is_empty() || further.starts_with('-'),
        };
        // Upper case is invalid.
        let are_digits = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
        let is_named = [trace, span].iter().all(|id| id.bytes().any(|digit| digit != b'0'));
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (is_whole && are_digits && is_named).then_some(Self { trace, span, flags })
    }
}

/// The id of the classifier's step. It follows from the event and its place, so whoever does the record again, after a
/// crash for example, writes the same.
fn span(event_id: Option<&str>, origin: &Origin) -> String {
    let (partition, offset) = (origin.partition.to_be_bytes(), origin.offset.to_be_bytes());
    let event = event_id.unwrap_or_default().as_bytes();
    let whole = [event, b"\0", origin.topic.as_bytes(), b"\0", &partition, &offset].concat();
    let id = u64::from_str_radix(&sha256(&whole)[..16], 16).expect("they are hexadecimal digits");
    // An id that is all zero is none.
    format!("{:016x}", id | 1)
}

/// What is between the vendors. If it can't be carried, the trace goes on without it.
fn state(headers: &[(String, Vec<u8>)]) -> Option<String> {
    let values = named(headers, STATE).map(|value| std::str::from_utf8(value).ok());
    let state = values.collect::<Option<Vec<_>>>()?.join(",");
    let is_plain = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
    let fits = state.len() <= LONGEST_STATE && state.split(',').count() <= MOST_MEMBERS;
    (!state.trim().is_empty() && fits && state.bytes().all(is_plain)).then_some(state)
}

/// The one header of that name. Of several nobody can say which is meant.
fn only<'a>(headers: &'a [(String, Vec<u8>)], name: &'a str) -> Option<&'a Vec<u8>> {
    let mut values = named(headers, name);
    values.next().filter(|_| values.next().is_none())
}

fn named<'a>(headers: &'a [(String, Vec<u8>)], name: &'a str) -> impl Iterator<Item = &'a Vec<u8>> {
    headers.iter().filter(move |(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
