//! What became of image events, by event.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

pub(crate) use autorma_schemas::Id;
use autorma_schemas::{DeadLetter, Decision, Event, Micros, Prediction, topics};
use autorma_stream::{Log, scan};

/// What is said of an event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    Prediction { class: Arc<str>, decision: Decision, confidence: f64 },
    DeadLetter { reason: Arc<str> },
}

impl Verdict {
    /// Whether the two say the same of a photo, however sure they are. The next class of what is unknown is a part of that,
    /// unlike in [`autorma_schemas::Agreement`]: it is in the results.
    pub(crate) fn agrees(&self, other: &Verdict) -> bool {
        match (self, other) {
            (
                Verdict::Prediction { class, decision, .. },
                Verdict::Prediction { class: other_class, decision: other_decision, .. },
            ) => class == other_class && decision == other_decision,
            (Verdict::DeadLetter { reason }, Verdict::DeadLetter { reason: other }) => reason == other,
            _ => false,
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        matches!(self, Verdict::DeadLetter { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Prediction { class, decision, .. } => write!(f, "{class}, {decision}"),
            Verdict::DeadLetter { reason } => write!(f, "dead letter: {reason}"),
        }
    }
}

/// A verdict and when it was made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) at: Micros,
}

/// Classes and reasons are few: each is kept once.
#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<Arc<str>>);

impl Names {
    fn of(&mut self, name: &str) -> Arc<str> {
        match self.0.get(name) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<str> = name.into();
                self.0.insert(Arc::clone(&new));
                new
            }
        }
    }

    pub(crate) fn prediction(&mut self, it: &Prediction) -> Verdict {
        let class = self.of(&it.predicted_class);
        Verdict::Prediction { class, decision: it.decision, confidence: it.confidence }
    }

    pub(crate) fn dead_letter(&mut self, it: &DeadLetter) -> Verdict {
        Verdict::DeadLetter { reason: self.of(&it.reason) }
    }
}

/// The newest outcome in the log of each event that `is_wanted`.
pub(crate) fn newest(log: &dyn Log, is_wanted: impl Fn(Id) -> bool) -> anyhow::Result<HashMap<Id, Outcome>> {
    let (mut names, mut newest) = (Names::default(), HashMap::<Id, Outcome>::new());
    let mut take = |id: Id, verdict: Verdict, at: Micros| {
        if newest.get(&id).is_none_or(|known| known.at <= at) {
            newest.insert(id, Outcome { verdict, at });
        }
    };
    for record in scan(log, topics::PREDICTIONS)? {
        if let Ok(it) = Prediction::decode(&record?.value)
            && is_wanted(Id::of(&it.event_id))
        {
            take(Id::of(&it.event_id), names.prediction(&it), it.processed_at);
        }
    }
    for record in scan(log, topics::DEAD_LETTERS)? {
        if let Ok(it) = DeadLetter::decode(&record?.value)
            && let Some(id) = it.event_id.as_deref().map(Id::of)
            && is_wanted(id)
        {
            take(id, names.dead_letter(&it), it.failed_at);
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_be_surer_is_no_other_verdict() {
        let mut names = Names::default();
        let mut verdict = |class: &str, decision, confidence| Verdict::Prediction {
            class: names.of(class),
            decision,
            confidence,
        };
        let one = verdict("tops", Decision::Accept, 0.9);
        assert!(one.agrees(&verdict("tops", Decision::Accept, 0.8)));
        assert!(!one.agrees(&verdict("tops", Decision::Review, 0.9)));
        assert!(!one.agrees(&verdict("shirts", Decision::Accept, 0.9)));
        assert!(!one.agrees(&Verdict::DeadLetter { reason: "missing".into() }));
    }
}
