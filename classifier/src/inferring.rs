use std::time::Instant;

use autorma_models::Manifest;
use autorma_schemas::{ModelVersion, Reason};

use crate::bisect::bisect;
use crate::desk::Desk;
use crate::outcome::{Decoded, Finished};
use crate::{Failure, Metrics, Session};

/// What a session's thread needs beside the session.
#[derive(Debug)]
pub(crate) struct Model<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) version: &'a ModelVersion,
    pub(crate) batch_size: usize,
}

/// One session's thread: micro-batches of pictures become predictions or dead letters.
pub(crate) fn infer(desk: &Desk, mut session: Session, model: &Model<'_>, metrics: &Metrics) {
    while let Some(batch) = desk.next_batch() {
        let begun = Instant::now();
        let size = batch.len();
        let logits = bisect(size, |range| {
            let pictures: Vec<_> = batch[range].iter().map(|decoded| &decoded.picture).collect();
            session.infer(&pictures)
        });
        let seconds = begun.elapsed().as_secs_f64();
        metrics.infer_seconds.observe(seconds);
        metrics.batch_size.observe(size as f64);
        tracing::debug!(images = size, seconds, "micro-batch");
        desk.finish(
            batch.into_iter().zip(logits).map(|(decoded, logits)| model.finish(decoded, logits)).collect(),
        );
    }
}

impl Model<'_> {
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
