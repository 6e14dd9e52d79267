use autorma_schemas::{ClassProbability, Decision};

use crate::Manifest;

/// What a model's outputs for one image mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The best of the classes, whatever the decision is.
    pub predicted_class: String,
    /// Its probability among the classes.
    pub confidence: f64,
    /// One for each class in the manifest's order; they add up to 1.
    pub probabilities: Vec<ClassProbability>,
    /// The probability of being none of the classes.
    pub unknown_probability: f64,
    /// What to do with it.
    pub decision: Decision,
}

/// The model's outputs are no numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model's output has numbers that are no numbers")]
pub struct NotANumber;

impl Manifest {
    /// What the `logits` of one image ([`Manifest::outputs`] of them) mean: a softmax at the manifest's temperature
    /// over everything that the model knows, of which the classes' part is scaled up to 1.
    pub fn decide(&self, logits: &[f32]) -> Result<Verdict, NotANumber> {
        if logits.len() != self.outputs() || !logits.iter().all(|logit| logit.is_finite()) {
            return Err(NotANumber);
        }
        let (classes, unknown) = logits.split_at(self.classes.len());
        let highest = |logits: &[f32]| logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights = |logits: &[f32], base: f32| -> Vec<f64> {
            logits
                .iter()
                .map(|logit| ((f64::from(*logit) - f64::from(base)) / self.temperature).exp())
                .collect()
        };
        // Each softmax relative to its own highest logit: the classes' probabilities stay exact however small their
        // part of the whole is.
        let among: Vec<f64> = weights(classes, highest(classes));
        let sum: f64 = among.iter().sum();
        let base = highest(logits);
        let inside: f64 = weights(classes, base).iter().sum();
        // What nothing sums up to is -0.
        let outside = 0.0 + weights(unknown, base).iter().sum::<f64>();
        let unknown_probability = outside / (inside + outside);
        let probabilities: Vec<_> = self
            .classes
            .iter()
            .zip(&among)
            .map(|(label, weight)| ClassProbability { label: label.clone(), probability: weight / sum })
            .collect();
        let best = probabilities
            .iter()
            .reduce(|best, next| if next.probability > best.probability { next } else { best })
            .ok_or(NotANumber)?;
        let (predicted_class, confidence) = (best.label.clone(), best.probability);
        let decision = self.thresholds.decision(confidence, unknown_probability);
        Ok(Verdict { predicted_class, confidence, probabilities, unknown_probability, decision })
    }
}

impl crate::Thresholds {
    /// Whether there is a confidence that is accepted: a threshold of 1 is none that a confidence reaches.
    pub fn accepts(&self) -> bool {
        self.accept < 1.0
    }

    fn decision(&self, confidence: f64, unknown_probability: f64) -> Decision {
        if unknown_probability >= self.unknown {
            Decision::Unknown
        } else if confidence < self.accept || !self.accepts() {
            Decision::Review
        } else {
            Decision::Accept
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;
    use proptest::prelude::*;

    fn manifest() -> Manifest {
        let mut manifest =
            Model::manifest(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/shipped"))).unwrap();
        manifest.output.unknown = vec!["a thing".into(), "another".into()];
        manifest
    }

    #[test]
    fn what_is_unknown_is_the_sum_of_all_that_is_none_of_the_classes() {
        let manifest = Manifest { temperature: 1.0, ..manifest() };
        let verdict = manifest.decide(&[0.0; 7]).unwrap();
        assert!((verdict.unknown_probability - 2.0 / 7.0).abs() < 1e-12, "{verdict:?}");
    }

    #[test]
    fn decisions_follow_the_thresholds() {
        let manifest = manifest();
        let decide = |logits: [f32; 7]| manifest.decide(&logits).unwrap();
        let sure = decide([9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!((sure.predicted_class.as_str(), sure.decision), ("casual shoes", Decision::Accept));
        assert_eq!(decide([3.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0]).decision, Decision::Review);
        let other = decide([0.0, 0.0, 0.0, 0.0, 2.0, 9.0, 9.0]);
        assert_eq!((other.predicted_class.as_str(), other.decision), ("watches", Decision::Unknown));
    }

    #[test]
    fn a_model_of_classes_alone_says_0_of_unknowns_and_not_less() {
        let mut manifest = manifest();
        manifest.output.unknown.clear();
        let Verdict { unknown_probability, decision, .. } =
            manifest.decide(&[9.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
        assert!(
            unknown_probability == 0.0 && unknown_probability.is_sign_positive(),
            "{unknown_probability}"
        );
        assert_eq!(decision, Decision::Accept);
    }

    #[test]
    fn numbers_that_are_none_decide_nothing() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(manifest().decide(&[0.0, 0.0, broken, 0.0, 0.0, 0.0, 0.0]), Err(NotANumber));
        }
        assert_eq!(manifest().decide(&[0.0; 3]), Err(NotANumber), "of another model");
    }

    proptest! {
        /// Whatever finite numbers come out of a model: probabilities are probabilities, and the best is the best.
        #[test]
        fn probabilities_are_probabilities(logits in proptest::collection::vec(-1e30f32..1e30, 7)) {
            let verdict = manifest().decide(&logits).unwrap();
            let sum: f64 = verdict.probabilities.iter().map(|class| class.probability).sum();
            prop_assert!((sum - 1.0).abs() < 1e-9);
            prop_assert!((0.0..=1.0).contains(&verdict.unknown_probability));
            prop_assert!(verdict.probabilities.iter().all(|class| class.probability <= verdict.confidence));
        }
    }
}
