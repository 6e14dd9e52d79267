use std::path::{Path, PathBuf};
use std::time::Instant;

use autorma_classifier::{Limits, Runtime};
use autorma_evaluation::{DataSet, Figures, Label, Labelled, judge};
use autorma_models::{File, MANIFEST, Manifest, Model, Output, Thresholds};
use autorma_schemas::sha256;

use crate::cache::Cache;
use crate::decisions::{curve, temperature, thresholds};
use crate::features::{Features, Machine, extract};
use crate::graph::Backbone;
use crate::heads::Heads;
use crate::metrics::{Metrics, Quality, Section, count, sections};
use crate::photos::{Part, Photos};
use crate::tuner::Tuner;
use crate::views::Views;
use crate::{Error, Folders, Progress, Recipe, card, files, report};

/// The model's folder in the output folder.
pub const MODEL: &str = "model";

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
    let mut cache =
        Cache::open(&output.join(format!("features-{}.bin", &backbone.sha256[..16])), backbone.features)?;
    let text = toml::to_string(recipe).map_err(|error| Error::Made(error.to_string()))?;
    files::write(&output.join("train.toml"), text.as_bytes())?;
    let views = Views::prepare(&photos, &backbone, recipe, limits);
    let machine = Machine { runtime, threads };
    let features = extract(&views, &backbone, recipe.copies, machine, &mut cache, &mut progress)?;

    let heads = Heads::new(&photos, &features, recipe, threads);
    let (judges, mut held_out) = heads.judge(&mut progress);
    let mut losses = Vec::new();
    let mut head = heads.fit(
        |_| true,
        |loss| {
            losses.push(loss);
            progress(Progress::Head { number: recipe.folds, of: recipe.folds + 1, loss });
        },
    );
    let tuner = Tuner { views: &views, backbone: &backbone, heads: &heads, machine, output };
    let tuned = match features.copies == recipe.copies && recipe.tuning.steps > 0 {
        true => tuner.tune(&judges, &head, &mut progress)?,
        false => None,
    };
    let is_tuned = tuned.is_some();
    let mut ships = backbone.clone();
    if let Some(tuned) = tuned {
        (ships, head, held_out) = (tuned.backbone, tuned.head, tuned.held_out);
    }

    let onnx = ships.with_head(&recipe.name, &head.weight, &head.bias);
    let mut manifest = manifest(training, &photos, &backbone, &features, is_tuned, &onnx);
    manifest.temperature = temperature(&held_out, photos.classes);
    manifest.thresholds = thresholds(&held_out, &manifest, &recipe.targets);
    if manifest.thresholds.accept == 1.0 {
        tracing::warn!(
            held_out = held_out.len(),
            "too few photos show that at most targets.wrong of the accepted are wrong: the model accepts next to nothing"
        );
    }
    let sections = sections(&photos, &held_out, &manifest);
    // The test photos are looked at here for the first time, through the very file that is written.
    let mut model = Model { manifest, onnx };
    let test = test(training, &photos, &model)?;
    let unjudged = test.iter().flat_map(|it| it.failed.clone());
    let failed = features.failed.iter().map(|(path, why)| (path.display().to_string(), why.clone()));
    let failed = failed.chain(unjudged).collect();
    let test = test.map(Quality::from);
    record(&mut model.manifest, &sections, test.as_ref());
    let folder = write(output, &model)?;
    let metrics = Metrics {
        recipe: recipe.clone(),
        photos: count(&photos),
        copies: features.copies,
        is_tuned,
        is_whole: features.copies == recipe.copies && (is_tuned || recipe.tuning.steps == 0),
        temperature: model.manifest.temperature,
        thresholds: model.manifest.thresholds,
        held_out: sections,
        test,
        unknown_errors: curve(&held_out, &model.manifest),
        losses,
        failed,
        seconds: begun.elapsed().as_secs_f64(),
        model: folder,
    };
    let card = card::render(&model.manifest, &metrics);
    files::write(&metrics.model.join("CARD.md"), card.as_bytes())?;
    let page = report::render(&model.manifest, &metrics, &photos, &held_out, limits);
    files::write(&output.join("report.html"), page.as_bytes())?;
    let json = serde_json::to_vec_pretty(&metrics).map_err(|error| Error::Made(error.to_string()))?;
    files::write(&output.join("metrics.json"), &json)?;
    Ok(metrics)
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

fn manifest(
    training: &Training<'_>,
    photos: &Photos,
    backbone: &Backbone,
    features: &Features,
    is_tuned: bool,
    onnx: &[u8],
) -> Manifest {
    let recipe = training.recipe;
    let learned = photos.all.iter().filter(|it| matches!(it.part, Part::Fit | Part::Folded)).count();
    let (classes, unknown) = photos.kinds.split_at(photos.classes);
    let mut head = format!(
        "softmax regression on {learned} photos and {} variations of each, seed {}",
        features.copies, recipe.seed
    );
    if is_tuned {
        let steps = recipe.tuning.steps;
        head += &format!(
            "; then tuned together with the backbone, {steps} steps of {} variations",
            recipe.tuning.batch
        );
    }
    let origin = [
        ("backbone", backbone.origin.clone()),
        ("backbone sha-256", backbone.sha256.clone()),
        ("head", head),
    ];
    Manifest {
        format: 1,
        name: recipe.name.clone(),
        version: recipe.version.clone(),
        model: File {
            file: format!("{}.onnx", recipe.name),
            sha256: sha256(onnx),
            bytes: onnx.len() as u64,
            precision: "fp32".into(),
        },
        input: backbone.input.clone(),
        output: Output { name: Backbone::output(), unknown: unknown.to_vec() },
        classes: classes.to_vec(),
        temperature: 1.0,
        thresholds: Thresholds { accept: 1.0, unknown: 1.0 },
        origin: origin.map(|(what, text)| (what.to_owned(), text)).into(),
        licence: backbone.licence.clone(),
        metrics: Default::default(),
    }
}

/// How good the model is on the test photos, asked as the classifier would ask it; None if there are none. It is loaded in
/// any case.
fn test(training: &Training<'_>, photos: &Photos, model: &Model) -> Result<Option<Figures>, Error> {
    let test = photos.all.iter().filter(|photo| photo.part == Part::Test).map(|photo| {
        let label = if photos.is_of_class(photo) { Label::Class(photo.kind) } else { Label::Stranger };
        Labelled { path: photo.path.clone(), label }
    });
    let set = DataSet { photos: test.collect() };
    let judgement = judge(training.runtime, model, &set, training.limits, training.threads, || {})?;
    let has_any = !set.photos.is_empty();
    Ok(has_any.then(|| Figures::of(&model.manifest, &judgement)))
}

fn record(manifest: &mut Manifest, sections: &[Section], test: Option<&Quality>) {
    let test = test.map(|quality| ("test".to_owned(), quality));
    let sections = sections.iter().map(|section| (format!("held out, {}", section.name), &section.quality));
    for (name, quality) in sections.chain(test).filter(|(_, quality)| quality.accuracy.of > 0) {
        manifest.metrics.insert(format!("{name}: accuracy"), quality.accuracy.share);
        manifest.metrics.insert(format!("{name}: photos"), quality.accuracy.of as f64);
    }
}

/// The manifest last: whoever sees a new one finds the file that it names.
fn write(output: &Path, model: &Model) -> Result<PathBuf, Error> {
    let folder = output.join(MODEL);
    let made = |error: &dyn std::fmt::Display| Error::Made(error.to_string());
    files::write(&folder.join(&model.manifest.model.file), &model.onnx)?;
    let manifest = serde_json::to_vec_pretty(&model.manifest).map_err(|error| made(&error))?;
    files::write(&folder.join(MANIFEST), &manifest)?;
    Model::open(&folder).map_err(|error| made(&error))?;
    Ok(folder)
}
