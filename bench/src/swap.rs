//! An alias that moves under load: how soon the other version computes, and what that costs those that are computed
//! meanwhile.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::home::Home;
use crate::program::{Metrics, Program, command, metrics};
use crate::report::{Report, median};
use crate::root;
use crate::wait::wait_at;

const MOVES: usize = 3;
/// How often the program is looked at: before a move as often as after it, for that costs something.
const LOOKS: Duration = Duration::from_millis(50);
/// Seconds before a move that those after it are compared with.
const WINDOW: f64 = 4.0;
const DAY: f64 = 86_400.0;
const TOO_FEW: &str = "the photos were too few to move the alias on the way: more --images";

/// An alias was moved. Times are in seconds of the day.
struct Moved {
    /// When nobody had begun with it yet.
    before: f64,
    at: f64,
    /// When the classifier had noticed it, and began to fetch, try and load the version.
    noticed: f64,
    /// When the version served.
    served: f64,
    /// What the alias names since then.
    version: String,
}

/// Classifies the photos with what an alias names, which moves on the way.
pub(crate) fn measure(photos: &Path, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("swap: {MOVES} moves of an alias");
    fs::create_dir_all(folder)?;
    let (shipped, next) = (root().join("models/shipped").canonicalize()?, folder.join("next"));
    copy_with_another_temperature(&shipped, &next)?;
    for model in [&shipped, &next] {
        models(folder, &["register", &model.display().to_string()])?;
    }
    models(folder, &["alias", "refund-classifier/1", "production"])?;
    let arguments = ["run", "--json", "--model", "refund-classifier@production"];
    let mut program = Program::start(&Home::Embedded, folder, &arguments, photos)?;
    while_it_works(&mut program, "work is under way", |it| it.sum("autorma_sink_outcomes_total") >= 200.0)?;
    let mut moves = Vec::new();
    for moved in 0..MOVES {
        let begun = Instant::now();
        while_it_works(&mut program, "it works on", |_| begun.elapsed().as_secs_f64() > 1.1 * WINDOW)?;
        let (before, version) = (now(), [2, 1][moved % 2].to_string());
        models(folder, &["alias", &format!("refund-classifier/{version}"), "production"])?;
        let (at, label) = (now(), format!("version=\"{version}\""));
        let serves = |it: &Metrics| it.has("autorma_classifier_model_info", &label);
        while_it_works(&mut program, "the move is noticed", |it| {
            it.sum("autorma_classifier_model_behind") > 0.0 || serves(it)
        })?;
        let noticed = now();
        while_it_works(&mut program, "the version serves", serves)?;
        moves.push(Moved { before, at, noticed, served: now(), version });
    }
    ensure!(program.child.wait()?.success(), "autorma run failed");
    let predictions = predictions(&folder.join("output"))?;
    // Photos come by micro-batches: of one move alone, a few more or less say little.
    let (mut bringing, mut meanwhile, mut earlier, mut delays) = (0.0, 0.0, 0.0, vec![]);
    for Moved { before, at, noticed, served, version } in moves {
        let since = |time: f64| (time - at + DAY / 2.0).rem_euclid(DAY) - DAY / 2.0;
        let within = |from: f64, to: f64| {
            predictions.iter().filter(|(time, _)| (from..to).contains(&since(*time))).count() as f64
        };
        let [before, noticed, served] = [before, noticed, served].map(since);
        ensure!(within(served, DAY) > 0.0, TOO_FEW);
        // Of a moment there is no rate.
        ensure!(served - noticed > 0.1, "the version served before the move was noticed: call it again");
        bringing += served - noticed;
        meanwhile += within(noticed, served);
        earlier += within(before - WINDOW, before);
        let by_it = predictions.iter().filter(|(time, by)| *by == version && since(*time) >= 0.0);
        let first = by_it.map(|(time, _)| since(*time)).fold(f64::INFINITY, f64::min);
        ensure!(first.is_finite(), "version {version} has made no prediction");
        delays.push(first);
    }
    report.add("alias_move_to_first_prediction_seconds", median(&mut delays), None);
    let ratio = (meanwhile / bringing) / (earlier / (WINDOW * MOVES as f64));
    report.add("throughput_while_a_version_is_brought_to_before", ratio, Some("at least 0.9"));
    Ok(())
}

/// Waits until `done` says so of the program's metrics, which are asked for as often as ever until then.
fn while_it_works(
    program: &mut Program,
    what: &str,
    mut done: impl FnMut(&Metrics) -> bool,
) -> anyhow::Result<()> {
    let mut is_over = false;
    wait_at(LOOKS, what, || {
        is_over = !matches!(program.child.try_wait(), Ok(None));
        (is_over || metrics(&program.address).is_some_and(|it| done(&it))).then_some(())
    })?;
    ensure!(!is_over, TOO_FEW);
    Ok(())
}

/// Another version, no slower.
pub(crate) fn copy_with_another_temperature(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    let path = to.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path)?)?;
    manifest["temperature"] = 1.0.into();
    Ok(fs::write(path, manifest.to_string())?)
}

pub(crate) fn models(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let arguments: Vec<_> = ["models"].iter().chain(arguments).copied().collect();
    let status = command(&Home::Embedded, folder, &arguments)?.status()?;
    ensure!(status.success(), "autorma {arguments:?} failed");
    Ok(())
}

/// When each was made, in seconds of the day, and by which version.
fn predictions(output: &Path) -> anyhow::Result<Vec<(f64, String)>> {
    let results = fs::read_dir(output)?.flatten().map(|entry| entry.path());
    let mut results = results.filter(|path| path.extension().is_some_and(|it| it == "json"));
    let results: Value = serde_json::from_slice(&fs::read(results.next().context("there are no results")?)?)?;
    let predictions = results["predictions"].as_array().context("there are no predictions")?.iter();
    let parts = predictions.map(|it| {
        let (at, by) = (it["processed_at"].as_str()?, it["model"]["version"].as_str()?);
        let mut clock = at.split_once('T')?.1.split(':').map(|part| part.parse::<f64>().ok());
        Some((clock.next()?? * 3600.0 + clock.next()?? * 60.0 + clock.next()??, by.to_owned()))
    });
    parts.collect::<Option<_>>().context("a prediction doesn't say when it was made")
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64().rem_euclid(DAY)
}
