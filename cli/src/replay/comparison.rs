//! What a replay says otherwise than what was said before.

use std::collections::{BTreeMap, HashMap};

use autorma_schemas::{DeadLetter, Event, Origin, Prediction, readable_url, topics};
use autorma_stream::Append;
use serde::Serialize;

use crate::outcomes::{Id, Names, Outcome, Verdict};

/// Counts and the photos that changed. The others are only counted.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    former: HashMap<Id, Outcome>,
    names: Names,
    pub(super) same: u64,
    /// Events that had no outcome yet.
    pub(super) first: u64,
    pub(super) flips: Vec<Flip>,
}

/// A photo with another verdict than before.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Flip {
    pub(super) event_id: String,
    pub(super) name: String,
    pub(super) path: Option<String>,
    pub(super) from: Option<Side>,
    pub(super) to: Side,
    pub(super) origin: Origin,
}

/// A verdict for scripts.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Side {
    pub(super) predicted_class: Option<String>,
    pub(super) decision: Option<String>,
    pub(super) confidence: Option<f64>,
    pub(super) reason: Option<String>,
    #[serde(skip)]
    pub(super) text: String,
}

/// How many photos went from one verdict to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) images: u64,
}

impl Comparison {
    pub(super) fn with(former: HashMap<Id, Outcome>) -> Self {
        Self { former, ..Self::default() }
    }

    /// Takes what was appended to a topic.
    pub(super) fn take(&mut self, append: &Append) {
        match append.topic.as_str() {
            topics::PREDICTIONS => {
                if let Ok(it) = Prediction::decode(&append.value) {
                    let verdict = self.names.prediction(&it);
                    self.compare(it.event_id, it.name, it.uri, it.origin, &verdict);
                }
            }
            topics::DEAD_LETTERS => {
                if let Ok(it) = DeadLetter::decode(&append.value) {
                    let verdict = self.names.dead_letter(&it);
                    self.compare(it.event_id.unwrap_or_default(), it.name, it.uri, it.origin, &verdict);
                }
            }
            _ => {}
        }
    }

    fn compare(
        &mut self,
        event_id: String,
        name: String,
        uri: Option<String>,
        origin: Origin,
        now: &Verdict,
    ) {
        let former = self.former.remove(&Id::of(&event_id)).map(|former| former.verdict);
        match &former {
            Some(former) if former.agrees(now) => self.same += 1,
            // A prediction where nothing was before is no change.
            None if !now.is_dead() => self.first += 1,
            _ => {
                self.first += u64::from(former.is_none());
                let (from, to) = (former.as_ref().map(Side::of), Side::of(now));
                let path = uri.as_deref().map(readable_url);
                self.flips.push(Flip { event_id, name, path, from, to, origin });
            }
        }
    }

    /// The changes with their counts, the most frequent first.
    pub(super) fn changes(&self) -> Vec<Change> {
        let mut counts = BTreeMap::<(String, String), u64>::new();
        for flip in self.flips.iter().filter(|flip| flip.from.is_some()) {
            let from = flip.from.as_ref().map_or_else(String::new, |from| from.text.clone());
            *counts.entry((from, flip.to.text.clone())).or_default() += 1;
        }
        let mut changes: Vec<_> =
            counts.into_iter().map(|((from, to), images)| Change { from, to, images }).collect();
        changes.sort_by_key(|change| std::cmp::Reverse(change.images));
        changes
    }

    /// Photos whose verdict is another one now.
    pub(super) fn changed(&self) -> u64 {
        self.flips.iter().filter(|flip| flip.from.is_some()).count() as u64
    }

    /// Photos that are dead letters now and weren't before.
    pub(super) fn new_dead_letters(&self) -> u64 {
        let was_dead = |flip: &Flip| flip.from.as_ref().is_some_and(|from| from.reason.is_some());
        self.flips.iter().filter(|flip| flip.to.reason.is_some() && !was_dead(flip)).count() as u64
    }
}

impl Side {
    fn of(verdict: &Verdict) -> Self {
        let text = verdict.to_string();
        match verdict {
            Verdict::Prediction { class, decision, confidence } => Self {
                predicted_class: Some(class.to_string()),
                decision: Some(decision.to_string()),
                confidence: Some(*confidence),
                reason: None,
                text,
            },
            Verdict::DeadLetter { reason } => Self {
                predicted_class: None,
                decision: None,
                confidence: None,
                reason: Some(reason.to_string()),
                text,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_schemas::{Decision, Micros};

    fn predicted(class: &str, decision: Decision) -> Verdict {
        Verdict::Prediction { class: class.into(), decision, confidence: 0.5 }
    }

    fn dead(reason: &str) -> Verdict {
        Verdict::DeadLetter { reason: reason.into() }
    }

    #[test]
    fn only_what_is_said_otherwise_is_a_change() {
        let (accept, review) = (Decision::Accept, Decision::Review);
        let events = [
            ("same", Some(predicted("tops", accept)), predicted("tops", accept)),
            ("class", Some(predicted("tops", accept)), predicted("shirts", accept)),
            ("class too", Some(predicted("tops", accept)), predicted("shirts", accept)),
            ("decision", Some(predicted("tops", accept)), predicted("tops", review)),
            ("dies", Some(predicted("tops", accept)), dead("missing")),
            ("still dead", Some(dead("missing")), dead("missing")),
            ("rises", Some(dead("missing")), predicted("tops", accept)),
            ("new", None, predicted("tops", accept)),
            ("new and dead", None, dead("missing")),
        ];
        let former = events.iter().filter_map(|(id, former, _)| {
            Some((Id::of(id), Outcome { verdict: former.clone()?, at: Micros(0) }))
        });
        let mut comparison = Comparison::with(former.collect());
        let origin = || Origin { topic: "images".into(), partition: 0, offset: 0 };
        for (id, _, now) in &events {
            comparison.compare((*id).into(), String::new(), None, origin(), now);
        }
        assert_eq!((comparison.same, comparison.first), (2, 2));
        assert_eq!((comparison.changed(), comparison.new_dead_letters()), (5, 2));
        let changes = comparison.changes();
        assert_eq!(
            changes[0],
            Change { from: "tops, accept".into(), to: "shirts, accept".into(), images: 2 }
        );
        assert_eq!(changes.iter().map(|change| change.images).sum::<u64>(), 5);
        assert_eq!(comparison.flips.len(), 6);
    }
}
