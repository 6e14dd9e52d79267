use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use autorma_classifier::{Limits, Runtime};

use crate::cache::Cache;
use crate::contents::Contents;
use crate::dataset::Split;
use crate::decisions::both_right;
use crate::enough;
use crate::features::{Features, Machine, Scope, extract};
use crate::graph::Backbone;
use crate::head::Head;
use crate::heads::Heads;
use crate::metrics::Metrics;
use crate::photos::Photos;
use crate::quantize::{Quantized, quantize};
use crate::trained::Trained;
use crate::tuner::{Fitted, Tuner};
use crate::views::Views;
use crate::{Error, Folders, Precision, Progress, Recipe, files};

/// The model's folder in the output folder.
pub(crate) const MODEL: &str = "model";
/// The file in the output folder that has all of the recipe.
pub(crate) const RECIPE: &str = "train.toml";
/// So often tuning goes on where photos were away.
const AGAIN: usize = 3;
/// How long after it was without a photo it is looked whether all are there.
const PAUSE: Duration = Duration::from_secs(1);

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
/// `metrics.json`, `report.html`, and the features of all photos but those of `test`. `progress` hears how far it is; when it says false, no
/// more variations of photos are made, and the model is fitted on those that there are; a backbone whose tuning it stops
/// ships as it was.
///
/// # Errors
/// [`Error::Stopped`] if `progress` says false before each photo was looked at once; [`Error::TooLittle`] if there is too
/// little to learn from, or to judge by; [`Error::Gone`] if more than a few of the photos go meanwhile.
pub fn train(training: &Training<'_>, mut progress: impl FnMut(Progress) -> bool) -> Result<Metrics, Error> {
    let begun = Instant::now();
    let Training { folders, recipe, output, runtime, limits, threads, .. } = *training;
    let backbone = backbone(training)?;
    let mut photos = Photos::find(folders, output)?;
    let mut contents = Contents::read(&photos, limits, threads, &mut progress)?;
    photos.join_copies(&mut contents);
    let folds = photos.folds(recipe.folds);
    enough::found(&photos, &folds, recipe)?;
    // Nobody else trains in this folder as long as this one has it, whatever backbone he has.
    let _alone = files::lock(&output.join("lock"))?;
    let mut cache = kept(output, &backbone)?;
    // Where a model is, its recipe stays until there is another model.
    if !output.join(MODEL).exists() {
        write_recipe(training)?;
    }
    let machine = Machine { runtime, limits, threads };
    let views = Views::prepare(&photos, &contents, &backbone, recipe, machine, &mut progress)?;
    let Looked { quantized, judging, features } =
        look(training, &views, &backbone, machine, &mut cache, &mut progress)?;
    enough::decoded(&photos, &folds, recipe, &features)?;

    let heads = Heads::new(&photos, &folds, &features, recipe, threads);
    let untuned = fit(&heads, &backbone, quantized, judging.as_ref(), &mut progress);
    let tuner = Tuner { views: &views, backbone: &backbone, heads: &heads, machine, output };
    let tuned = tune(&tuner, &untuned, &mut progress)?;
    if let Some(tuned) = &tuned {
        compare(tuned, &untuned.fitted, photos.classes);
    }

    let trained = Trained {
        training,
        photos: &photos,
        features: &features,
        backbone: &backbone,
        is_tuned: tuned.is_some(),
        fitted: tuned.unwrap_or(untuned.fitted),
        losses: untuned.losses,
        begun,
    };
    let (mut model, reference) = trained.models()?;
    let metrics = trained.judged(&model, reference.as_ref(), &mut progress)?;
    views.are_there(&photos.of_part(Split::Test))?;
    trained.write(&mut model, reference.as_ref(), &metrics)?;
    Ok(metrics)
}

/// The backbone, which can be run as it is and as it is written, and tuned if it is to be.
fn backbone(training: &Training<'_>) -> Result<Backbone, Error> {
    let Training { backbone: path, recipe, runtime, .. } = *training;
    let backbone = Backbone::open(path)?;
    if recipe.tuning.steps > 0 {
        backbone.network().map_err(Error::Untunable)?;
    }
    backbone.runs(runtime).map_err(|cause| Error::Backbone { path: path.to_owned(), cause })?;
    Ok(backbone)
}

/// Writes all of the recipe.
pub(crate) fn write_recipe(Training { recipe, output, .. }: &Training<'_>) -> Result<(), Error> {
    let text = toml::to_string(recipe).map_err(|error| Error::Made(error.to_string()))?;
    files::write(&output.join(RECIPE), text.as_bytes())
}

/// What the backbone says, before it learns.
struct Looked {
    quantized: Option<Quantized>,
    /// What the quantized backbone says of the photos that judge.
    judging: Option<Features>,
    /// What the backbone in floats says of all photos but those of `test`, and of the variations of those that are learned
    /// from.
    features: Features,
}

/// Looks at all photos but those of `test`. First is what ships: what has stopped there can't be used, and what has stopped later can.
fn look(
    training: &Training<'_>,
    views: &Views<'_>,
    backbone: &Backbone,
    machine: Machine<'_>,
    cache: &mut Cache,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<Looked, Error> {
    let Training { recipe, output, .. } = *training;
    let (mut quantized, mut judging) = (None, None);
    if recipe.precision == Precision::Int8 {
        let it = quantize(backbone, views, machine, progress)?;
        let mut cache = kept(output, &it.backbone)?;
        judging = Some(extract(views, &it.backbone, Scope::Judged, machine, &mut cache, progress)?);
        quantized = Some(it);
    }
    let scope = Scope::Learned { copies: recipe.copies };
    let mut features = extract(views, backbone, scope, machine, cache, progress)?;
    if let Some(judging) = &mut judging {
        // Who is told as left out chooses nothing, and whoever is missing where thresholds are chosen is told of, too.
        judging.keep_those_of(&features);
        features.fail_with(judging);
    }
    Ok(Looked { quantized, judging, features })
}

/// Heads on the backbone as it is.
struct Untuned {
    /// Those that judge.
    judges: Vec<Head>,
    /// With the one that ships.
    fitted: Fitted,
    /// Its loss after each iteration.
    losses: Vec<f64>,
}

/// Fits the heads that judge, and the one that ships.
fn fit(
    heads: &Heads<'_>,
    backbone: &Backbone,
    quantized: Option<Quantized>,
    judging: Option<&Features>,
    progress: &mut impl FnMut(Progress) -> bool,
) -> Untuned {
    let (judges, held_out, in_floats) = match judging {
        Some(judging) => {
            let (judges, [shipped, floats]) = heads.judge([judging, heads.features], progress);
            (judges, shipped, Some(floats))
        }
        None => {
            let (judges, [shipped]) = heads.judge([heads.features], progress);
            (judges, shipped, None)
        }
    };
    let (head, losses) = heads.shipped(progress);
    let fitted =
        Fitted { backbone: backbone.clone(), quantized, head, held_out, in_floats, steps: Vec::new() };
    Untuned { judges, fitted, losses }
}

/// Tunes the backbone with the head, and goes on where photos were away for a moment; None if the recipe doesn't want it, or
/// it was stopped before its end, or a photo to learn from is lost, or it comes to nothing that could ship: hours of other
/// work are in what there is.
///
/// # Errors
/// [`Error::Gone`] if more than a few photos are lost.
fn tune(
    tuner: &Tuner<'_>,
    untuned: &Untuned,
    progress: &mut impl FnMut(Progress) -> bool,
) -> Result<Option<Fitted>, Error> {
    let Heads { recipe, features, .. } = tuner.heads;
    if recipe.tuning.steps == 0 || features.copies != recipe.copies {
        return Ok(None);
    }
    let mut again = 0;
    loop {
        let error = match tuner.tune(&untuned.judges, &untuned.fitted.head, progress) {
            // While a tuned one was quantized or judged.
            Err(Error::Stopped) => return Ok(None),
            Err(error @ (Error::View { .. } | Error::Gone { .. } | Error::Diverged { .. })) => error,
            tuned => return tuned,
        };
        // One that is there and can't be varied can't be another time either; nor do other numbers come of the same steps.
        let may_pass = matches!(error, Error::View { is_gone: true, .. } | Error::Gone { .. });
        let are_back = || {
            thread::sleep(PAUSE);
            tuner.views.are_there(&features.photos[..features.plain])
        };
        if !may_pass || !are_back()? || again == AGAIN {
            tracing::warn!(%error, "the backbone isn't tuned to the end, and ships as it was");
            return Ok(None);
        }
        tracing::warn!(%error, "all photos are there: the tuning of the backbone goes on");
        again += 1;
    }
}

/// Warns if those who judge are right less often when they are tuned, by more than chance explains.
fn compare(tuned: &Fitted, untuned: &Fitted, classes: usize) {
    let [tuned, untuned] = both_right(&tuned.held_out.groups, &untuned.held_out.groups, classes);
    if tuned.share < untuned.low {
        tracing::warn!(
            photos = tuned.of,
            tuned = tuned.share,
            untuned = untuned.share,
            "the tuned backbone is right less often than it was: lower rates may do better, and `tuning.steps = 0` in the \
             recipe ships it as it was"
        );
    }
}

/// What the backbone has said already, in the run folder.
fn kept(output: &Path, backbone: &Backbone) -> Result<Cache, Error> {
    Cache::open(&output.join(format!("features-{}.bin", &backbone.sha256[..16])), backbone.features)
}
