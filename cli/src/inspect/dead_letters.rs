use std::collections::BTreeMap;
use std::process::ExitCode;

use autorma_schemas::{DeadLetter, Event, HeaderValue, Origin, readable_url, topics};
use autorma_stream::scan;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::args::DeadLettersArgs;
use crate::configuration::Configuration;
use crate::home::Home;
use crate::output::tell;
use crate::reading::{DROPPED, expect_named, has_dropped};
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
    attributes: BTreeMap<String, String>,
    source: String,
    pub(super) failed_at: String,
    #[serde(flatten)]
    pub(super) origin: Origin,
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
            path: letter.uri.as_deref().map(readable_url),
            reason: letter.reason,
            message: letter.message,
            attributes: letter.attributes,
            source: letter.source,
            failed_at: with_offset(letter.failed_at),
            origin: letter.origin,
        }
    }
}

/// `autorma dead-letters`.
pub(crate) fn dead_letters(
    configuration: &Configuration,
    args: &DeadLettersArgs,
) -> anyhow::Result<ExitCode> {
    let home = Home::look(configuration)?;
    let listed = letters(&home, args)?;
    let has_dropped = has_dropped(&*home.log, topics::DEAD_LETTERS)?;
    tell(args.json.json, listed, |listed| match (listed.is_empty(), has_dropped) {
        (true, true) => format!("No dead letters. {DROPPED}"),
        (true, false) => "No dead letters.\n".into(),
        (false, _) => table(listed),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Those that are meant, oldest first.
fn letters(home: &Home, args: &DeadLettersArgs) -> anyhow::Result<Vec<Listed>> {
    expect_named(&*home.log, args.run.as_deref())?;
    let is_meant = |letter: &DeadLetter| {
        (args.run.is_none() || letter.run_id == args.run)
            && (args.reasons.is_empty() || args.reasons.contains(&letter.reason))
    };
    let mut letters = Vec::new();
    for record in scan(&*home.log, topics::DEAD_LETTERS)? {
        if let Ok(mut letter) = DeadLetter::decode(&record?.value)
            && is_meant(&letter)
        {
            if !args.json.json {
                // The table doesn't show it, and all together it may not fit in memory.
                (letter.raw, letter.headers, letter.attributes) = Default::default();
            }
            letters.push((letter.failed_at, Listed::from(letter)));
        }
    }
    letters.sort_by_key(|(failed_at, _)| *failed_at);
    Ok(letters.into_iter().map(|(_, letter)| letter).collect())
}

/// As a table for people.
fn table(letters: Vec<Listed>) -> String {
    let mut table = Table::new(["run", "reason", "photo", "what happened"]);
    for letter in letters {
        // What no event could be read of has no more than its place.
        let record = letter.origin.to_string();
        let photo =
            Some(letter.path.unwrap_or(letter.name)).filter(|photo| !photo.is_empty()).unwrap_or(record);
        table.row([letter.run_id.unwrap_or_default(), letter.reason, photo, letter.message]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use autorma_stream::{Append, Transaction};
    use serde_json::json;

    use super::*;
    use crate::args::{Cli, Command};

    fn letter(reason: &str) -> DeadLetter {
        DeadLetter {
            event_id: Some(reason.into()),
            source: "scanner".into(),
            name: "a.jpg".into(),
            attributes: BTreeMap::from([("order".into(), "4711".into())]),
            reason: reason.into(),
            message: "what happened".into(),
            origin: Origin { topic: topics::IMAGES.into(), partition: 0, offset: 0 },
            ..DeadLetter::default()
        }
    }

    #[test]
    fn those_of_some_reasons_are_listed_with_what_is_known_of_their_photos() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        let listed = |words: &[&str]| {
            let words = [&["autorma", "dead-letters", "--json", "--data", data], words].concat();
            let cli = Cli::read(words.into_iter().map(Into::into)).unwrap();
            let (configuration, _) = Configuration::read(&cli).unwrap();
            let Command::DeadLetters(args) = &cli.command else { panic!("another command") };
            json!(letters(&Home::look(&configuration).unwrap(), args).unwrap())
        };
        let home = Home::open(&Configuration::of(&["up", "--data", data])).unwrap();
        let append = |reason: &str| Append {
            topic: topics::DEAD_LETTERS.into(),
            value: letter(reason).encode(),
            ..Append::default()
        };
        let appends = ["missing", "undecodable", "unreadable"].map(append).into();
        home.log.producer("test").unwrap().commit(&Transaction { appends, advance: None }).unwrap();
        assert_eq!(listed(&[]).as_array().unwrap().len(), 3);
        let missing = listed(&["--reason", "missing"]);
        assert_eq!(missing.as_array().unwrap().len(), 1);
        assert_eq!(missing[0]["attributes"], json!({ "order": "4711" }));
        assert_eq!((&missing[0]["reason"], &missing[0]["source"]), (&"missing".into(), &"scanner".into()));
        assert_eq!(listed(&["--reason", "missing", "--reason", "unreadable"]).as_array().unwrap().len(), 2);
    }
}
