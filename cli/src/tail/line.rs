//! How a record is printed.

use std::fmt::Write;

use autorma_schemas::{DeadLetter, Decision, Event, ImageEvent, Micros, Origin, Prediction, RunRecord};
use autorma_stream::StoredRecord;

use super::json;
use crate::args::{Chosen, Topic};
use crate::inspect::{place, run_json};
use crate::table::printable;

/// What is printed, and how.
#[derive(Debug)]
pub(super) struct Style<'a> {
    pub(super) topic: Topic,
    pub(super) json: bool,
    pub(super) chosen: &'a Chosen,
}

impl Style<'_> {
    /// The line above all others.
    pub(super) fn title(&self) -> String {
        let title = match self.topic {
            _ if self.json => return String::new(),
            Topic::Predictions => ["done at", "decision", "class", "confidence", "run", "photo"],
            Topic::DeadLetters => ["failed at", "reason", "", "", "run", "photo: what happened"],
            Topic::Images => ["seen at", "source", "", "bytes", "run", "photo"],
            Topic::Runs => ["opened at", "state", "kind", "images", "run", "input"],
        };
        line(title.map(str::to_owned))
    }

    /// Whether a record is to be printed.
    pub(super) fn wants(&self, record: &StoredRecord) -> bool {
        let chosen = self.chosen;
        let is_all = chosen.class.is_none() && chosen.decision.is_none();
        is_all || Prediction::decode(&record.value).is_ok_and(|it| self.is_chosen(&it))
    }

    fn is_chosen(&self, it: &Prediction) -> bool {
        self.chosen.class.as_ref().is_none_or(|class| *class == it.predicted_class)
            && self.chosen.decision.is_none_or(|decision| Decision::from(decision) == it.decision)
    }

    /// Adds a record's line, if it is wanted and some are left to print. Returns how many lines that are.
    pub(super) fn print(&self, record: &StoredRecord, left: u64, text: &mut String) -> u64 {
        let line = if left == 0 { None } else { self.line(record) };
        line.map_or(0, |line| {
            text.push_str(&line);
            1
        })
    }

    fn line(&self, record: &StoredRecord) -> Option<String> {
        let value = &record.value;
        let line = match self.topic {
            Topic::Predictions => match Prediction::decode(value) {
                Ok(it) if !self.is_chosen(&it) => return None,
                decoded => decoded.map(|it| if self.json { json::prediction(&it) } else { prediction(it) }),
            },
            Topic::DeadLetters => {
                DeadLetter::decode(value).map(|it| if self.json { json::letter(&it) } else { letter(it) })
            }
            Topic::Images => ImageEvent::decode(value)
                .map(|it| if self.json { json::image(&it, record) } else { image(it) }),
            Topic::Runs => RunRecord::decode(value)
                .map(|it| if self.json { json::line(&run_json(&it)) } else { run(it) }),
        };
        if let Err(error) = &line {
            tracing::warn!(at = %record.at, offset = record.offset.0, %error, "a record can't be read");
        }
        line.ok()
    }
}

/// Columns of the same width, whatever the photos are called: what comes later isn't known yet.
fn line(cells: [String; 6]) -> String {
    let [time, one, two, number, run, rest] = cells.map(|cell| printable(&cell));
    let mut text = String::new();
    // A text takes whatever is written to it.
    let _ = write!(text, "{time:<19}  {one:<17}  {two:<12}  {number:>10}  {run:<23}  {rest}");
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// To the second.
fn time(at: Micros) -> String {
    at.iso().chars().take(19).collect()
}

fn path_or_name(uri: Option<&str>, name: String) -> String {
    uri.map_or(name, place)
}

fn prediction(it: Prediction) -> String {
    let photo = path_or_name(it.uri.as_deref(), it.name);
    let (decision, confidence) = (it.decision.to_string(), format!("{:.4}", it.confidence));
    line([
        time(it.processed_at),
        decision,
        it.predicted_class,
        confidence,
        it.run_id.unwrap_or_default(),
        photo,
    ])
}

fn letter(it: DeadLetter) -> String {
    let photo = path_or_name(it.uri.as_deref(), it.name);
    // What no event could be read of has no more than its place.
    let Origin { topic, partition, offset } = it.origin;
    let photo = if photo.is_empty() { format!("{topic}-{partition}@{offset}") } else { photo };
    let rest = format!("{photo}: {}", it.message);
    let nothing = String::new;
    line([time(it.failed_at), it.reason, nothing(), nothing(), it.run_id.unwrap_or_default(), rest])
}

fn image(it: ImageEvent) -> String {
    let photo = path_or_name(it.uri.as_deref(), it.name);
    let bytes = it.length.to_string();
    line([time(it.seen_at), it.source, String::new(), bytes, it.run_id.unwrap_or_default(), photo])
}

fn run(it: RunRecord) -> String {
    let state = format!("{:?}", it.state).to_lowercase();
    line([time(it.opened_at), state, it.kind.to_string(), it.images.to_string(), it.run_id, it.input])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn lines_line_up_and_no_name_plays_with_the_terminal() {
        let cells = |name: &str| ["t", "accept", "tops", "0.9", "r", name].map(str::to_owned);
        let [one, other] = ["a.jpg", "\u{1b}[2Jb\n.jpg"].map(|name| line(cells(name)));
        assert_eq!(one.find("a.jpg"), other.find("\\u{1b}"));
        assert_eq!(other.matches('\n').count(), 1);
    }

    #[test]
    fn what_was_no_event_is_told_by_its_place() {
        let nothing = DeadLetter {
            event_id: None,
            run_id: None,
            sequence: 0,
            batch_number: 0,
            source: String::new(),
            name: String::new(),
            uri: None,
            sha256: String::new(),
            attributes: BTreeMap::new(),
            reason: "invalid-event".into(),
            message: "no image event".into(),
            raw: Some(vec![7]),
            headers: BTreeMap::new(),
            origin: Origin { topic: "images".into(), partition: 2, offset: 7 },
            seen_at: Micros(0),
            failed_at: Micros(0),
        };
        let named = DeadLetter { name: "a.jpg".into(), ..nothing.clone() };
        let [nothing, named] = [nothing, named].map(letter);
        assert!(nothing.ends_with(" images-2@7: no image event\n"), "{nothing}");
        assert!(named.ends_with(" a.jpg: no image event\n"), "{named}");
    }
}
