use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use autorma_schemas::{RunRecord, RunState};
use serde::Serialize;
use serde_json::Value;

use crate::configuration::Configuration;
use crate::home::Home;
use crate::output::tell;
use crate::reading::{known_run, newest_runs};
use crate::table::{Table, flattened};
use crate::when::{to_the_second, with_offset};
use crate::words::counted;

/// A run as it is listed.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    run_id: String,
    kind: String,
    state: String,
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
            state: run.state.to_string(),
            input: run.input.clone(),
            images: run.images,
            predictions: outcome(run.predictions),
            dead_letters: outcome(run.dead_letters),
            duplicates: outcome(run.duplicates),
            opened_at: with_offset(run.opened_at),
            closed_at: run.closed_at.map(with_offset),
        }
    }
}

/// One run as it is shown to scripts, the same object in every state.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    run: Listed,
    /// None until it is finished.
    summary: Option<Value>,
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
        let twice = run.duplicates.filter(|count| *count > 0);
        let twice = twice.map(|count| format!(", {}", counted(count, "duplicate"))).unwrap_or_default();
        table.row([
            run.run_id.clone(),
            run.kind.clone(),
            run.state.clone(),
            run.images.to_string(),
            outcome(run.predictions) + &twice,
            outcome(run.dead_letters),
            to_the_second(&run.opened_at),
            run.input.clone(),
        ]);
    }
    table.to_string()
}

/// `autorma runs`.
pub(crate) fn runs(
    configuration: &Configuration,
    last: Option<usize>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    tell(json, &listed(configuration, last)?, |runs| match runs.is_empty() {
        true => "No runs yet.\n".into(),
        false => table(runs),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// All of them, or the newest `last`.
fn listed(configuration: &Configuration, last: Option<usize>) -> anyhow::Result<Vec<Listed>> {
    let home = Home::look(configuration)?;
    let runs = newest_runs(&*home.log)?;
    let older = last.map_or(0, |last| runs.len().saturating_sub(last));
    Ok(runs.iter().skip(older).map(Listed::from).collect())
}

/// `autorma runs show ID`.
pub(crate) fn show(configuration: &Configuration, id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let home = Home::look(configuration)?;
    let record = known_run(&*home.log, id)?;
    let shown = Shown { run: Listed::from(&record), summary: summary(configuration, &record)? };
    let results = autorma_sink::results_path(&configuration.sink.output, id);
    tell(json, shown, |shown| text(shown, &results))?;
    Ok(ExitCode::SUCCESS)
}

/// Of a run whose results are in that file.
fn text(Shown { run, summary }: Shown, results: &Path) -> String {
    let listed = table(&[run]);
    let Some(summary) = summary else {
        return listed + "Its summary is written when it is closed and every image has its outcome.\n";
    };
    let mut values = Table::new(["summary", ""]);
    flattened(&summary).into_iter().for_each(|(name, value)| values.row([name, value]));
    format!("{listed}\n{values}\nResults: {}\n", results.display())
}

/// What the sink has written about a run when it was finished.
fn summary(configuration: &Configuration, run: &RunRecord) -> anyhow::Result<Option<Value>> {
    if run.state != RunState::Finished {
        return Ok(None);
    }
    let path = autorma_sink::summary_path(&configuration.sink.output, &run.run_id);
    let failed = || format!("reading {}; --output names the folder of the results", path.display());
    let text = std::fs::read_to_string(&path).with_context(failed)?;
    Ok(Some(serde_json::from_str(&text).with_context(failed)?))
}

#[cfg(test)]
mod tests {
    use autorma_schemas::{Event, Micros, RunKind, topics};
    use autorma_stream::{Append, Transaction};
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn run(id: &str, opened_at: i64) -> RunRecord {
        RunRecord {
            state: RunState::Finished,
            images: 1,
            predictions: 1,
            ..RunRecord::open(id, RunKind::Batch, "/photos", Micros(opened_at)).closed(Micros(opened_at + 1))
        }
    }

    #[test]
    fn the_newest_runs_are_the_last_that_were_opened() {
        let folder = tempfile::tempdir().unwrap();
        let configuration = Configuration::of(&["runs", "--data", folder.path().to_str().unwrap()]);
        let home = Home::open(&configuration).unwrap();
        let append = |(id, opened_at): (&str, i64)| Append {
            topic: topics::RUNS.into(),
            key: Some(Vec::from(id)),
            value: run(id, opened_at).encode(),
            ..Append::default()
        };
        let appends = [("b", 2), ("c", 3), ("a", 1)].map(append).into();
        home.log.producer("test").unwrap().commit(&Transaction { appends, advance: None }).unwrap();
        let listed = |last| {
            let runs = json!(listed(&configuration, last).unwrap());
            let ids = runs.as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned());
            ids.collect::<Vec<_>>()
        };
        assert_eq!(listed(Some(2)), ["b", "c"]);
        assert_eq!((listed(None).len(), listed(Some(9)).len(), listed(Some(0)).len()), (3, 3, 0));
    }

    #[test]
    fn a_run_is_the_same_object_in_every_state() {
        let shown = |state: RunState, summary: Option<Value>| {
            let run = RunRecord { state, ..run("20261124_220330", 0) };
            serde_json::to_value(Shown { run: Listed::from(&run), summary }).unwrap()
        };
        let open = shown(RunState::Open, None);
        let finished = shown(RunState::Finished, Some(json!({ "opened_at": "otherwise written" })));
        let keys = |it: &Value| it.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&open), keys(&finished));
        assert_eq!((&open["opened_at"], &open["summary"]), (&finished["opened_at"], &Value::Null));
        for key in ["opened_at", "closed_at"] {
            assert!(open[key].as_str().unwrap().parse::<Timestamp>().is_ok(), "no offset: {open}");
        }
    }
}
