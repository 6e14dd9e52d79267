use std::path::Path;

use autorma_classifier::{Decoder, LoadError, Session};
use autorma_evaluation::parallel::each;
use sha2::{Digest, Sha256};

use crate::decisions::{HeldOut, Unseen};
use crate::features::Machine;
use crate::graph::Backbone;
use crate::head::Head;
use crate::heads::{Heads, weight};
use crate::quantize::{Quantized, quantize};
use crate::tuning::{Checkpoint, Learner};
use crate::views::{Unusable, Views};
use crate::{Error, Precision, Progress, What};

/// Tunes the backbone: once for what ships, and for some folds once without them, to judge by.
pub(crate) struct Tuner<'a> {
    pub(crate) views: &'a Views<'a>,
    pub(crate) backbone: &'a Backbone,
    pub(crate) heads: &'a Heads<'a>,
    pub(crate) machine: Machine<'a>,
    pub(crate) output: &'a Path,
}

/// What a training has come to.
pub(crate) struct Fitted {
    /// In floats.
    pub(crate) backbone: Backbone,
    /// What ships instead, if the recipe wants it.
    pub(crate) quantized: Option<Quantized>,
    pub(crate) head: Head,
    /// What such backbones and heads said of photos that they hadn't seen, as they ship.
    pub(crate) held_out: Unseen,
    /// The same in floats, if these don't ship.
    pub(crate) in_floats: Option<Unseen>,
    /// The loss of each step of what ships; none if it isn't tuned.
    pub(crate) steps: Vec<f64>,
}

impl Tuner<'_> {
    /// Beginning with these heads: one a fold that hasn't seen it, and one that has seen all. None if `progress` says to stop;
    /// what there is of it is kept.
    ///
    /// # Errors
    /// [`Error::Stopped`] if it says so while a tuned backbone is quantized or judged; [`Error::View`] if a photo can't be used
    /// any more; [`Error::Gone`] if one can't of those that it is quantized by; [`Error::Diverged`] if tuning has come to
    /// nothing that could ship.
    pub(crate) fn tune(
        &self,
        judges: &[Head],
        head: &Head,
        progress: &mut impl FnMut(Progress) -> bool,
    ) -> Result<Option<Fitted>, Error> {
        let recipe = self.heads.recipe;
        let (mut held_out, mut in_floats) = (Vec::new(), Vec::new());
        for (fold, judge) in judges.iter().enumerate().take(recipe.tuning.judged) {
            let Some((backbone, head, _)) = self.one(fold, Some(fold), judge, progress)? else {
                return Ok(None);
            };
            in_floats.extend(self.judge(fold, &backbone, &head, progress)?);
            if let Some(Quantized { backbone, .. }) = self.quantize(&backbone, progress)? {
                held_out.extend(self.judge(fold, &backbone, &head, progress)?);
            }
        }
        let Some((backbone, head, steps)) = self.one(recipe.tuning.judged, None, head, progress)? else {
            return Ok(None);
        };
        let quantized = self.quantize(&backbone, progress)?;
        let [held_out, in_floats] = [held_out, in_floats].map(|mut groups: Vec<HeldOut>| {
            groups.sort_by_key(|it| it.photo);
            Unseen { groups, ..Unseen::default() }
        });
        let (held_out, in_floats) = match recipe.precision {
            Precision::Int8 => (held_out, Some(in_floats)),
            Precision::Fp32 => (in_floats, None),
        };
        Ok(Some(Fitted { backbone, quantized, head, held_out, in_floats, steps }))
    }

    fn quantize(
        &self,
        backbone: &Backbone,
        progress: &mut impl FnMut(Progress) -> bool,
    ) -> Result<Option<Quantized>, Error> {
        if self.heads.recipe.precision == Precision::Fp32 {
            return Ok(None);
        }
        quantize(backbone, self.views, self.machine, progress).map(Some)
    }

    fn one(
        &self,
        number: usize,
        without: Option<usize>,
        head: &Head,
        progress: &mut impl FnMut(Progress) -> bool,
    ) -> Result<Option<(Backbone, Head, Vec<f64>)>, Error> {
        let Heads { photos, features, recipe, folds, .. } = self.heads;
        // A photo that can't be decoded has no features.
        let mut weights = vec![0.0; photos.all.len()];
        for photo in &features.photos[..features.plain] {
            if without.is_none_or(|fold| folds.learns(fold, *photo)) {
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
        let tuned =
            learner.tune(head, |step, loss| progress(Progress::Tuning { number, of, step, steps, loss }))?;
        if let Some((backbone, head, _)) = &tuned {
            // Its numbers may be too large to compute with.
            self.session(backbone, head).map_err(|error| match error {
                Error::Load(LoadError::Model(_)) => Error::diverged(steps, &recipe.tuning),
                other => other,
            })?;
        }
        Ok(tuned)
    }

    /// What asks them about a photo.
    fn session(&self, backbone: &Backbone, head: &Head) -> Result<Session, Error> {
        let onnx = backbone.with_head("judge", &head.weight, &head.bias);
        let (input, outputs) = (&backbone.input, head.bias.len());
        Ok(Session::of(self.machine.runtime, &onnx, input, Backbone::LOGITS, outputs, 1)?)
    }

    /// A hash of all that a learner depends on.
    fn key(&self, weights: &[f32], head: &Head) -> [u8; 32] {
        let mut key = Sha256::new_with_prefix(b"tuning 2");
        key.update(&self.backbone.sha256);
        key.update(format!("{:?}", self.heads.recipe.tuning));
        for number in head.weight.iter().chain(&head.bias) {
            key.update(number.to_le_bytes());
        }
        let counts = weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0);
        for (photo, weight) in counts {
            key.update(self.views.key(photo, 1, self.backbone).unwrap_or_default());
            key.update(weight.to_le_bytes());
        }
        key.finalize().into()
    }

    /// What is said of the photos of a fold.
    fn judge(
        &self,
        fold: usize,
        backbone: &Backbone,
        head: &Head,
        progress: &mut impl FnMut(Progress) -> bool,
    ) -> Result<Vec<HeldOut>, Error> {
        let Heads { features, folds, .. } = self.heads;
        let plain = &features.photos[..features.plain];
        let photos: Vec<usize> = plain.iter().copied().filter(|photo| folds.judges(fold, *photo)).collect();
        let session = |_| self.session(backbone, head);
        let sessions = (0..self.machine.threads).map(session).collect::<Result<Vec<_>, _>>()?;
        let input = &backbone.input;
        let decoder = || Decoder::new(input.width, input.height, self.views.limits);
        let owned = sessions.into_iter().map(|session| (decoder(), session));
        let ask = |(decoder, session): &mut (Decoder, Session), number: usize| {
            let picture = self.views.picture(photos[number], 0, decoder)?;
            Ok::<_, Unusable>(session.infer(&[&picture])?.pop().unwrap_or_default())
        };
        let of = photos.len();
        let report = |done| progress(Progress::Count { what: What::Judged, done, of });
        let said = each(of, owned, ask, report).ok_or(Error::Stopped)?;
        let held_out = |(photo, logits): (&usize, Result<Vec<f32>, Unusable>)| match logits {
            Ok(logits) => Ok(self.heads.held_out(*photo, logits)),
            Err(why) => Err(self.views.lost(*photo, &why)),
        };
        photos.iter().zip(said).map(held_out).collect()
    }
}
