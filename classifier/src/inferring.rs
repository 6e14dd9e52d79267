use autorma_models::Manifest;
use autorma_schemas::{ModelVersion, Reason};

use crate::bisect::bisect;
use crate::outcome::{Decoded, Finished};
use crate::{Failure, Session};

/// What a model's outputs mean, for predictions that name it.
#[derive(Debug)]
pub(crate) struct Meaning<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) version: &'a ModelVersion,
    pub(crate) batch_size: usize,
}

impl Meaning<'_> {
    /// From a micro-batch to predictions, and dead letters for those that the model fails on.
    pub(crate) fn infer(&self, session: &mut Session, batch: Vec<Decoded>) -> Vec<Finished> {
        let logits = bisect(batch.len(), |range| {
            let pictures: Vec<_> = batch[range].iter().map(|decoded| &decoded.picture).collect();
            session.infer(&pictures)
        });
        batch.into_iter().zip(logits).map(|(decoded, logits)| self.finish(decoded, logits)).collect()
    }

    fn finish(&self, decoded: Decoded, logits: Result<Vec<f32>, String>) -> Finished {
        let verdict =
            logits.map_err(|message| Failure::new(Reason::ModelFailed, message)).and_then(|logits| {
                let decided = self.manifest.decide(&logits);
                decided.map_err(|error| Failure::new(Reason::NotANumber, error.to_string()))
            });
        match verdict {
            Ok(verdict) => decoded.predicted(verdict, self.version, self.batch_size),
            Err(failure) => decoded.failed(failure, self.batch_size),
        }
    }
}
