use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use autorma_schemas::{Agreement, Decision, Id, Micros, ModelVersion};

use crate::Counts;
use crate::Error;
use crate::coverage::Coverage;
use crate::part::{Line, Part, Predicted};
use crate::store::Store;

/// What the parts of one run hold: counts for the summary, and where the entries of the results file stand. The
/// entries themselves stay on the disk.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Their paths.
    pub(crate) parts: Vec<String>,
    pub(crate) predictions: Vec<Entry>,
    pub(crate) failed: Vec<Entry>,
    pub(crate) duplicates: u64,
    pub(crate) reasons: BTreeMap<String, u64>,
    /// Of all predictions, whatever their arm.
    pub(crate) all: Arm,
    pub(crate) arms: BTreeMap<String, Arm>,
    /// What the shadow says, beside how many predictions.
    pub(crate) shadow: BTreeMap<Agreement, u64>,
    /// The same of each version that was published with each that was its shadow.
    pub(crate) pairs: BTreeMap<(ModelVersion, ModelVersion), BTreeMap<Agreement, u64>>,
    /// Seconds from an event being seen to its outcome being on the disk.
    pub(crate) latencies: Vec<f64>,
    /// When the last image was done.
    pub(crate) last: Option<Micros>,
}

/// What an arm of a split has said, or all of them together.
#[derive(Debug)]
pub(crate) struct Arm {
    pub(crate) classes: BTreeMap<String, u64>,
    pub(crate) decisions: BTreeMap<String, u64>,
    pub(crate) models: BTreeMap<ModelVersion, u64>,
    pub(crate) confidences: Vec<f64>,
}

/// Where one entry stands. Entries are in the order of their producer's numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    sequence: i64,
    id: Id,
    /// Which of the run's parts.
    pub(crate) part: usize,
    start: usize,
    end: usize,
}

impl Entry {
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

impl Tally {
    /// Reads the run's parts among these, calling `alive` now and then.
    pub(crate) fn of(
        store: &Store,
        run_id: &str,
        paths: &[String],
        alive: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let (mut tally, mut seen, mut coverage) = (Self::default(), HashSet::new(), Coverage::default());
        for path in paths {
            let content = store.get(path)?.ok_or_else(|| gone(store, path))?;
            let part = Part::read(&store.place(path), content)?;
            if part.header.run_id == run_id {
                tally.take(path, &part, &mut seen, &mut coverage)?;
            }
            alive()?;
        }
        tally.sort();
        Ok(tally)
    }

    fn take(
        &mut self,
        path: &str,
        part: &Part,
        seen: &mut HashSet<Id>,
        coverage: &mut Coverage,
    ) -> Result<(), Error> {
        let number = self.parts.len();
        self.parts.push(path.to_owned());
        if coverage.add(&part.header) {
            self.duplicates += part.header.duplicates;
        }
        for line in part.lines() {
            let (line, range) = line?;
            // As in the books: a part that was put back holds what was filled in meanwhile.
            if seen.insert(line.id) {
                self.add(line, number, range, part.header.stored_at);
            }
        }
        Ok(())
    }

    fn add(&mut self, line: Line, part: usize, range: Range<usize>, stored_at: Micros) {
        let entry = Entry { sequence: line.sequence, id: line.id, part, start: range.start, end: range.end };
        self.last = self.last.max(Some(line.done_at));
        self.latencies.push(stored_at.seconds_since(line.seen_at).max(0.0));
        if let Some(predicted) = line.prediction {
            self.predictions.push(entry);
            if let Some(agreement) = line.shadow {
                *self.shadow.entry(agreement).or_default() += 1;
                if let Some(shadow) = line.shadow_model {
                    let pair = self.pairs.entry((predicted.model.clone(), shadow)).or_default();
                    *pair.entry(agreement).or_default() += 1;
                }
            }
            if let Some(arm) = line.arm {
                self.arms.entry(arm).or_default().add(&predicted);
            }
            self.all.add(&predicted);
        } else {
            self.failed.push(entry);
            let reason = line.dead_letter.map_or_else(String::new, |failed| failed.reason);
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// Whether nothing is missing of what was counted when it was read.
    pub(crate) fn is_of(&self, counts: &Counts) -> bool {
        let found = (self.predictions.len() as u64, self.failed.len() as u64, self.duplicates);
        found == (counts.predictions, counts.dead_letters, counts.duplicates)
    }

    fn sort(&mut self) {
        self.predictions.sort_unstable();
        self.failed.sort_unstable();
        self.latencies.sort_unstable_by(f64::total_cmp);
        let arms = self.arms.values_mut().chain([&mut self.all]);
        arms.for_each(|arm| arm.confidences.sort_unstable_by(f64::total_cmp));
    }
}

impl Default for Arm {
    fn default() -> Self {
        let (classes, models, confidences) = Default::default();
        // Who compares runs wants to see the zeros.
        let decisions = Decision::ALL.iter().map(|decision| (decision.to_string(), 0)).collect();
        Self { classes, decisions, models, confidences }
    }
}

impl Arm {
    fn add(&mut self, it: &Predicted) {
        *self.classes.entry(it.predicted_class.clone()).or_default() += 1;
        *self.decisions.entry(it.decision.to_string()).or_default() += 1;
        *self.models.entry(it.model.clone()).or_default() += 1;
        self.confidences.extend(it.confidence);
    }
}

/// A part that was there a moment ago.
pub(crate) fn gone(store: &Store, path: &str) -> Error {
    let remedy = "start again: what it held is read anew from the log";
    Error::Unreadable { place: store.place(path), cause: "it is gone".into(), remedy }
}
