use std::time::Instant;

use autorma_evaluation::{DataSet, Figures, Label, Labelled, NotJudged, judge};
use autorma_models::Model;

use crate::dataset::Split;
use crate::decisions::{choose, curve};
use crate::features::Features;
use crate::graph::Backbone;
use crate::metrics::{InFloats, Metrics, Quality, Section, count, sections};
use crate::photos::{Photo, Photos};
use crate::training::{MODEL, RECIPE, write_recipe};
use crate::tuner::Fitted;
use crate::{Error, Progress, Training, Tuning, What, card, files, made, report};

/// By how many points INT8 may be less accurate than floats before somebody should look.
const TOLERANCE: f64 = 0.3;

/// What a training has come to, to be judged and written.
pub(crate) struct Trained<'a> {
    pub(crate) training: &'a Training<'a>,
    pub(crate) photos: &'a Photos,
    /// What was learned from.
    pub(crate) features: &'a Features,
    /// As it was before.
    pub(crate) backbone: &'a Backbone,
    pub(crate) fitted: Fitted,
    pub(crate) is_tuned: bool,
    /// The loss of the head on the backbone as it was, after each iteration.
    pub(crate) losses: Vec<f64>,
    /// When the training began.
    pub(crate) begun: Instant,
}

impl Trained<'_> {
    /// The model that ships, and what it was quantized from, if it was.
    ///
    /// # Errors
    /// [`Error::TooLittle`] if nothing was said of photos of the classes.
    pub(crate) fn models(&self) -> Result<(Model, Option<Model>), Error> {
        let Self { training, photos, fitted, .. } = self;
        let recipe = training.recipe;
        let head = &fitted.head;
        let classifier = |backbone: &Backbone| backbone.with_head(&recipe.name, &head.weight, &head.bias);
        let floats = classifier(&fitted.backbone);
        let onnx = fitted.quantized.as_ref().map_or_else(|| floats.clone(), |it| classifier(&it.backbone));
        let mut manifest = made::manifest(recipe, photos, self.backbone, self.how());
        made::name_files(&mut manifest, &onnx, &floats, fitted.quantized.as_ref());
        choose(&mut manifest, &fitted.held_out.groups, &recipe.targets)?;
        let reference = manifest.of_reference().map(|manifest| Model { manifest, onnx: vec![floats] });
        Ok((Model { manifest, onnx: vec![onnx] }, reference))
    }

    /// How good they are. The test photos are looked at here for the first time, through the very files that are written.
    pub(crate) fn judged(
        &self,
        model: &Model,
        reference: Option<&Model>,
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Metrics, Error> {
        let Self { training, photos, features, fitted, is_tuned, .. } = self;
        let (Training { recipe, output, .. }, is_tuned) = (**training, *is_tuned);
        let each = self.test_photos().count();
        let of = each * (1 + usize::from(reference.is_some()));
        let mut tested = |done: usize| {
            progress(Progress::Count { what: What::Tested, done, of });
        };
        let test = self.on_test_photos(model, &mut tested)?;
        let failed = self.failed(test.as_ref());
        let metrics = Metrics {
            recipe: recipe.clone(),
            photos: count(photos, &failed),
            copies: features.copies,
            is_tuned,
            is_whole: features.copies == recipe.copies && (is_tuned || recipe.tuning.steps == 0),
            temperature: model.manifest.temperature,
            thresholds: model.manifest.thresholds,
            held_out: sections(photos, &fitted.held_out, &model.manifest),
            failed,
            test: test.map(Quality::from),
            in_floats: self.in_floats(model, reference, &mut |done| tested(each + done))?,
            unknown_errors: curve(&fitted.held_out.groups, &model.manifest),
            losses: self.losses.clone(),
            tuning_losses: fitted.steps.clone(),
            seconds: self.begun.elapsed().as_secs_f64(),
            model: output.join(MODEL),
        };
        compare(&metrics);
        Ok(metrics)
    }

    /// Writes all that is kept of it. `model` is told what was measured.
    pub(crate) fn write(
        &self,
        model: &mut Model,
        reference: Option<&Model>,
        metrics: &Metrics,
    ) -> Result<(), Error> {
        let Training { output, limits, .. } = *self.training;
        made::record(&mut model.manifest, metrics);
        let [recipe, page, figures] = [RECIPE, "report.html", "metrics.json"].map(|name| output.join(name));
        let told = [metrics.model.join("CARD.md"), recipe, page, figures];
        made::write(&metrics.model, model, reference, &told)?;
        let [card, _, page, figures] = &told;
        write_recipe(self.training)?;
        files::write(card, card::render(&model.manifest, metrics).as_bytes())?;
        let html =
            report::render(&model.manifest, metrics, self.photos, &self.fitted.held_out.groups, limits);
        files::write(page, html.as_bytes())?;
        let json = serde_json::to_vec_pretty(metrics).map_err(|error| Error::Made(error.to_string()))?;
        files::write(figures, &json)
    }

    /// How the head was made, for the manifest.
    fn how(&self) -> String {
        let plain = self.features.photos[..self.features.plain].iter();
        let learned = plain.filter(|photo| self.photos.all[**photo].part == Split::Train).count();
        let (copies, seed) = (self.features.copies, self.training.recipe.seed);
        let fitted =
            format!("softmax regression on {learned} photos and {copies} variations of each, seed {seed}");
        let Tuning { steps, batch, .. } = self.training.recipe.tuning;
        match self.is_tuned {
            true => {
                format!(
                    "{fitted}; then tuned together with the backbone, {steps} steps of {batch} variations"
                )
            }
            false => fitted,
        }
    }

    fn test_photos(&self) -> impl Iterator<Item = &Photo> {
        self.photos.all.iter().filter(|photo| photo.part == Split::Test)
    }

    /// How good the model is on the test photos, asked as the classifier would ask it; None if there are none. It is loaded
    /// in any case. `tested` hears how many are done.
    fn on_test_photos(&self, model: &Model, tested: &mut dyn FnMut(usize)) -> Result<Option<Figures>, Error> {
        let Training { runtime, limits, threads, .. } = *self.training;
        let labelled = |photo: &Photo| {
            let is_known = self.photos.is_of_class(photo);
            let label = if is_known { Label::Class(photo.kind) } else { Label::Stranger };
            Labelled { path: photo.path.clone(), label }
        };
        let set = &DataSet { photos: self.test_photos().map(labelled).collect(), ..DataSet::default() };
        let mut judgement = judge(runtime, model, set, limits, threads, tested)?;
        for ((path, judged), photo) in judgement.judged.iter_mut().zip(self.test_photos()) {
            if judged.is_ok() {
                *path = self.photos.by_kind(photo);
            }
        }
        let has_any = !set.photos.is_empty();
        Ok(has_any.then(|| Figures::of(&model.manifest, &judgement)))
    }

    /// How good the model was before it was quantized, if it was, with the temperature and thresholds of what ships.
    fn in_floats(
        &self,
        model: &Model,
        reference: Option<&Model>,
        tested: &mut dyn FnMut(usize),
    ) -> Result<Option<InFloats>, Error> {
        let (Some(held_out), Some(reference)) = (&self.fitted.in_floats, reference) else { return Ok(None) };
        Ok(Some(InFloats {
            bytes: reference.manifest.bytes(),
            held_out: sections(self.photos, held_out, &model.manifest),
            test: self.on_test_photos(reference, tested)?.map(Quality::from),
        }))
    }

    /// Photos that were left out, and why.
    fn failed(&self, test: Option<&Figures>) -> Vec<NotJudged> {
        let unlearned = self.features.failed.iter().map(|(path, why)| NotJudged::new(path, why));
        unlearned.chain(test.iter().flat_map(|it| it.failed.clone())).collect()
    }
}

/// Warns if INT8 has cost more than it may.
fn compare(metrics: &Metrics) {
    let floats = metrics.in_floats.iter().flat_map(|it| &it.held_out);
    for (Section { name, quality }, floats) in metrics.held_out.iter().zip(floats) {
        let lost = (floats.quality.accuracy.share - quality.accuracy.share) * 100.0;
        if *name == "all" && lost > TOLERANCE {
            tracing::warn!(
                int8 = quality.accuracy.share,
                fp32 = floats.quality.accuracy.share,
                "INT8 costs more than {TOLERANCE} points on held-out photos: `precision = \"fp32\"` in the recipe does without"
            );
        }
    }
}
