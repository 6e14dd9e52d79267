use std::collections::BTreeMap;

use autorma_schemas::{Agreement, Micros, ModelVersion, RunKind, RunRecord, RunState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::results_file;
use crate::tally::{Arm, Tally};

/// A finished run in numbers, `runs/<run>/summary.json`. It is made of parts and the run's record alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run.
    pub run_id: String,
    /// What made it one run.
    pub kind: RunKind,
    /// Where its images came from.
    pub input: String,
    /// Finished, always: an unfinished run has no summary.
    pub state: RunState,
    /// When it was opened: RFC 3339, UTC.
    pub opened_at: String,
    /// When its last image was known.
    pub closed_at: Option<String>,
    /// Image events appended to it.
    pub images: u64,
    /// Different ones among them: predictions and dead letters.
    pub discovered: u64,
    /// Images with a prediction.
    pub predictions: u64,
    /// Images that can't be classified.
    pub dead_letters: u64,
    /// Image events whose id the run already had.
    pub duplicates: u64,
    /// Files found that an earlier run had published.
    pub already_done: u64,
    /// Why images can't be classified.
    pub dead_letters_by_reason: BTreeMap<String, u64>,
    /// What the model saw.
    pub predictions_by_class: BTreeMap<String, u64>,
    /// What to do with the predictions: accept, review, unknown.
    pub decisions: BTreeMap<String, u64>,
    /// How sure the model was; none without predictions.
    pub confidence: Option<Confidence>,
    /// The models that made the predictions.
    pub models: Vec<ModelCount>,
    /// The arms that its images were split among, by alias; left out if they weren't.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arms: BTreeMap<String, ArmSummary>,
    /// What another version says beside the predictions; left out if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowSummary>,
    /// From the run's opening to its last image.
    pub duration_seconds: f64,
    /// Images in that time.
    pub images_per_second: f64,
    /// From a photo being seen to its outcome being on the disk; none without images.
    pub latency_seconds: Option<Latency>,
    /// The results file's name, in the same output folder.
    pub results: String,
}

/// Quantiles of the calibrated probability of the best class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Confidence {
    pub min: f64,
    pub p05: f64,
    pub p25: f64,
    pub p50: f64,
    pub p75: f64,
    pub p95: f64,
    pub max: f64,
}

/// Quantiles of a latency, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

/// A model with how many predictions it made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ModelCount {
    #[serde(flatten)]
    pub model: ModelVersion,
    pub predictions: u64,
}

/// An arm of a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ArmSummary {
    pub predictions: u64,
    pub predictions_by_class: BTreeMap<String, u64>,
    pub decisions: BTreeMap<String, u64>,
    /// Of the best class; none if no prediction has one.
    pub mean_confidence: Option<f64>,
    pub models: Vec<ModelCount>,
}

/// How often versions that aren't published say the same as what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowSummary {
    /// Of all of them.
    #[serde(flatten)]
    pub all: Agreements,
    /// Of each two: an alias may have moved in the meantime.
    #[serde(default)]
    pub pairs: Vec<PairSummary>,
}

/// A version that was published, and one that was its shadow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PairSummary {
    pub published: ModelVersion,
    pub shadow: ModelVersion,
    #[serde(flatten)]
    pub agreements: Agreements,
}

/// How often two say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreements {
    /// Predictions beside which the shadow says something.
    pub compared: u64,
    /// The same class and decision, or both unknown.
    pub same: u64,
    /// The same class, to be treated otherwise.
    pub other_decision: u64,
    /// Another class.
    pub other_class: u64,
}

impl ArmSummary {
    fn of(arm: &Arm) -> Self {
        let confidences = &arm.confidences;
        let mean = confidences.iter().sum::<f64>() / confidences.len() as f64;
        Self {
            predictions: arm.models.values().sum(),
            predictions_by_class: arm.classes.clone(),
            decisions: arm.decisions.clone(),
            mean_confidence: (!confidences.is_empty()).then(|| round(mean, 6)),
            models: models(&arm.models),
        }
    }
}

impl ShadowSummary {
    fn of(tally: &Tally) -> Option<Self> {
        let pair = |((published, shadow), counts): (&(ModelVersion, ModelVersion), &BTreeMap<_, _>)| {
            let (published, shadow) = (published.clone(), shadow.clone());
            PairSummary { published, shadow, agreements: Agreements::of(counts) }
        };
        let all = Agreements::of(&tally.shadow);
        (all.compared > 0).then(|| Self { all, pairs: tally.pairs.iter().map(pair).collect() })
    }
}

impl Agreements {
    fn of(counts: &BTreeMap<Agreement, u64>) -> Self {
        let count = |agreement| counts.get(&agreement).copied().unwrap_or(0);
        let [same, other_decision, other_class] = Agreement::ALL.map(count);
        Self { compared: same + other_decision + other_class, same, other_decision, other_class }
    }
}

impl Summary {
    pub(crate) fn of(run: &RunRecord, tally: &Tally) -> Self {
        let (predictions, dead_letters) = (tally.predictions.len() as u64, tally.failed.len() as u64);
        let discovered = predictions + dead_letters;
        let seconds = tally.last.map_or(0.0, |last| last.seconds_since(run.opened_at).max(0.0));
        let pace = if seconds > 0.0 { discovered as f64 / seconds } else { 0.0 };
        Self {
            run_id: run.run_id.clone(),
            kind: run.kind,
            input: run.input.clone(),
            state: RunState::Finished,
            opened_at: instant(run.opened_at),
            closed_at: run.closed_at.map(instant),
            images: discovered + tally.duplicates,
            discovered,
            predictions,
            dead_letters,
            duplicates: tally.duplicates,
            already_done: run.already_done.max(0) as u64,
            dead_letters_by_reason: tally.reasons.clone(),
            predictions_by_class: tally.all.classes.clone(),
            decisions: tally.all.decisions.clone(),
            confidence: quantiles(&tally.all.confidences, [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0])
                .map(|[min, p05, p25, p50, p75, p95, max]| Confidence { min, p05, p25, p50, p75, p95, max }),
            models: models(&tally.all.models),
            arms: tally.arms.iter().map(|(alias, arm)| (alias.clone(), ArmSummary::of(arm))).collect(),
            shadow: ShadowSummary::of(tally),
            duration_seconds: round(seconds, 2),
            images_per_second: round(pace, 2),
            latency_seconds: quantiles(&tally.latencies, [0.5, 0.9, 0.99, 1.0])
                .map(|[p50, p90, p99, max]| Latency { p50, p90, p99, max }),
            results: results_file(&run.run_id),
        }
    }
}

fn models(models: &BTreeMap<ModelVersion, u64>) -> Vec<ModelCount> {
    let count = |(model, predictions): (&ModelVersion, &u64)| ModelCount {
        model: model.clone(),
        predictions: *predictions,
    };
    models.iter().map(count).collect()
}

/// An instant as scripts like it.
fn instant(at: Micros) -> String {
    Timestamp::from_microsecond(at.0).unwrap_or_default().to_string()
}

/// The smallest values that are no smaller than these shares of all; None if there are none.
fn quantiles<const N: usize>(sorted: &[f64], shares: [f64; N]) -> Option<[f64; N]> {
    let last = sorted.len().checked_sub(1)?;
    let rank = |share: f64| ((share * sorted.len() as f64).ceil() as usize).saturating_sub(1).min(last);
    Some(shares.map(|share| round(sorted[rank(share)], 6)))
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occur() {
        let values: Vec<_> = (1..=100).map(f64::from).collect();
        assert_eq!(quantiles(&values, [0.0, 0.05, 0.5, 0.99, 1.0]), Some([1.0, 5.0, 50.0, 99.0, 100.0]));
        assert_eq!(quantiles(&[0.25], [0.0, 0.5, 1.0]), Some([0.25; 3]));
        assert_eq!(quantiles(&[], [0.5]), None);
    }

    #[test]
    fn instants_have_their_zone() {
        assert_eq!(instant(Micros(1_795_000_000_012_345)), "2026-11-18T11:06:40.012345Z");
    }
}
