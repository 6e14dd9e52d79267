//! `autorma replay`: image events of the log once more, in a run that nothing else notices.
//!
//! The classifier and the sink work on a log of their own in memory (`view.rs`), which shows them the chosen events of
//! the real one (`selection.rs`, `reader.rs`). The files are made out of sight (`staging.rs`) and moved at the end.

mod comparison;
mod model;
mod ranges;
mod reader;
mod report;
mod selection;
mod staging;
mod view;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use autorma_ingest::Found;
use autorma_schemas::{Micros, RunKind, RunRecord, RunState, topics};
use autorma_service::http::Health;
use autorma_sink::{Finished, move_run, results_path, summary_path};
use autorma_stream::{Log, Transaction, failpoint};

use crate::args::ReplayArgs;
use crate::configuration::Configuration;
use crate::exit;
use crate::home::Home;
use crate::metrics::Metrics;
use crate::output::tell;
use crate::pipeline::Pipeline;
use crate::progress::Display;
use crate::publishing::{Publisher, advised, append, free_run_id};
use crate::reading::patiently;
use comparison::Comparison;
use report::Report;
use selection::Criteria;
use staging::Staging;
use view::{NewRun, View};

/// How often the display is renewed and the end looked for.
const PACE: Duration = Duration::from_millis(20);

/// Classifies the chosen events again, and says what changed.
pub(crate) fn run(
    configuration: &Configuration,
    args: &ReplayArgs,
    display: &mut Display,
) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    configuration.warn_of_unknown_class(args.class.as_deref());
    let home = Home::look(configuration)?;
    let criteria = Criteria::of(args, &*home.log)?;
    let registry = &*configuration.registry()?;
    // All of it is one version's.
    let model =
        model::find(&configuration.classifier.model, args.model.as_deref(), registry)?.pinned(registry)?;
    let manifest = model.manifest(registry)?;
    let output = &configuration.sink.output;
    // Two at a time could choose the same name for their runs.
    let _alone = home.take_in_turn("replay", "autorma replay")?;
    patiently(|| home.log.settle(&[topics::IMAGES, topics::PREDICTIONS, topics::DEAD_LETTERS]))?;
    let selection = criteria.select(&*home.log)?;
    let mut report = Report::new(args, &manifest, &selection);
    if selection.len() > 0 {
        let staging = Staging::open(output)?;
        let mut publisher = Publisher::open(&home, "autorma replay")?;
        let opened_at = Micros::now();
        let is_taken = |id: &str| results_path(output, id).exists() || summary_path(output, id).exists();
        let run_id = free_run_id(&*home.log, "replay_", opened_at, is_taken)?;
        let run = RunRecord::open(run_id, RunKind::Replay, &criteria.text, opened_at);
        let mut inner = configuration.clone();
        inner.classifier.model = model;
        (inner.classifier.split, inner.classifier.shadow) = Default::default();
        if inner.classifier.roots.is_empty() {
            inner.classifier.roots = autorma_classifier::published_folders(&*home.log)?;
        }
        inner.sink.output = staging.folder().to_owned();
        // A replay that is stopped is lost anyway.
        inner.drain = Duration::ZERO;
        let chosen = selection.len();
        let comparison = Comparison::with(selection.former);
        let new = NewRun { id: run.run_id.as_str().into(), renumber: args.run.is_none() };
        let view = View::new(Arc::clone(&home.log), new, selection.offsets, comparison)?;
        let classified = classify(&inner, &home, &view, &run, chosen, display);
        display.clear();
        let (closed, finished) = classified?;
        failpoint::hit("replay-before-move");
        move_run(staging.folder(), output, &run.run_id)?;
        let record = RunRecord {
            state: RunState::Finished,
            predictions: finished.predictions as i64,
            dead_letters: finished.dead_letters as i64,
            ..closed
        };
        let committed = publisher.commit(vec![append(topics::RUNS, &record.run_id, &record)]);
        committed.map_err(|error| advised(error.into()))?;
        // The sink has named a place out of sight.
        let results = results_path(output, &record.run_id);
        tracing::info!(run_id = record.run_id, results = %results.display(), "replay finished");
        report.finished(&record, output, &view.comparison(), chosen - record.images as u64)?;
    }
    report.took(begun.elapsed());
    tell(args.json.json, &report, Report::to_string)?;
    Ok(exit::all_or_not(report.dead_letters == 0))
}

/// Runs the two stages until the run is finished. Returns the run as it was closed, and its files.
fn classify(
    configuration: &Configuration,
    home: &Home,
    view: &View,
    run: &RunRecord,
    chosen: u64,
    display: &mut Display,
) -> anyhow::Result<(RunRecord, Finished)> {
    let home = Home::of(home.folder.clone(), Arc::new(view.clone()), None);
    let metrics = Metrics::new(&home)?;
    let health = Health::default();
    let (pipeline, mut control) = Pipeline::new(configuration, &home, &metrics, &health);
    pipeline.report_signals()?;
    autorma_sink::create_output(&configuration.sink.output)?;
    let found = Found { discovered: chosen, published: chosen, ..Found::default() };
    let finished = || {
        let all = pipeline.progress.snapshot().finished.into_iter();
        all.into_iter().find(|finished| finished.run_id == run.run_id)
    };
    let mut closed = None;
    std::thread::scope(|scope| {
        let _stop = pipeline.stop_at_the_end();
        pipeline.sink(scope);
        pipeline.classify(scope, "replay".into(), configuration.drain);
        let done = control.wait(&pipeline, PACE, |_| {
            display.show(&found, &pipeline.progress);
            if closed.is_none()
                && let Some(images) = view.reading.images(chosen)
            {
                closed = Some(close(view, run, images)?);
            }
            Ok(finished().is_some())
        })?;
        pipeline.stop_all();
        if !done {
            control.stop(&pipeline)?;
            anyhow::bail!("stopped before the end: nothing was written, the same command starts again");
        }
        // The real log is still to hear of the run.
        control.stop_patiently(&pipeline)?;
        closed.zip(finished()).context("the run has ended without being closed: this is a fault in autorma")
    })
}

/// Tells the sink how many outcomes there will be.
fn close(view: &View, run: &RunRecord, images: u64) -> anyhow::Result<RunRecord> {
    let closed = RunRecord { images: images as i64, ..run.clone() }.closed(Micros::now());
    let appends = vec![append(topics::RUNS, &closed.run_id, &closed)];
    view.producer("replay")?.commit(&Transaction { appends, advance: None })?;
    Ok(closed)
}
