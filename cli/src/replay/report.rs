//! What `autorma replay` says at its end.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use autorma_models::Manifest;
use autorma_schemas::{ModelVersion, RunRecord};
use autorma_sink::{results_path, summary_path};
use serde::Serialize;

use super::comparison::{Change, Comparison, Flip};
use super::selection::Selection;
use crate::args::ReplayArgs;
use crate::table::Table;
use crate::words::counted;

/// The report: one JSON object, or tables.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    run_id: Option<String>,
    model: ModelVersion,
    /// Events that were chosen.
    images: u64,
    predictions: u64,
    pub(super) dead_letters: u64,
    same: u64,
    changed: u64,
    new_dead_letters: u64,
    /// Events that had no outcome before.
    without_former: u64,
    /// Records that were left out: of events with a later record, no events, not there any more.
    repeated: u64,
    unreadable: u64,
    vanished: u64,
    changes: Vec<Change>,
    flips: Vec<Flip>,
    duration_seconds: f64,
    results_path: Option<String>,
    summary_path: Option<String>,
    /// How many flips the table lists.
    #[serde(skip)]
    list: usize,
}

impl Report {
    pub(super) fn new(args: &ReplayArgs, manifest: &Manifest, selection: &Selection) -> Self {
        Self {
            run_id: None,
            model: manifest.identity(),
            images: selection.len(),
            predictions: 0,
            dead_letters: 0,
            same: 0,
            changed: 0,
            new_dead_letters: 0,
            without_former: 0,
            repeated: selection.repeated,
            unreadable: selection.unreadable,
            vanished: 0,
            changes: Vec::new(),
            flips: Vec::new(),
            duration_seconds: 0.0,
            results_path: None,
            summary_path: None,
            list: args.list,
        }
    }

    pub(super) fn finished(
        &mut self,
        run: &RunRecord,
        output: &Path,
        comparison: &Comparison,
        vanished: u64,
    ) -> anyhow::Result<()> {
        let text = |path: &Path| std::path::absolute(path).map(|path| path.display().to_string());
        self.predictions = run.predictions as u64;
        self.dead_letters = run.dead_letters as u64;
        self.same = comparison.same;
        self.changed = comparison.changed();
        self.new_dead_letters = comparison.new_dead_letters();
        self.without_former = comparison.first;
        self.vanished = vanished;
        self.changes = comparison.changes();
        self.flips = comparison.flips.clone();
        self.flips.sort_by(|one, other| (&one.name, &one.event_id).cmp(&(&other.name, &other.event_id)));
        self.results_path = Some(text(&results_path(output, &run.run_id))?);
        self.summary_path = Some(text(&summary_path(output, &run.run_id))?);
        self.run_id = Some(run.run_id.clone());
        Ok(())
    }

    pub(super) fn took(&mut self, time: Duration) {
        self.duration_seconds = (time.as_secs_f64() * 1e3).round() / 1e3;
    }

    fn write_notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left_out = [
            (self.repeated, "a later one of the same event was taken"),
            (self.unreadable, "not an image event"),
            (self.vanished, "gone from the log meanwhile"),
        ];
        for (count, why) in left_out.into_iter().filter(|(count, _)| *count > 0) {
            writeln!(f, "{} left out: {why}.", counted(count, "record"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(run_id) = &self.run_id else {
            writeln!(f, "Nothing to replay: the log has no image events of that kind.")?;
            return self.write_notes(f);
        };
        if !self.changes.is_empty() {
            let mut table = Table::new(["before", "now", "images"]);
            for it in &self.changes {
                table.row([it.from.clone(), it.to.clone(), it.images.to_string()]);
            }
            writeln!(f, "{table}")?;
        }
        let listed = self.flips.len().min(self.list);
        if listed > 0 {
            let mut table = Table::new(["photo", "before", "now"]);
            for it in &self.flips[..listed] {
                let photo = it.path.clone().unwrap_or_else(|| it.name.clone());
                let from = it.from.as_ref().map_or_else(|| "nothing".into(), |from| from.text.clone());
                table.row([photo, from, it.to.text.clone()]);
            }
            writeln!(f, "{table}")?;
        }
        if self.flips.len() > listed {
            writeln!(f, "{} more: --list N lists them here, --json all.\n", self.flips.len() - listed)?;
        }
        writeln!(
            f,
            "Run {run_id}: {} with {} {}: {} as before, {} changed, {} without a former outcome; {}, of which {} new; \
             {:.1} s.",
            counted(self.predictions + self.dead_letters, "photo"),
            self.model.name,
            self.model.version,
            self.same,
            self.changed,
            self.without_former,
            counted(self.dead_letters, "dead letter"),
            self.new_dead_letters,
            self.duration_seconds
        )?;
        self.write_notes(f)?;
        writeln!(f, "Results: {}", self.results_path.as_deref().unwrap_or_default())?;
        writeln!(f, "Summary: {}", self.summary_path.as_deref().unwrap_or_default())
    }
}
