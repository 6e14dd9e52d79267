use std::path::Path;
use std::time::Instant;

use autorma_classifier::{Limits, Runtime};
use autorma_evaluation::{DataSet, Figures, Label, Labelled, judge};
use autorma_models::Model;

use crate::cache::Cache;
use crate::contents::Contents;
use crate::decisions::{choose, curve};
use crate::features::{Features, Machine, Scope, extract};
use crate::graph::Backbone;
use crate::heads::Heads;
use crate::metrics::{InFloats, Metrics, Quality, Section, count, sections};
use crate::photos::{Part, Photos};
use crate::quantize::{Quantized, quantize};
use crate::tuner::{Fitted, Tuner};
use crate::views::Views;
use crate::{Error, Folders, Precision, Progress, Recipe, Tuning, card, files, made, report};

/// The model's folder in the output folder.
pub const MODEL: &str = "model";
/// By how many points INT8 may be less accurate than floats before somebody should look.
const TOLERANCE: f64 = 0.3;

/// What a model is trained with.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    /// The photos.
    pub folders: &'a Folders,
    /// How.
    pub recipe: &'a Recipe,
    /// The backbone's ONNX file.
    pub backbone: &'a Path,
    /// The run folder. What an interrupted training has left there is used.
    pub output: &'a Path,
    /// What runs the backbone.
    pub runtime: &'a Runtime,
    /// What one photo may cost.
    pub limits: Limits,
    /// How many threads compute. It changes nothing of the model.
    pub threads: usize,
}

/// Trains a model and writes it, with all that is known of it, to the output folder: the model's folder, `train.toml`,
/// `metrics.json`, `report.html`, and the features of all photos. `progress` hears how far it is; when it says false, no
/// more variations of photos are made, and the model is fitted on those that there are.
///
/// # Errors
/// [`Error::Stopped`] if `progress` says false before each photo was looked at once.
pub fn train(training: &Training<'_>, mut progress: impl FnMut(Progress) -> bool) -> Result<Metrics, Error> {
    let begun = Instant::now();
    let Training { folders, recipe, output, runtime, limits, threads, .. } = *training;
    let backbone = Backbone::open(training.backbone)?;
    if recipe.tuning.steps > 0 {
        backbone.network().map_err(Error::Untunable)?;
    }
    let photos = Photos::find(folders)?;
    check(&photos)?;
    let mut cache = kept(output, &backbone)?;
    let text = toml::to_string(recipe).map_err(|error| Error::Made(error.to_string()))?;
    files::write(&output.join("train.toml"), text.as_bytes())?;
    let machine = Machine { runtime, limits, threads };
    let (photos, contents) = (&photos, &Contents::read(&photos));
    let views = Views::prepare(photos, contents, &backbone, recipe, limits);
    // First, because what has stopped here can't be used, and what has stopped later can.
    let quantized = match recipe.precision {
        Precision::Int8 => Some(quantize(&backbone, photos, contents, recipe, machine, &mut progress)?),
        Precision::Fp32 => None,
    };
    let judging = quantized.as_ref().map(|Quantized { backbone, .. }| {
        let mut cache = kept(output, backbone)?;
        extract(&views, backbone, Scope::Judged, machine, &mut cache, &mut progress)
    });
    let judging = judging.transpose()?;
    let scope = Scope::Learned { copies: recipe.copies };
    let features = extract(&views, &backbone, scope, machine, &mut cache, &mut progress)?;

    let heads = Heads::new(photos, &features, recipe, threads);
    let (judges, held_out, in_floats) = match &judging {
        Some(judging) => {
            let (judges, [shipped, floats]) = heads.judge([judging, &features], &mut progress);
            (judges, shipped, Some(floats))
        }
        None => {
            let (judges, [shipped]) = heads.judge([&features], &mut progress);
            (judges, shipped, None)
        }
    };
    let mut losses = Vec::new();
    let head = heads.fit(
        |_| true,
        |loss| {
            losses.push(loss);
            progress(Progress::Head { number: recipe.folds, of: recipe.folds + 1, loss });
        },
    );
    let tuner = Tuner { views: &views, backbone: &backbone, heads: &heads, machine, output };
    let tuned = match features.copies == recipe.copies && recipe.tuning.steps > 0 {
        true => match tuner.tune(&judges, &head, &mut progress) {
            // While a tuned one was quantized.
            Err(Error::Stopped) => None,
            tuned => tuned?,
        },
        false => None,
    };
    let is_tuned = tuned.is_some();
    let fitted = tuned.unwrap_or_else(|| {
        let backbone = backbone.clone();
        Fitted { backbone, quantized, head, held_out, in_floats }
    });

    let Fitted { head, held_out, in_floats, .. } = &fitted;
    let classifier = |backbone: &Backbone| backbone.with_head(&recipe.name, &head.weight, &head.bias);
    let floats = classifier(&fitted.backbone);
    let onnx = fitted.quantized.as_ref().map_or_else(|| floats.clone(), |it| classifier(&it.backbone));
    let mut manifest = made::manifest(recipe, photos, &backbone, how(&features, recipe, photos, is_tuned));
    made::name_files(&mut manifest, &onnx, &floats, fitted.quantized.as_ref());
    choose(&mut manifest, held_out, &recipe.targets);
    // The test photos are looked at here for the first time, through the very files that are written.
    let mut model = Model { manifest, onnx: vec![onnx] };
    let test = on_test_photos(training, photos, &model)?;
    let unjudged = test.iter().flat_map(|it| it.failed.clone());
    let failed = features.failed.iter().map(|(path, why)| (path.display().to_string(), why.clone()));
    let failed = failed.chain(unjudged).collect();
    let reference = model.manifest.of_reference().map(|manifest| Model { manifest, onnx: vec![floats] });
    let in_floats = match (in_floats, &reference) {
        (Some(held_out), Some(reference)) => Some(InFloats {
            bytes: reference.manifest.bytes(),
            held_out: sections(photos, held_out, &model.manifest),
            test: on_test_photos(training, photos, reference)?.map(Quality::from),
        }),
        _ => None,
    };
    let metrics = Metrics {
        recipe: recipe.clone(),
        photos: count(photos),
        copies: features.copies,
        is_tuned,
        is_whole: features.copies == recipe.copies && (is_tuned || recipe.tuning.steps == 0),
        temperature: model.manifest.temperature,
        thresholds: model.manifest.thresholds,
        held_out: sections(photos, held_out, &model.manifest),
        test: test.map(Quality::from),
        in_floats,
        unknown_errors: curve(held_out, &model.manifest),
        losses,
        failed,
        seconds: begun.elapsed().as_secs_f64(),
        model: output.join(MODEL),
    };
    compare(&metrics);
    made::record(&mut model.manifest, &metrics);
    made::write(&metrics.model, &model, reference.as_ref())?;
    let card = card::render(&model.manifest, &metrics);
    files::write(&metrics.model.join("CARD.md"), card.as_bytes())?;
    let page = report::render(&model.manifest, &metrics, photos, held_out, limits);
    files::write(&output.join("report.html"), page.as_bytes())?;
    let json = serde_json::to_vec_pretty(&metrics).map_err(|error| Error::Made(error.to_string()))?;
    files::write(&output.join("metrics.json"), &json)?;
    Ok(metrics)
}

/// What the backbone has said already, in the run folder.
fn kept(output: &Path, backbone: &Backbone) -> Result<Cache, Error> {
    Cache::open(&output.join(format!("features-{}.bin", &backbone.sha256[..16])), backbone.features)
}

/// Whether there is enough to learn from and to judge by.
fn check(photos: &Photos) -> Result<(), Error> {
    let too_little = |text: String| Err(Error::TooLittle(text));
    if photos.classes < 2 {
        return too_little("there is only one class: a model needs two folders of classes at least".into());
    }
    let of_classes = || photos.all.iter().filter(|photo| photos.is_of_class(photo));
    for (number, class) in photos.kinds[..photos.classes].iter().enumerate() {
        if !of_classes().any(|it| it.kind == number && matches!(it.part, Part::Fit | Part::Folded)) {
            return too_little(format!("there is no photo of {class} to learn from: all are in val or test"));
        }
    }
    if !of_classes().any(|it| matches!(it.part, Part::Validation | Part::Folded)) {
        return too_little(
            "all photos of the classes are in train or test: some must be in val, to judge by".into(),
        );
    }
    Ok(())
}

/// How the head was made, for the manifest.
fn how(features: &Features, recipe: &Recipe, photos: &Photos, is_tuned: bool) -> String {
    let learned = photos.all.iter().filter(|it| matches!(it.part, Part::Fit | Part::Folded)).count();
    let (copies, seed) = (features.copies, recipe.seed);
    let fitted =
        format!("softmax regression on {learned} photos and {copies} variations of each, seed {seed}");
    let Tuning { steps, batch, .. } = recipe.tuning;
    match is_tuned {
        true => {
            format!("{fitted}; then tuned together with the backbone, {steps} steps of {batch} variations")
        }
        false => fitted,
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

/// How good the model is on the test photos, asked as the classifier would ask it; None if there are none. It is loaded in
/// any case.
fn on_test_photos(training: &Training<'_>, photos: &Photos, model: &Model) -> Result<Option<Figures>, Error> {
    let test = photos.all.iter().filter(|photo| photo.part == Part::Test).map(|photo| {
        let label = if photos.is_of_class(photo) { Label::Class(photo.kind) } else { Label::Stranger };
        Labelled { path: photo.path.clone(), label }
    });
    let set = DataSet { photos: test.collect() };
    let judgement = judge(training.runtime, model, &set, training.limits, training.threads, || {})?;
    let has_any = !set.photos.is_empty();
    Ok(has_any.then(|| Figures::of(&model.manifest, &judgement)))
}
