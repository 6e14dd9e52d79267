use std::sync::Arc;

use autorma_models::Manifest;
use autorma_schemas::{ModelVersion, Reason};

use crate::bisect::bisect;
use crate::outcome::{Decoded, Finished};
use crate::{Failure, Session};

/// What a model's outputs mean, for predictions that name it.
#[derive(Debug)]
pub(crate) struct Meaning {
    pub(crate) manifest: Manifest,
    pub(crate) version: ModelVersion,
    pub(crate) batch_size: usize,
}

/// What a worker computes with. All of it is one version's, and so is a micro-batch.
#[derive(Debug)]
pub(crate) struct Instrument {
    pub(crate) session: Session,
    pub(crate) meaning: Arc<Meaning>,
}

impl Instrument {
    /// From a micro-batch to predictions, and dead letters for those that the model fails on.
    pub(crate) fn infer(&mut self, batch: Vec<Decoded>) -> Vec<Finished> {
        let logits = bisect(batch.len(), |range| {
            let pictures: Vec<_> = batch[range].iter().map(|decoded| &decoded.picture).collect();
            self.session.infer(&pictures)
        });
        let finish = |(decoded, logits)| self.meaning.finish(decoded, logits);
        batch.into_iter().zip(logits).map(finish).collect()
    }
}

impl Meaning {
    fn finish(&self, decoded: Decoded, logits: Result<Vec<f32>, String>) -> Finished {
        let verdict =
            logits.map_err(|message| Failure::new(Reason::ModelFailed, message)).and_then(|logits| {
                let decided = self.manifest.decide(&logits);
                decided.map_err(|error| Failure::new(Reason::NotANumber, error.to_string()))
            });
        match verdict {
            Ok(verdict) => decoded.predicted(verdict, &self.version, self.batch_size),
            Err(failure) => decoded.failed(failure, self.batch_size),
        }
    }
}
