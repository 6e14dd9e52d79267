//! `autorma train`: a model from photos whose labels are known.

mod recording;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use autorma_classifier::Runtime;
use autorma_models::registry::Recorded;
use autorma_training::{Folders, Metrics, Progress, Quality, Recipe, Training};
use indicatif::{HumanDuration, ProgressBar};
use serde::Serialize;

use crate::args::TrainArgs;
use crate::configuration::{Configuration, backbone};
use crate::exit;
use crate::output::tell;
use crate::progress;
use crate::table::{Table, printable};

/// How often a line says how far it is, where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

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
    let mut display = Display::new();
    let metrics = autorma_training::train(&training, |progress| {
        display.show(progress);
        !stop.is_requested()
    });
    display.bar.finish_and_clear();
    let metrics = metrics?;
    let is_whole = metrics.is_whole && metrics.failed.is_empty();
    let recorded = server.and_then(|server| recording::record(&server, &metrics, args));
    let trained = Trained { metrics, mlflow_run: recorded.as_ref().map(|it| it.run.clone()) };
    tell(args.json.json, &trained, |it| report(&it.metrics, recorded.as_ref(), args))?;
    Ok(exit::all_or_not(is_whole))
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

/// How far it is: a bar on a terminal, a line now and then elsewhere.
struct Display {
    bar: ProgressBar,
    is_terminal: bool,
    /// When the next line is due.
    next: Instant,
    what: &'static str,
}

impl Display {
    fn new() -> Self {
        let bar = progress::bar("{msg} {bar:30} {pos} of {len} · {eta} left");
        Self { bar, is_terminal: std::io::stderr().is_terminal(), next: Instant::now() + LINES, what: "" }
    }

    fn show(&mut self, progress: Progress) {
        let (what, done, of) = match progress {
            Progress::Count { what, done, of } => (what.name(), done, of),
            Progress::Head { number, of, iteration, iterations, .. } => {
                ("iterations of heads", number * iterations + iteration, of * iterations)
            }
            Progress::Tuning { number, of, step, steps, .. } => {
                ("steps of tuning", number * steps as usize + step as usize, of * steps as usize)
            }
        };
        if what != self.what {
            self.what = what;
            // How long it will take, nobody knows yet.
            self.next = Instant::now() + LINES;
            self.bar.reset();
            self.bar.set_message(what);
            self.bar.set_length(of as u64);
            // What was computed by an earlier call says nothing of the speed of this one.
            self.bar.set_position(done as u64);
            self.bar.reset_eta();
        }
        self.bar.set_position(done as u64);
        if !self.is_terminal && Instant::now() >= self.next {
            self.next = Instant::now() + LINES;
            let left = HumanDuration(self.bar.eta());
            tracing::info!(what, done, of, %left, "training");
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
        text += "Ended before the backbone was tuned: the same command takes that up again.\n";
    } else if !metrics.is_whole {
        text += &format!(
            "Stopped with {} of {} variations of each photo: the same command goes on.\n",
            metrics.copies, metrics.recipe.copies
        );
    }
    for (path, why) in &metrics.failed {
        text += &format!("left out: {}: {}\n", printable(path), printable(why));
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

#[cfg(test)]
mod tests {
    use autorma_training::What;

    use super::*;

    #[test]
    fn a_phase_that_has_just_begun_has_no_line() {
        let mut display = Display::new();
        let begun = Instant::now();
        // On a terminal no line is written, so only the phase can have moved `next`.
        (display.next, display.is_terminal) = (begun, true);
        display.show(Progress::Count { what: What::Read, done: 0, of: 9 });
        assert!(display.next >= begun + LINES);
        display.next = begun;
        display.show(Progress::Count { what: What::Read, done: 1, of: 9 });
        assert_eq!(display.next, begun);
    }
}
