use std::collections::{BTreeMap, HashSet};

use autorma_schemas::{Agreement, Decision, Micros, ModelVersion, Prediction, Shadow, readable_url};
use serde::Serialize;

use crate::outcomes::Id;

/// Predictions, as far as there is something to compare.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// All that were chosen.
    pub(super) predictions: usize,
    /// By what is published and what is said beside it.
    pub(super) pairs: BTreeMap<(ModelVersion, ModelVersion), Pair>,
    /// By the arm and the version that its alias named.
    pub(super) arms: BTreeMap<(String, ModelVersion), Side>,
}

/// What two versions say of the same photos.
#[derive(Debug, Default)]
pub(super) struct Pair {
    /// An event that was published twice is one photo.
    seen: HashSet<Id>,
    pub(super) last: Micros,
    pub(super) published: Side,
    pub(super) shadow: Side,
    pub(super) agreements: BTreeMap<Agreement, usize>,
    /// How often the second is said where the first is published; of two that say unknown, the first is.
    pub(super) classes: BTreeMap<String, BTreeMap<String, usize>>,
    pub(super) differences: Vec<Difference>,
}

/// What a version says of photos.
#[derive(Debug, Default)]
pub(super) struct Side {
    seen: HashSet<Id>,
    pub(super) photos: usize,
    pub(super) decisions: BTreeMap<Decision, usize>,
    pub(super) confidence: f64,
}

/// A photo of which the two don't say the same.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    pub(super) event_id: String,
    pub(super) run_id: Option<String>,
    pub(super) name: String,
    pub(super) path: Option<String>,
    pub(super) agreement: Agreement,
    pub(super) published: Verdict,
    pub(super) shadow: Verdict,
}

/// What is said of a photo.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) predicted_class: String,
    pub(super) decision: Decision,
    pub(super) confidence: f64,
}

impl Tally {
    /// Whether there is nothing to compare.
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.arms.is_empty()
    }

    pub(super) fn add(&mut self, mut it: Prediction) {
        self.predictions += 1;
        let id = Id::of(&it.event_id);
        if let Some(arm) = it.arm.take() {
            let side = self.arms.entry((arm, it.model.clone())).or_default();
            if side.seen.insert(id) {
                side.add(it.decision, it.confidence);
            }
        }
        if let Some(shadow) = it.shadow.take() {
            let pair = self.pairs.entry((it.model.clone(), shadow.model.clone())).or_default();
            if pair.seen.insert(id) {
                pair.add(it, shadow);
            }
        }
    }
}

impl Pair {
    fn add(&mut self, it: Prediction, shadow: Shadow) {
        self.last = self.last.max(it.processed_at);
        self.published.add(it.decision, it.confidence);
        self.shadow.add(shadow.decision, shadow.confidence);
        let agreement = shadow.agreement((&it.predicted_class, it.decision));
        let beside = match agreement {
            Agreement::OtherClass => &shadow.predicted_class,
            Agreement::Same | Agreement::OtherDecision => &it.predicted_class,
        };
        let said = self.classes.entry(it.predicted_class.clone()).or_default();
        *said.entry(beside.clone()).or_default() += 1;
        *self.agreements.entry(agreement).or_default() += 1;
        if agreement != Agreement::Same {
            let of =
                |predicted_class, decision, confidence| Verdict { predicted_class, decision, confidence };
            self.differences.push(Difference {
                event_id: it.event_id,
                run_id: it.run_id,
                path: it.uri.as_deref().map(readable_url),
                name: it.name,
                agreement,
                published: of(it.predicted_class, it.decision, it.confidence),
                shadow: of(shadow.predicted_class, shadow.decision, shadow.confidence),
            });
        }
    }
}

impl Side {
    fn add(&mut self, decision: Decision, confidence: f64) {
        self.photos += 1;
        self.confidence += confidence;
        *self.decisions.entry(decision).or_default() += 1;
    }
}
