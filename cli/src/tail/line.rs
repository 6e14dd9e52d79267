//! How a record is printed.

use std::fmt::Write;

use autorma_schemas::{
    DeadLetter, DecodeError, Event, ImageEvent, Micros, Prediction, RunRecord, readable_url,
};
use autorma_stream::StoredRecord;

use super::json;
use crate::args::{Chosen, Topic};
use crate::inspect::run_json;
use crate::table::printable;
use crate::when::to_the_second;

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
        let Chosen { run, class, decision } = self.chosen;
        let is_all = run.is_none() && class.is_none() && decision.is_none();
        is_all || self.line_of(record).is_ok_and(|line| line.is_some())
    }

    fn is_of_run(&self, run: Option<&str>) -> bool {
        self.chosen.run.is_none() || self.chosen.run.as_deref() == run
    }

    fn is_chosen(&self, it: &Prediction) -> bool {
        self.is_of_run(it.run_id.as_deref())
            && self.chosen.class.as_ref().is_none_or(|class| *class == it.predicted_class)
            && self.chosen.decision.is_none_or(|decision| decision == it.decision)
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
        let line = self.line_of(record);
        if let Err(error) = &line {
            tracing::warn!(at = %record.at, offset = record.offset.0, %error, "a record can't be read");
        }
        line.ok().flatten()
    }

    /// None if it isn't chosen.
    fn line_of(&self, record: &StoredRecord) -> Result<Option<String>, DecodeError> {
        let value = &record.value;
        Ok(match self.topic {
            Topic::Predictions => {
                let it = Prediction::decode(value)?;
                let is_chosen = self.is_chosen(&it);
                is_chosen.then(|| if self.json { json::prediction(&it) } else { prediction(it) })
            }
            Topic::DeadLetters => {
                let it = DeadLetter::decode(value)?;
                let is_chosen = self.is_of_run(it.run_id.as_deref());
                is_chosen.then(|| if self.json { json::letter(&it) } else { letter(it) })
            }
            Topic::Images => {
                let it = ImageEvent::decode(value)?;
                let is_chosen = self.is_of_run(it.run_id.as_deref());
                is_chosen.then(|| if self.json { json::image(&it, record) } else { image(it) })
            }
            Topic::Runs => {
                let it = RunRecord::decode(value)?;
                let is_chosen = self.is_of_run(Some(&it.run_id));
                is_chosen.then(|| if self.json { json::line(&run_json(&it)) } else { run(it) })
            }
        })
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

fn time(at: Micros) -> String {
    to_the_second(&at.iso())
}

fn path_or_name(uri: Option<&str>, name: String) -> String {
    uri.map_or(name, readable_url)
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
    let photo = if photo.is_empty() { it.origin.to_string() } else { photo };
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
    let state = it.state.to_string();
    line([time(it.opened_at), state, it.kind.to_string(), it.images.to_string(), it.run_id, it.input])
}

#[cfg(test)]
mod tests {

    use autorma_schemas::Origin;
    use autorma_stream::TopicPartition;

    use super::*;

    #[test]
    fn lines_line_up_and_no_name_plays_with_the_terminal() {
        let cells = |name: &str| ["t", "accept", "tops", "0.9", "r", name].map(str::to_owned);
        let [one, other] = ["a.jpg", "\u{1b}[2Jb\n.jpg"].map(|name| line(cells(name)));
        assert_eq!(one.find("a.jpg"), other.find("\\u{1b}"));
        assert_eq!(other.matches('\n').count(), 1);
    }

    /// A dead letter of what was no event.
    fn nothing() -> DeadLetter {
        DeadLetter {
            reason: "invalid-event".into(),
            message: "no image event".into(),
            raw: Some(vec![7]),
            origin: Origin { topic: "images".into(), partition: 2, offset: 7 },
            ..DeadLetter::default()
        }
    }

    #[test]
    fn what_was_no_event_is_told_by_its_place() {
        let named = DeadLetter { name: "a.jpg".into(), ..nothing() };
        let [nothing, named] = [nothing(), named].map(letter);
        assert!(nothing.ends_with(" images-2@7: no image event\n"), "{nothing}");
        assert!(named.ends_with(" a.jpg: no image event\n"), "{named}");
    }

    #[test]
    fn of_a_run_only_its_records_are_wanted() {
        let chosen = Chosen { run: Some("monday".into()), ..Chosen::default() };
        let style = Style { topic: Topic::DeadLetters, json: true, chosen: &chosen };
        for (run, is_wanted) in [(Some("monday"), true), (Some("tuesday"), false), (None, false)] {
            let record = StoredRecord {
                at: TopicPartition::new("dead-letters", 0),
                value: DeadLetter { run_id: run.map(Into::into), ..nothing() }.encode(),
                ..StoredRecord::default()
            };
            let mut text = String::new();
            let printed = style.print(&record, 1, &mut text);
            assert_eq!((style.wants(&record), printed), (is_wanted, u64::from(is_wanted)), "{run:?}");
            assert_eq!(text.contains("monday"), is_wanted, "{text}");
        }
    }
}
