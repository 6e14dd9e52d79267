//! The results file: the contract of the system that autorma replaces, with further keys behind its own.

use autorma_schemas::{RunKind, RunRecord};
use serde::Serialize;

use crate::Error;
use crate::names::{is_stamp, results_file};
use crate::pretty::{new_line, pretty};
use crate::store::{Store, Upload};
use crate::summary::{ModelCount, Summary};
use crate::tally::{Entry, Tally};
use crate::texts::Texts;

/// What stands before the images.
#[derive(Debug, Serialize)]
struct Head<'a> {
    run_timestamp: &'a str,
    total_images: u64,
    successful: u64,
    failed: u64,
    duration_seconds: f64,
}

/// What stands behind them.
#[derive(Debug, Serialize)]
struct Tail<'a> {
    run_id: &'a str,
    kind: RunKind,
    input: &'a str,
    duplicates: u64,
    models: &'a [ModelCount],
}

/// Writes the results of a run from its parts.
pub(crate) fn write(
    store: &Store,
    run: &RunRecord,
    tally: &Tally,
    summary: &Summary,
    alive: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    let stamp = if is_stamp(&run.run_id) { run.run_id.clone() } else { run.opened_at.stamp() };
    let head = Head {
        run_timestamp: &stamp,
        total_images: summary.discovered,
        successful: summary.predictions,
        failed: summary.dead_letters,
        duration_seconds: summary.duration_seconds,
    };
    let tail = Tail {
        run_id: &run.run_id,
        kind: run.kind,
        input: &run.input,
        duplicates: summary.duplicates,
        models: &summary.models,
    };
    let (mut head, tail) = (object(&head), object(&tail));
    // The object goes on.
    head.truncate(head.len() - "\n}".len());
    let texts = Texts::new(store, &tally.parts);
    store.stream(&results_file(&run.run_id), |file| {
        file.chunk().extend_from_slice(&head);
        list(file, "predictions", &tally.predictions, &texts, alive)?;
        list(file, "failed_images", &tally.failed, &texts, alive)?;
        file.chunk().push(b',');
        file.chunk().extend_from_slice(&tail["{".len()..]);
        Ok(())
    })
}

fn list(
    file: &mut Upload<'_>,
    name: &str,
    entries: &[Entry],
    texts: &Texts<'_>,
    alive: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    file.chunk().extend_from_slice(format!(",\n  \"{name}\": [").as_bytes());
    let mut is_first = true;
    texts.each(entries, |text| {
        let chunk = file.chunk();
        if !std::mem::take(&mut is_first) {
            chunk.push(b',');
        }
        new_line(2, chunk);
        pretty(text, 2, chunk);
        file.flush()?;
        alive()
    })?;
    if !entries.is_empty() {
        new_line(1, file.chunk());
    }
    file.chunk().push(b']');
    Ok(())
}

fn object(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("numbers and text are JSON")
}
