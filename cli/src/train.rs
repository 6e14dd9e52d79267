//! `autorma train`: a model from photos whose labels are known.

mod recording;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use autorma_classifier::Runtime;
use autorma_models::registry::Recorded;
use autorma_service::Shutdown;
use autorma_training::{Folders, Metrics, Quality, Recipe, Training};
use serde::Serialize;

use crate::args::TrainArgs;
use crate::configuration::{Configuration, backbone};
use crate::exit;
use crate::output::tell;
use crate::progress::Listener;
use crate::table::{Table, printable};

/// What has come of a training.
#[derive(Debug, Serialize)]
struct Trained {
    #[serde(flatten)]
    metrics: Metrics,
    /// The run on the MLflow server, if it is recorded there.
    mlflow_run: Option<String>,
}

/// Trains, records, and reports.
pub(crate) fn run(configuration: &Configuration, args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let mut recipe = recipe(args.config.as_deref())?;
    if let Some(seed) = args.seed {
        recipe.seed = seed;
    }
    // What is wrong with its settings is said before anything is done.
    let server = recording::server(configuration)?;
    let stop = exit::stop_at_signals()?;
    let runtime = Runtime::load(&configuration.classifier.runtime)?;
    let folders =
        Folders { data: args.data.clone(), other: args.other.clone(), backgrounds: args.backgrounds.clone() };
    let backbone = args.backbone.clone().unwrap_or_else(backbone);
    let training = Training {
        folders: &folders,
        recipe: &recipe,
        backbone: &backbone,
        output: &args.output,
        runtime: &runtime,
        limits: configuration.classifier.limits,
        threads: configuration.classifier.workers,
    };
    let metrics = train(&training, stop)?;
    if args.json.json && !metrics.is_whole {
        tracing::warn!(
            variations = metrics.copies,
            of = metrics.recipe.copies,
            is_tuned = metrics.is_tuned,
            "not all that the recipe wants was done; where that was stopped, the same command goes on"
        );
    }
    let is_whole = metrics.is_whole && metrics.failed.is_empty();
    let recorded = server.and_then(|server| recording::record(&server, &metrics, args));
    let trained = Trained { metrics, mlflow_run: recorded.as_ref().map(|it| it.run.clone()) };
    tell(args.json.json, &trained, |it| report(&it.metrics, recorded.as_ref(), args))?;
    Ok(exit::all_or_not(is_whole))
}

/// Trains until the end, or until somebody asks to stop.
fn train(training: &Training<'_>, stop: Shutdown) -> Result<Metrics, autorma_training::Error> {
    let mut listener = Listener::new(stop);
    let _answering = listener.answers(
        "stopping: a model is made of what there is, if that is enough; a second Ctrl-C ends without one",
    );
    let metrics = autorma_training::train(training, |progress| listener.hears(progress));
    listener.clear();
    metrics
}

/// In the file, or what holds where there is none.
pub(crate) fn recipe(file: Option<&Path>) -> anyhow::Result<Recipe> {
    match file {
        None => Ok(Recipe::default()),
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("the recipe {}", path.display()))?;
            Recipe::parse(&text).map_err(|problem| anyhow!("the recipe {}: {problem}", path.display()))
        }
    }
}

fn report(metrics: &Metrics, recorded: Option<&Recorded>, args: &TrainArgs) -> String {
    let mut table = Table::new(["photos", "of the classes", "right", "unknown", "of none", "found unknown"]);
    for (name, quality) in metrics.rows() {
        table.row(row(name, quality));
    }
    let mut text = format!("{table}\nShares in per cent, with their 95 % intervals.\n");
    if !metrics.is_whole && metrics.copies == metrics.recipe.copies {
        text += "The backbone wasn't tuned to the end; where that was stopped, the same command goes on.\n";
    } else if !metrics.is_whole {
        text += &format!(
            "Stopped with {} of {} variations of each photo: the same command goes on.\n",
            metrics.copies, metrics.recipe.copies
        );
    }
    for it in &metrics.failed {
        text += &format!("left out: {}: {}\n", printable(&it.path), printable(&it.why));
    }
    let page = args.output.join("report.html");
    text += &format!("Model: {}\nReport: {}\n", metrics.model.display(), page.display());
    text + &recorded.map_or_else(String::new, |it| format!("Recorded: {}\n", it.page))
}

fn row(name: String, quality: &Quality) -> [String; 6] {
    let strangers = quality.strangers.as_ref().map(|it| it.decisions.unknown);
    [
        name,
        quality.accuracy.of.to_string(),
        quality.accuracy.to_string(),
        quality.decisions.unknown.to_string(),
        strangers.map_or(0, |it| it.of).to_string(),
        strangers.map_or_else(|| "none".into(), |it| it.to_string()),
    ]
}
