use std::collections::BTreeMap;

use autorma_schemas::{DeadLetter, Event, HeaderValue, file_path, readable, topics};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::json_text;
use crate::configuration::Configuration;
use crate::home::Home;
use crate::reading::{named_run, scan};
use crate::table::Table;
use crate::when::with_offset;

/// A dead letter as it is listed.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    pub(super) event_id: Option<String>,
    pub(super) run_id: Option<String>,
    pub(super) name: String,
    pub(super) path: Option<String>,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) failed_at: String,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    #[serde(flatten)]
    kept: Kept,
}

/// What is kept of a record that is no image event: bytes, in base64.
#[derive(Debug, Serialize)]
pub(crate) struct Kept {
    pub(crate) raw_base64: Option<String>,
    pub(crate) headers_base64: BTreeMap<String, String>,
}

impl Kept {
    /// Of this dead letter.
    pub(crate) fn of(letter: &DeadLetter) -> Self {
        let header =
            |(key, HeaderValue(value)): (&String, &HeaderValue)| (key.clone(), STANDARD.encode(value));
        Self {
            raw_base64: letter.raw.as_ref().map(|raw| STANDARD.encode(raw)),
            headers_base64: letter.headers.iter().map(header).collect(),
        }
    }
}

impl From<DeadLetter> for Listed {
    fn from(letter: DeadLetter) -> Self {
        Self {
            kept: Kept::of(&letter),
            event_id: letter.event_id,
            run_id: letter.run_id,
            name: letter.name,
            path: letter.uri.as_deref().map(place),
            reason: letter.reason,
            message: letter.message,
            failed_at: with_offset(letter.failed_at),
            topic: letter.origin.topic,
            partition: letter.origin.partition,
            offset: letter.origin.offset,
        }
    }
}

/// A file's path for people, any other URL as it is.
pub(crate) fn place(uri: &str) -> String {
    file_path(uri).map_or_else(|| uri.to_owned(), |path| readable(path.as_os_str()))
}

/// `autorma dead-letters`.
pub(crate) fn dead_letters(
    configuration: &Configuration,
    run: Option<&str>,
    json: bool,
) -> anyhow::Result<String> {
    let home = Home::look(configuration)?;
    run.map(|run| named_run(&*home.log, run)).transpose()?;
    let mut letters = Vec::new();
    scan(&*home.log, topics::DEAD_LETTERS, |record| {
        if let Ok(mut letter) = DeadLetter::decode(&record.value)
            && run.is_none_or(|run| letter.run_id.as_deref() == Some(run))
        {
            if !json {
                // The table doesn't show it, and all together it may not fit in memory.
                (letter.raw, letter.headers) = (None, BTreeMap::new());
            }
            letters.push((letter.failed_at, Listed::from(letter)));
        }
        true
    })?;
    letters.sort_by_key(|(failed_at, _)| *failed_at);
    let letters: Vec<_> = letters.into_iter().map(|(_, letter)| letter).collect();
    if json {
        return json_text(&letters);
    }
    if letters.is_empty() {
        return Ok("No dead letters.\n".into());
    }
    let mut table = Table::new(["run", "reason", "photo", "what happened"]);
    for letter in letters {
        // What no event could be read of has no more than its place.
        let Listed { topic, partition, offset, .. } = &letter;
        let record = format!("{topic}-{partition}@{offset}");
        let photo =
            Some(letter.path.unwrap_or(letter.name)).filter(|photo| !photo.is_empty()).unwrap_or(record);
        table.row([letter.run_id.unwrap_or_default(), letter.reason, photo, letter.message]);
    }
    Ok(table.to_string())
}
