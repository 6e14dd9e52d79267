//! `autorma run`: one batch, from a folder to a report.

use std::io::ErrorKind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use autorma_ingest::{Batch, Found};
use autorma_service::http::{Health, Server};
use parking_lot::Mutex;
use prometheus::Registry;

use crate::args::RunArgs;
use crate::configuration::Configuration;
use crate::daemon::take_roles;
use crate::exit;
use crate::home::Home;
use crate::metrics::Metrics;
use crate::output::print;
use crate::pipeline::{Control, Pipeline, Stage};
use crate::progress::Display;
use crate::report::Report;

/// How often the display is renewed and the end looked for.
const PACE: Duration = Duration::from_millis(20);

/// Classifies the folder once.
pub(crate) fn run(
    configuration: &Configuration,
    args: &RunArgs,
    display: &mut Display,
) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    configuration.expect_own_photos_readable()?;
    let home = Home::open(configuration)?;
    let (_roles, slot) = take_roles(&home, configuration, &Stage::ALL, "autorma run")?;
    let metrics = Metrics::new(&home)?;
    let health = home.health();
    for stage in Stage::ALL {
        // Not ready until it says so.
        health.stage(stage.name());
    }
    let _server = serve(configuration, &metrics.registry, &health)?;
    let (pipeline, mut control) = Pipeline::new(configuration, &home, &metrics, &health);
    let batch = Mutex::new(None);
    let found = Mutex::new(Found::default());
    pipeline.report_signals()?;
    let finished = std::thread::scope(|scope| {
        let _stop = pipeline.stop_at_the_end();
        pipeline.sink(scope);
        pipeline.classify(scope, slot, configuration.drain);
        let tell = |now| *found.lock() = now;
        pipeline.batch(scope, tell, |done| *batch.lock() = Some(done));
        let finished = classify(&pipeline, &mut control, || display.show(&found.lock(), &pipeline.progress))?;
        if finished {
            // Nobody has anything left for the next one, but for what others have published since, which can wait.
            pipeline.stop_all();
        }
        control.stop(&pipeline)?;
        anyhow::Ok(finished)
    });
    display.clear();
    if !finished? {
        anyhow::bail!("stopped before the end: nothing is lost, the same command continues");
    }
    let batch: Batch = batch.lock().take().context("ingest has ended without a result")?;
    let seconds = begun.elapsed().as_secs_f64();
    let incomplete = pipeline.incomplete();
    if !incomplete.is_empty() {
        let runs: Vec<_> = incomplete.iter().map(|run| &run.run_id).collect();
        tracing::error!(
            ?runs,
            "outcomes are missing from the log: these runs can't be finished; `autorma replay --run ID` classifies \
             those of their photos that the log still has, `autorma produce` publishes photos again"
        );
    }
    let has_dead_letters = batch.found.already_done > 0 && home.has_dead_letters();
    let snapshot = pipeline.progress.snapshot();
    let report = Report::new(configuration, &batch, &snapshot, &incomplete, has_dead_letters, seconds)?;
    match (args.json, args.quiet) {
        (true, _) => print(&(serde_json::to_string(&report)? + "\n"))?,
        (false, true) => {}
        (false, false) => print(&report.to_string())?,
    }
    // A process that lives for seconds has kept no house, and all that could be needed is in files.
    home.drop_old_records();
    Ok(if report.is_cut_short() { ExitCode::FAILURE } else { exit::all_or_not(!report.has_failures()) })
}

/// Serves metrics and health where anybody has said where. The file and the environment may mean a daemon, too, which has
/// the address then: the run does without.
fn serve(
    configuration: &Configuration,
    registry: &Registry,
    health: &Health,
) -> anyhow::Result<Option<Server>> {
    let chosen = configuration.http.address.filter(|_| configuration.http_chosen);
    let Some(address) = chosen else { return Ok(None) };
    match Server::start(address, registry.clone(), health.clone()) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && !configuration.http_by_flag => {
            tracing::warn!(%address, "the address is in use: metrics and health of this run aren't served");
            Ok(None)
        }
        other => Ok(Some(other?)),
    }
}

/// Until everything is classified and in files, which is true, or a signal came, which is false.
fn classify(pipeline: &Pipeline<'_>, control: &mut Control, mut show: impl FnMut()) -> anyhow::Result<bool> {
    control.wait(pipeline, PACE, |control| {
        show();
        Ok(!control.is_running(Stage::Ingest) && pipeline.is_done()?)
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_a_flag_insists_on_an_address_that_another_process_has() {
        let daemon = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = daemon.local_addr().unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("autorma.toml");
        std::fs::write(&file, format!("[http]\naddress = '{address}'")).unwrap();
        let served = |words: &[&str]| serve(&Configuration::of(words), &Registry::new(), &Health::default());
        assert!(served(&["run", "--config", file.to_str().unwrap()]).unwrap().is_none());
        assert!(served(&["run", "--http", &address]).is_err());
    }
}
