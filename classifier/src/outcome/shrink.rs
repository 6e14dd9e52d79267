//! Outcomes that are no larger than their topic takes: one that can't be written would stop the stage for ever, since
//! whoever starts next makes the same again.

use autorma_schemas::{DeadLetter, Event, ImageEvent};

/// The largest outcome, without key and headers of its record. Kafka takes 1 MiB a batch where nobody has set another
/// `max.message.bytes`; the rest is for key, headers, the batch's own, and compression that makes it larger.
pub(super) const LARGEST: usize = 900 << 10;

/// What an event may say of its photo, beside the photo: it all comes out again, and its id is the key too.
const LARGEST_FACTS: usize = 256 << 10;

/// Messages quote what they are about.
const LONGEST_MESSAGE: usize = 4 << 10;

/// What is said of the cuts is no longer than this.
const REMARKS: usize = 128;

/// A letter that is larger than `limit` without its headers, and with as many of the record's bytes as fit then.
pub(super) fn shrink(letter: &DeadLetter, limit: usize) -> DeadLetter {
    let mut letter = letter.clone();
    let headers = std::mem::take(&mut letter.headers).len();
    if headers > 0 {
        letter.message += &format!("; {headers} headers are left out");
    }
    let size = letter.encode().len();
    if let Some(raw) = letter.raw.as_mut().filter(|_| size > limit) {
        let whole = raw.len();
        raw.truncate(whole.saturating_sub(size + REMARKS - limit));
        letter.message += &format!("; the record is cut from {whole} bytes to {}", raw.len());
    }
    letter
}

/// Whether the outcome of this event can be written, whatever it will be, and told from others; else why not.
pub(crate) fn fits(event: &ImageEvent) -> Result<(), String> {
    if event.event_id.is_empty() {
        return Err("event_id is empty: all photos of such events would be taken for one".into());
    }
    let attributes: usize = event.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    let optional = [&event.run_id, &event.uri].into_iter().flatten();
    let texts = [&event.event_id, &event.source, &event.name, &event.sha256].into_iter().chain(optional);
    let facts = attributes + texts.map(String::len).sum::<usize>();
    let refused = || {
        format!(
            "what the event says beside the photo takes {facts} bytes, more than {LARGEST_FACTS}: send less"
        )
    };
    if facts > LARGEST_FACTS { Err(refused()) } else { Ok(()) }
}

/// A message of bounded length.
pub(super) fn short(mut message: String) -> String {
    let whole = message.len();
    if whole > LONGEST_MESSAGE {
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        message += &format!("… cut from {whole} bytes");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::blank;
    use autorma_schemas::{HeaderValue, Origin, Reason};

    fn letter(raw: usize, header: usize) -> DeadLetter {
        let origin = Origin { topic: "images".into(), partition: 0, offset: 7 };
        DeadLetter {
            raw: Some((0..raw).map(|at| at as u8).collect()),
            headers: [("h".to_owned(), HeaderValue(vec![1; header]))].into(),
            ..blank("no event".into(), Reason::UnreadableEvent, origin)
        }
    }

    #[test]
    fn headers_go_first() {
        let shrunk = shrink(&letter(800, 400), 1000);
        assert_eq!((shrunk.raw.unwrap().len(), shrunk.headers.len()), (800, 0));
        assert_eq!(shrunk.message, "no event; 1 headers are left out");
    }

    #[test]
    fn then_the_record_is_cut_to_what_fits() {
        for raw in [1000, 1 << 20, 4 << 20] {
            let limit = 500 + raw / 2;
            let (whole, shrunk) = (letter(raw, raw), shrink(&letter(raw, raw), limit));
            let size = shrunk.encode().len();
            assert!(size <= limit && size > limit - 200, "{size} of {limit}");
            let kept = shrunk.raw.unwrap();
            assert!(whole.raw.unwrap().starts_with(&kept));
            let said = format!("cut from {raw} bytes to {}", kept.len());
            assert!(shrunk.message.ends_with(&said), "{}", shrunk.message);
        }
    }

    #[test]
    fn a_limit_that_leaves_nothing_of_the_record_panics_nobody() {
        assert_eq!(shrink(&letter(1000, 0), 10).raw, Some(Vec::new()));
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(short("é".repeat(2048)), "é".repeat(2048));
        let cut = short(format!("a{}", "é".repeat(4096)));
        assert_eq!(cut, format!("a{}… cut from 8193 bytes", "é".repeat(2047)));
    }
}
