//! The moves of an alias, which MLflow doesn't remember: each is a tag of its own on the registered model, so that two
//! writers never overwrite each other's. A move is noted before it is made, and confirmed after: a writer that dies in
//! between leaves a note that counts only if the alias names what it says.

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
        let named = model.aliases.iter().find(|it| it.alias == alias);
        Self { alias: alias.into(), notes, named: named.and_then(|it| it.version.parse().ok()) }
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
        // Its writer has died, or is about to confirm it.
        let begun = self.notes.iter().rev().find(|(_, note)| note.is.version == named && !note.made);
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
