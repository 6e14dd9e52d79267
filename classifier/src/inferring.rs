use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use autorma_models::{Manifest, Verdict};
use autorma_schemas::{ModelVersion, Reason, Shadow};

use crate::bisect::bisect;
use crate::outcome::{Decoded, Finished, Said};
use crate::swapping::Seat;
use crate::{Config, Failure, Metrics, Picture, Session};

/// What a model's outputs mean, for predictions that name it.
#[derive(Debug)]
pub(crate) struct Meaning {
    pub(crate) manifest: Manifest,
    pub(crate) version: ModelVersion,
}

/// A session, and what it says.
#[derive(Debug)]
pub(crate) struct Instrument {
    pub(crate) session: Session,
    pub(crate) meaning: Arc<Meaning>,
}

/// What a worker computes with: an instrument for each arm, and one for the shadow while it has a version that can serve.
#[derive(Debug)]
pub(crate) struct Kit {
    arms: Vec<Instrument>,
    shadow: Option<Instrument>,
}

impl Kit {
    /// With an instrument for each arm, in their order.
    pub(crate) fn new(arms: Vec<Instrument>) -> Self {
        Self { arms, shadow: None }
    }

    /// Exchanges the instruments for which there are others.
    pub(crate) fn renew(&mut self, others: BTreeMap<Seat, Instrument>) {
        for (seat, instrument) in others {
            match seat {
                Seat::Arm(arm) => self.arms[arm] = instrument,
                Seat::Shadow => self.shadow = Some(instrument),
            }
        }
    }

    /// From a micro-batch of an arm's images to predictions, and dead letters for those that its model fails on. All of it
    /// is one version's, and so is what the shadow says of it.
    pub(crate) fn infer(
        &mut self,
        arm: usize,
        batch: Vec<Decoded>,
        config: &Config,
        metrics: &Metrics,
    ) -> Vec<Finished> {
        let pictures: Vec<_> = batch.iter().map(|decoded| &decoded.picture).collect();
        let (instrument, begun) = (&mut self.arms[arm], Instant::now());
        let verdicts = instrument.judge(&pictures);
        metrics.micro_batch(pictures.len(), begun.elapsed());
        // Once the shadow's version publishes, there is nothing to compare it with.
        let shadow = self.shadow.as_mut().filter(|it| it.meaning.version != instrument.meaning.version);
        let mut shadows = shadow.map(|shadow| shadow.shadows(&pictures, metrics).into_iter());
        let said = verdicts.into_iter().map(|verdict| {
            // One for each picture, even for those that the arm's model fails on.
            let shadow = shadows.as_mut().and_then(Iterator::next).flatten();
            let (model, arm) = (&instrument.meaning.version, config.split.name(arm));
            verdict.map(|verdict| Said { verdict, model, arm, shadow })
        });
        let said: Vec<_> = said.collect();
        let finish = |(decoded, said): (Decoded, Result<Said<'_>, Failure>)| match said {
            Ok(said) => decoded.predicted(said, config.batch_size),
            Err(failure) => decoded.failed(failure, config.batch_size),
        };
        batch.into_iter().zip(said).map(finish).collect()
    }
}

impl Instrument {
    /// What its version says of each picture; a picture that the model fails on costs itself.
    fn judge(&mut self, pictures: &[&Picture]) -> Vec<Result<Verdict, Failure>> {
        let logits = bisect(pictures.len(), |range| self.session.infer(&pictures[range]));
        logits.into_iter().map(|logits| self.meaning.verdict(logits)).collect()
    }

    /// The same for comparison only: whatever it fails on, it just says nothing of.
    fn shadows(&mut self, pictures: &[&Picture], metrics: &Metrics) -> Vec<Option<Shadow>> {
        let begun = Instant::now();
        // The session holds nothing but buffers that the next call overwrites.
        let verdicts = catch_unwind(AssertUnwindSafe(|| self.judge(pictures))).unwrap_or_else(|_| {
            let panicked = || Err(Failure::new(Reason::ModelFailed, "a panic"));
            pictures.iter().map(|_| panicked()).collect()
        });
        metrics.shadow_seconds.observe(begun.elapsed().as_secs_f64());
        let shadow = |verdict: Result<Verdict, Failure>| match verdict {
            Ok(verdict) => Some(self.meaning.shadow(verdict)),
            Err(failure) => {
                tracing::debug!(%failure, "the shadow says nothing of a picture");
                metrics.shadow_failures.inc();
                None
            }
        };
        verdicts.into_iter().map(shadow).collect()
    }
}

impl Meaning {
    fn verdict(&self, logits: Result<Vec<f32>, String>) -> Result<Verdict, Failure> {
        let logits = logits.map_err(|message| Failure::new(Reason::ModelFailed, message))?;
        let decided = self.manifest.decide(&logits);
        decided.map_err(|error| Failure::new(Reason::NotANumber, error.to_string()))
    }

    fn shadow(&self, verdict: Verdict) -> Shadow {
        Shadow {
            predicted_class: verdict.predicted_class,
            confidence: verdict.confidence,
            unknown_probability: verdict.unknown_probability,
            decision: verdict.decision,
            model: self.version.clone(),
        }
    }
}
