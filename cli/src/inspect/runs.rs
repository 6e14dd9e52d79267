use anyhow::Context;
use autorma_schemas::{RunRecord, RunState};
use serde::Serialize;

use super::json_text;
use crate::configuration::Configuration;
use crate::home::Home;
use crate::reading::{known_run, newest_runs};
use crate::table::{Table, flattened};

/// A run as it is listed.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    run_id: String,
    kind: String,
    state: &'static str,
    input: String,
    images: i64,
    /// Outcomes are known once the run is finished.
    predictions: Option<i64>,
    dead_letters: Option<i64>,
    duplicates: Option<i64>,
    opened_at: String,
    closed_at: Option<String>,
}

impl From<&RunRecord> for Listed {
    fn from(run: &RunRecord) -> Self {
        let outcome = |count: i64| (run.state == RunState::Finished).then_some(count);
        Self {
            run_id: run.run_id.clone(),
            kind: run.kind.to_string(),
            state: match run.state {
                RunState::Open => "open",
                RunState::Closed => "closed",
                RunState::Finished => "finished",
            },
            input: run.input.clone(),
            images: run.images,
            predictions: outcome(run.predictions),
            dead_letters: outcome(run.dead_letters),
            duplicates: outcome(run.duplicates),
            opened_at: run.opened_at.iso(),
            closed_at: run.closed_at.map(|at| at.iso()),
        }
    }
}

/// A run's record for scripts.
pub(crate) fn as_json(run: &RunRecord) -> impl Serialize {
    Listed::from(run)
}

/// As a table for people.
pub(super) fn table(runs: &[Listed]) -> String {
    let mut table =
        Table::new(["run", "kind", "state", "images", "predictions", "dead letters", "opened", "input"]);
    for run in runs {
        let outcome = |count: Option<i64>| count.map_or_else(|| "-".into(), |count| count.to_string());
        table.row([
            run.run_id.clone(),
            run.kind.clone(),
            run.state.into(),
            run.images.to_string(),
            outcome(run.predictions),
            outcome(run.dead_letters),
            run.opened_at.chars().take(19).collect(),
            run.input.clone(),
        ]);
    }
    table.to_string()
}

/// `autorma runs`.
pub(crate) fn runs(configuration: &Configuration, json: bool) -> anyhow::Result<String> {
    let home = Home::look(configuration)?;
    let runs: Vec<_> = newest_runs(&*home.log)?.iter().map(Listed::from).collect();
    if json {
        return json_text(&runs);
    }
    Ok(if runs.is_empty() { "No runs yet.\n".into() } else { table(&runs) })
}

/// `autorma runs show ID`.
pub(crate) fn show(configuration: &Configuration, id: &str, json: bool) -> anyhow::Result<String> {
    let home = Home::look(configuration)?;
    let run = &known_run(&*home.log, id)?;
    let summary = autorma_sink::summary_path(&configuration.sink.output, id);
    if run.state != RunState::Finished {
        if json {
            return json_text(&Listed::from(run));
        }
        let listed = table(&[Listed::from(run)]);
        return Ok(listed + "Its summary is written when it is closed and every image has its outcome.\n");
    }
    let failed = || format!("reading {}; --output names the folder of the results", summary.display());
    let text = std::fs::read_to_string(&summary).with_context(failed)?;
    if json {
        return Ok(text);
    }
    let summary: serde_json::Value = serde_json::from_str(&text).with_context(failed)?;
    let mut values = Table::new(["summary", ""]);
    flattened(&summary).into_iter().for_each(|(name, value)| values.row([name, value]));
    let results = autorma_sink::results_path(&configuration.sink.output, id);
    Ok(format!("{}\n{values}\nResults: {}\n", table(&[Listed::from(run)]), results.display()))
}
