//! The results file: the contract of the system that autorma replaces, with further keys behind its own.

use std::collections::{HashMap, VecDeque};

use autorma_schemas::{RunKind, RunRecord};
use bytes::Bytes;
use serde::Serialize;

use crate::Error;
use crate::names::{is_stamp, results_file};
use crate::pretty::{new_line, pretty};
use crate::store::{Store, Upload};
use crate::summary::{ModelCount, Summary};
use crate::tally::{Entry, Tally, gone};

/// Bytes of parts that are kept in memory.
const CACHE: usize = 16 << 20;

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
    parts: &[String],
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
    let mut parts = Parts { store, paths: parts, kept: HashMap::new(), order: VecDeque::new(), bytes: 0 };
    store.stream(&results_file(&run.run_id), |file| {
        file.chunk().extend_from_slice(&head);
        list(file, "predictions", &tally.predictions, &mut parts, alive)?;
        list(file, "failed_images", &tally.failed, &mut parts, alive)?;
        file.chunk().push(b',');
        file.chunk().extend_from_slice(&tail["{".len()..]);
        Ok(())
    })
}

fn list(
    file: &mut Upload<'_>,
    name: &str,
    entries: &[Entry],
    parts: &mut Parts<'_>,
    alive: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    file.chunk().extend_from_slice(format!(",\n  \"{name}\": [").as_bytes());
    for (number, entry) in entries.iter().enumerate() {
        let text = parts.entry(entry)?;
        let chunk = file.chunk();
        if number > 0 {
            chunk.push(b',');
        }
        new_line(2, chunk);
        pretty(&text, 2, chunk);
        file.flush()?;
        alive()?;
    }
    if !entries.is_empty() {
        new_line(1, file.chunk());
    }
    file.chunk().push(b']');
    Ok(())
}

fn object(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("numbers and text are JSON")
}

/// The run's parts, as far as they fit in memory: outcomes are stored nearly in the order of their numbers.
#[derive(Debug)]
struct Parts<'a> {
    store: &'a Store,
    paths: &'a [String],
    kept: HashMap<usize, Bytes>,
    order: VecDeque<usize>,
    bytes: usize,
}

impl Parts<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<Bytes, Error> {
        if let Some(part) = self.kept.get(&entry.part) {
            return Ok(part.slice(entry.range()));
        }
        let path = &self.paths[entry.part];
        let part = self.store.get(path)?.ok_or_else(|| gone(self.store, path))?;
        self.bytes += part.len();
        self.order.push_back(entry.part);
        self.kept.insert(entry.part, part.clone());
        while self.bytes > CACHE
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.kept.remove(&oldest).map_or(0, |part| part.len());
        }
        Ok(part.slice(entry.range()))
    }
}
