use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use autorma_classifier::{Decoder, Session};
use sha2::{Digest, Sha256};

use crate::decisions::HeldOut;
use crate::features::Machine;
use crate::graph::Backbone;
use crate::head::Head;
use crate::heads::{Heads, weight};
use crate::tuning::{Checkpoint, Learner};
use crate::views::Views;
use crate::{Error, Progress};

/// Tunes the backbone: once for what ships, and for some folds once without them, to judge by.
pub(crate) struct Tuner<'a> {
    pub(crate) views: &'a Views<'a>,
    pub(crate) backbone: &'a Backbone,
    pub(crate) heads: &'a Heads<'a>,
    pub(crate) machine: Machine<'a>,
    pub(crate) output: &'a Path,
}

/// What ships, and what was said of photos by backbones and heads that hadn't seen their fold.
pub(crate) struct Tuned {
    pub(crate) backbone: Backbone,
    pub(crate) head: Head,
    pub(crate) held_out: Vec<HeldOut>,
}

impl Tuner<'_> {
    /// Beginning with these heads: one a fold that hasn't seen it, and one that has seen all. None if `progress` says to stop;
    /// what there is of it is kept.
    pub(crate) fn tune(
        &self,
        judges: &[Head],
        head: &Head,
        progress: &mut impl FnMut(Progress) -> bool,
    ) -> Result<Option<Tuned>, Error> {
        let judged = self.heads.recipe.tuning.judged;
        let mut held_out = Vec::new();
        for (number, judge) in judges.iter().enumerate().take(judged) {
            let Some((backbone, head)) = self.one(number, Some(number), judge, progress)? else {
                return Ok(None);
            };
            held_out.extend(self.judge(number, &backbone, &head)?);
        }
        held_out.sort_by_key(|it| it.photo);
        let tuned = self.one(judged, None, head, progress)?;
        Ok(tuned.map(|(backbone, head)| Tuned { backbone, head, held_out }))
    }

    fn one(
        &self,
        number: usize,
        without: Option<usize>,
        head: &Head,
        progress: &mut impl FnMut(Progress) -> bool,
    ) -> Result<Option<(Backbone, Head)>, Error> {
        let Heads { photos, features, recipe, folds, .. } = self.heads;
        // A photo that can't be decoded has no features.
        let mut weights = vec![0.0; photos.all.len()];
        for photo in &features.photos[..features.plain] {
            if without.is_none() || folds[*photo] != without {
                weights[*photo] = weight(photos, &photos.all[*photo], recipe);
            }
        }
        let learner = Learner {
            views: self.views,
            backbone: self.backbone,
            checkpoint: Checkpoint::at(self.output, number, self.key(&weights, head)),
            weights: &weights,
            outputs: photos.kinds.len(),
            recipe: &recipe.tuning,
            seed: recipe.seed,
            threads: self.machine.threads,
        };
        let (of, steps) = (recipe.tuning.judged + 1, recipe.tuning.steps);
        learner.tune(head, |step, loss| progress(Progress::Tuning { number, of, step, steps, loss }))
    }

    /// A hash of all that a learner depends on.
    fn key(&self, weights: &[f32], head: &Head) -> [u8; 32] {
        let mut key = Sha256::new_with_prefix(b"tuning 1");
        key.update(&self.backbone.sha256);
        key.update(format!("{:?}", self.heads.recipe.tuning));
        for number in head.weight.iter().chain(&head.bias) {
            key.update(number.to_le_bytes());
        }
        let counts = weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0);
        for (photo, weight) in counts {
            key.update(self.views.key(photo, 1).unwrap_or_default());
            key.update(weight.to_le_bytes());
        }
        key.finalize().into()
    }

    /// What is said of the photos of a fold.
    fn judge(&self, fold: usize, backbone: &Backbone, head: &Head) -> Result<Vec<HeldOut>, Error> {
        let Heads { features, folds, .. } = self.heads;
        let plain = &features.photos[..features.plain];
        let photos: Vec<usize> = plain.iter().copied().filter(|photo| folds[*photo] == Some(fold)).collect();
        let onnx = backbone.with_head("judge", &head.weight, &head.bias);
        let (next, said) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let (input, outputs) = (&backbone.input, head.bias.len());
        let session = |_| Session::of(self.machine.runtime, &onnx, input, &Backbone::output(), outputs, 1);
        let sessions = (0..self.machine.threads).map(session).collect::<Result<Vec<_>, _>>()?;
        std::thread::scope(|scope| {
            for mut session in sessions {
                let (next, said, photos) = (&next, &said, &photos);
                scope.spawn(move || {
                    let mut decoder = Decoder::new(input.width, input.height, self.views.limits);
                    while let Some(photo) = photos.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let picture = self.views.picture(*photo, 0, &mut decoder);
                        let logits = picture.and_then(|picture| session.infer(&[&picture]));
                        said.lock().unwrap_or_else(PoisonError::into_inner).push((*photo, logits));
                    }
                });
            }
        });
        let said = said.into_inner().unwrap_or_else(PoisonError::into_inner);
        let held_out = said.into_iter().map(|(photo, logits)| {
            let logits = logits.map_err(Error::View)?.pop().unwrap_or_default();
            Ok(self.heads.held_out(photo, logits))
        });
        held_out.collect()
    }
}
