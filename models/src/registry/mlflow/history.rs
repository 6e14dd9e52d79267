//! The moves of an alias, which MLflow doesn't remember: each is a tag of its own on the registered model, so that two
//! writers never overwrite each other's. A move is noted before it is made, and confirmed after: a writer that dies in
//! between leaves a note that counts only if the alias names what it says, and nobody has moved it since.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use autorma_schemas::Micros;
use serde::{Deserialize, Serialize};

use super::api::{RegisteredModel, Tag};
use crate::registry::{Move, Signed};

const PREFIX: &str = "autorma.move";

/// A note of a move.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Note {
    #[serde(flatten)]
    pub(super) is: Move,
    /// Whether the alias was seen to have moved.
    pub(super) made: bool,
}

/// What is noted of an alias, and what it names.
#[derive(Debug)]
pub(super) struct History {
    alias: String,
    /// By key, in order.
    notes: Vec<(Key, Note)>,
    named: Option<u64>,
}

/// Where a note stands. Two writers at once have the same number, and other letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64, String);

impl History {
    pub(super) fn of(model: &RegisteredModel, alias: &str) -> Self {
        let mut notes: Vec<_> = model.tags.iter().filter_map(|tag| read(tag, alias)).collect();
        notes.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self { alias: alias.into(), notes, named: model.now(alias) }
    }

    /// The moves that were made, oldest first; at the end what the alias names, if nobody has noted that.
    pub(super) fn moves(&self) -> Vec<Move> {
        let made = self.notes.iter().filter(|(_, note)| note.made).map(|(_, note)| note.is.clone());
        made.chain(self.unconfirmed().map(|(_, note)| note.is)).collect()
    }

    /// What must be written so that the notes say what has happened: the tag's key, and the note.
    pub(super) fn unconfirmed(&self) -> Option<(String, Note)> {
        let named = self.named?;
        let last = self.notes.iter().rev().find(|(_, note)| note.made);
        if last.is_some_and(|(_, note)| note.is.version == named) {
            return None;
        }
        // Its writer has died, or is about to confirm it. One before a move that was made is of another time: whoever lets
        // the alias name the same version now hasn't written it.
        let mut since = self.notes.iter().rev().take_while(|(_, note)| !note.made);
        let begun = since.find(|(_, note)| note.is.version == named);
        Some(match begun {
            Some((key, note)) => (self.tag(key), Note { made: true, ..note.clone() }),
            None => {
                let signed = Signed {
                    at: Micros::now(),
                    by: String::new(),
                    why: "moved by somebody else: this is when it was seen".into(),
                };
                (self.next(), Note { is: Move { version: named, signed }, made: true })
            }
        })
    }

    /// The key of the tag of the next note, which no other writer will have.
    pub(super) fn next(&self) -> String {
        let number = self.notes.last().map_or(1, |(Key(last, _), _)| last + 1);
        self.tag(&Key(number, format!("{:016x}", RandomState::new().hash_one(number))))
    }

    fn tag(&self, Key(number, letters): &Key) -> String {
        format!("{PREFIX}.{}.{number:06}.{letters}", self.alias)
    }
}

/// The note in a tag, if it is one of this alias.
fn read(tag: &Tag, alias: &str) -> Option<(Key, Note)> {
    // An alias may have dots: the other two parts haven't.
    let mut parts = tag.key.rsplitn(3, '.');
    let (letters, number) = (parts.next()?, parts.next()?.parse().ok()?);
    let is_ours = parts.next()?.strip_prefix(PREFIX)?.strip_prefix('.')? == alias;
    is_ours.then_some((Key(number, letters.into()), serde_json::from_str(&tag.value).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::former;

    /// Of an alias that names a version, by versions that were noted, in order, and whether their moves were confirmed.
    fn history(notes: &[(u64, bool)], named: u64) -> History {
        let tag = |(number, (version, made)): (usize, &(u64, bool))| {
            let note = json!({"version": version, "at": 7, "by": "Ada", "why": "better", "made": made});
            json!({"key": format!("{PREFIX}.production.{:06}.0", number + 1), "value": note.to_string()})
        };
        let tags: Vec<_> = notes.iter().enumerate().map(tag).collect();
        let aliases = json!([{"alias": "production", "version": named.to_string()}]);
        let model = json!({"name": "means", "tags": tags, "aliases": aliases});
        History::of(&serde_json::from_value(model).unwrap(), "production")
    }

    fn versions(history: &History) -> Vec<u64> {
        history.moves().iter().map(|it| it.version).collect()
    }

    #[test]
    fn a_note_counts_if_the_alias_has_moved_as_it_says() {
        let not_moved = history(&[(1, true), (2, false)], 1);
        assert_eq!((versions(&not_moved), not_moved.unconfirmed().is_none()), (vec![1], true));
        let moved = history(&[(1, true), (2, false)], 2);
        assert_eq!(versions(&moved), [1, 2]);
        let (key, note) = moved.unconfirmed().unwrap();
        assert_eq!(
            (&*key, note.made, &*note.is.signed.by),
            ("autorma.move.production.000002.0", true, "Ada")
        );
    }

    #[test]
    fn a_note_that_is_older_than_the_last_move_says_nothing_of_a_later_one() {
        // Who noted 2 has died before the move; then 3 was named, and then 2 by somebody who notes nothing.
        let history = history(&[(1, true), (2, false), (3, true)], 2);
        assert_eq!((versions(&history), former(&history.moves())), (vec![1, 3, 2], Some(3)));
        let (key, note) = history.unconfirmed().unwrap();
        assert!(key.starts_with("autorma.move.production.000004."), "{key}");
        assert!(note.made && note.is.signed.by.is_empty(), "{note:?}");
    }
}
