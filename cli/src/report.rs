//! What `autorma run` says at its end.

use std::fmt;
use std::path::Path;

use anyhow::{Context, bail};
use autorma_ingest::Batch;
use autorma_schemas::RunRecord;
use autorma_sink::{Finished, Snapshot, Summary, is_stamp};
use autorma_stream::kafka::KafkaConfig;
use serde::Serialize;

use crate::configuration::Configuration;
use crate::table::{Table, printable};
use crate::words::{counted, for_a_shell};

/// The report: one JSON object, or a table. Counts are of the run that was made or continued.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) run_id: Option<String>,
    /// Image events of the run, which has no files if it can't be finished.
    pub(crate) images: u64,
    pub(crate) discovered: u64,
    pub(crate) predictions: u64,
    pub(crate) dead_letters: u64,
    pub(crate) duplicates: u64,
    pub(crate) already_done: u64,
    pub(crate) still_being_written: u64,
    pub(crate) unreadable: u64,
    /// Folders whose photos nobody knows.
    pub(crate) unreadable_folders: u64,
    pub(crate) duration_seconds: f64,
    pub(crate) images_per_second: f64,
    pub(crate) results_path: Option<String>,
    pub(crate) summary_path: Option<String>,
    #[serde(skip)]
    summary: Option<Summary>,
    /// Further runs that were finished by the way: interrupted ones of before, and what waited for a classifier.
    finished_too: Vec<Other>,
    /// The folder's runs that can't be finished, this one and earlier ones: outcomes of theirs are missing from the log.
    unfinished: Vec<Unfinished>,
    /// Whether the log has dead letters, of whatever run.
    #[serde(skip)]
    has_dead_letters: bool,
    #[serde(skip)]
    input: String,
    /// What is to be said of photos that were published before.
    #[serde(skip)]
    of_before: &'static str,
    /// How to call autorma on the same data.
    #[serde(skip)]
    program: String,
}

/// A run that was finished by the way.
#[derive(Debug, Serialize)]
struct Other {
    run_id: String,
    predictions: u64,
    dead_letters: u64,
    results_path: String,
    summary_path: String,
}

/// A run that can't be finished.
#[derive(Debug, Serialize)]
struct Unfinished {
    run_id: String,
    images: u64,
}

impl Report {
    /// `incomplete` are the runs that can't be finished, of whatever folder.
    pub(crate) fn new(
        configuration: &Configuration,
        batch: &Batch,
        snapshot: &Snapshot,
        incomplete: &[RunRecord],
        has_dead_letters: bool,
        seconds: f64,
    ) -> anyhow::Result<Self> {
        // As ingest names it in its runs. Those that it has made of another folder may be finished by the way, too.
        let folder = configuration.ingest.input.canonicalize().unwrap_or_default();
        let is_folder = |input: &str| Path::new(input) == folder;
        let is_of_folder =
            |it: &&Finished| is_stamp(&it.run_id) && read(it).is_ok_and(|summary| is_folder(&summary.input));
        let newest = || snapshot.finished.iter().rev();
        let finished = match &batch.run {
            Some(run) => newest().find(|finished| finished.run_id == run.run_id),
            // One that an earlier process has closed may be all that was left to do. Others' are told by the way.
            None => newest().find(is_of_folder),
        };
        let lacking =
            batch.run.as_ref().filter(|run| incomplete.iter().any(|other| other.run_id == run.run_id));
        if let (Some(run), None, None) = (&batch.run, finished, lacking) {
            bail!("what has become of the run {0} isn't known: `autorma runs show {0}` tells", run.run_id);
        }
        let summary = finished.map(read).transpose()?;
        let run_id = finished.map(|finished| finished.run_id.as_str());
        let others = snapshot.finished.iter().filter(|other| Some(other.run_id.as_str()) != run_id);
        // The folder's photos that an earlier process has published are classified by now, and not before.
        let ours = batch.run.as_ref().map(|run| run.run_id.as_str());
        let of_folder = snapshot.finished.iter().filter(is_of_folder);
        let earlier = of_folder.filter(|it| Some(it.run_id.as_str()) != ours);
        let unfinished = incomplete.iter().filter(|run| {
            Some(run.run_id.as_str()) == ours || (is_stamp(&run.run_id) && is_folder(&run.input))
        });
        let unfinished =
            unfinished.map(|run| Unfinished { run_id: run.run_id.clone(), images: run.images.max(0) as u64 });
        let by_now: u64 = earlier.map(|it| it.predictions + it.dead_letters).sum();
        let classified = snapshot.durable_outcomes as f64;
        let text = |path: &Path| std::path::absolute(path).map(|path| path.display().to_string());
        let other = |other: &Finished| {
            anyhow::Ok(Other {
                run_id: other.run_id.clone(),
                predictions: other.predictions,
                dead_letters: other.dead_letters,
                results_path: text(&other.results)?,
                summary_path: text(&other.summary)?,
            })
        };
        let published = lacking.map(|run| run.images as u64);
        Ok(Self {
            run_id: run_id.or(lacking.map(|run| run.run_id.as_str())).map(str::to_owned),
            images: summary.as_ref().map(|summary| summary.images).or(published).unwrap_or(0),
            discovered: summary.as_ref().map_or(0, |summary| summary.discovered),
            predictions: summary.as_ref().map_or(0, |summary| summary.predictions),
            dead_letters: summary.as_ref().map_or(0, |summary| summary.dead_letters),
            duplicates: summary.as_ref().map_or(0, |summary| summary.duplicates),
            already_done: batch.found.already_done.saturating_sub(by_now),
            finished_too: others.map(other).collect::<Result<_, _>>()?,
            unfinished: unfinished.collect(),
            has_dead_letters,
            of_before: match configuration.ingest.reprocess {
                None => "--reprocess classifies them again",
                Some(_) => "left to the runs that they are in, which aren't finished",
            },
            still_being_written: batch.found.left_out,
            unreadable: batch.found.unreadable,
            unreadable_folders: batch.found.unreadable_folders,
            duration_seconds: (seconds * 1e3).round() / 1e3,
            images_per_second: (classified / seconds.max(1e-9) * 10.0).round() / 10.0,
            results_path: finished.map(|finished| text(&finished.results)).transpose()?,
            summary_path: finished.map(|finished| text(&finished.summary)).transpose()?,
            summary,
            input: configuration.ingest.input.display().to_string(),
            program: program(configuration),
        })
    }
}

/// As this process was called, with its settings and its log, for a shell.
fn program(configuration: &Configuration) -> String {
    let name = std::env::args_os().next().unwrap_or_else(|| "autorma".into());
    let mut words = vec![name.display().to_string()];
    if let Some(file) = &configuration.file {
        words.extend(["--config".to_owned(), file.display().to_string()]);
    }
    words.extend(["--data".to_owned(), configuration.data.display().to_string()]);
    if let Some(KafkaConfig { brokers, prefix, .. }) = &configuration.log.kafka {
        words.extend(["--brokers".to_owned(), brokers.clone()]);
        if !prefix.is_empty() {
            words.extend(["--set".to_owned(), format!("log.kafka.prefix={prefix}")]);
        }
    }
    words.iter().map(|word| for_a_shell(word)).collect::<Vec<_>>().join(" ")
}

impl Report {
    /// Whether this run isn't finished, or files are left to the next.
    pub(crate) fn is_cut_short(&self) -> bool {
        let is_this = |run: &Unfinished| Some(&run.run_id) == self.run_id.as_ref();
        self.still_being_written > 0 || self.unfinished.iter().any(is_this)
    }

    /// Whether this run, or one that it has finished, leaves photos without a prediction that the next won't try again. An
    /// earlier one that can't be finished is told each time, but would be a failure for ever.
    pub(crate) fn has_failures(&self) -> bool {
        self.dead_letters
            + self.unreadable
            + self.unreadable_folders
            + self.finished_too.iter().map(|other| other.dead_letters).sum::<u64>()
            > 0
    }

    fn write_notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Unfinished { run_id, images } in &self.unfinished {
            let (photos, run) = (counted(*images, "photo"), for_a_shell(run_id));
            writeln!(
                f,
                "Run {run_id} can't be finished: outcomes are missing of its {photos}. Those that the log still has are \
                 classified by: {} replay --run {run}",
                self.program
            )?;
        }
        let left_out = [
            (self.still_being_written, "file", "still being written"),
            (self.unreadable, "file", "unreadable"),
            (self.unreadable_folders, "folder", "unreadable"),
        ];
        for (count, what, why) in left_out.into_iter().filter(|(count, ..)| *count > 0) {
            writeln!(f, "{} left out, {why}: the log has the names.", counted(count, what))?;
        }
        for Other { run_id, predictions, dead_letters, results_path, .. } in &self.finished_too {
            writeln!(
                f,
                "Run {}, which was waiting, is finished too: {}, {}, in {results_path}",
                printable(run_id),
                counted(*predictions, "prediction"),
                counted(*dead_letters, "dead letter")
            )?;
        }
        // Those of this run are told with it.
        if self.already_done > 0 && self.has_dead_letters && self.dead_letters == 0 {
            writeln!(
                f,
                "Dead letters among what was published before are tried again by: {} dead-letters retry",
                self.program
            )?;
        }
        Ok(())
    }
}

fn read(finished: &Finished) -> anyhow::Result<Summary> {
    let failed = || format!("reading {}", finished.summary.display());
    let text = std::fs::read(&finished.summary).with_context(failed)?;
    serde_json::from_slice(&text).with_context(failed)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(summary) = &self.summary else {
            if self.run_id.is_some() {
                // It can't be finished, which is a note.
                return self.write_notes(f);
            }
            let left_out = self.still_being_written + self.unreadable + self.unreadable_folders;
            if self.already_done + left_out == 0 {
                writeln!(
                    f,
                    "No photos in {}: it has no file that ends in .jpg, .png and so on (`--recursive` looks \
                     into its folders, too; links out of it don't count).",
                    self.input
                )?;
                return self.write_notes(f);
            }
            write!(f, "Nothing new in {}", self.input)?;
            if self.already_done > 0 {
                let photos = counted(self.already_done, "photo");
                write!(f, ": {photos} published before ({})", self.of_before)?;
            }
            writeln!(f, ".")?;
            return self.write_notes(f);
        };
        let mut table = Table::new(["class", "predictions"]);
        for (class, count) in &summary.predictions_by_class {
            table.row([class.clone(), count.to_string()]);
        }
        writeln!(f, "{table}")?;
        let mut table = Table::new(["decision", "predictions"]);
        for (decision, count) in &summary.decisions {
            table.row([decision.clone(), count.to_string()]);
        }
        writeln!(f, "{table}")?;
        if self.dead_letters > 0 {
            let mut table = Table::new(["dead letter", "images"]);
            for (reason, count) in &summary.dead_letters_by_reason {
                table.row([reason.clone(), count.to_string()]);
            }
            writeln!(f, "{table}")?;
        }
        writeln!(
            f,
            "Run {}: {}, {}, {}, {} published before; {:.1} s, {:.1} images a second.",
            summary.run_id,
            counted(self.discovered, "photo"),
            counted(self.predictions, "prediction"),
            counted(self.dead_letters, "dead letter"),
            self.already_done,
            self.duration_seconds,
            self.images_per_second
        )?;
        self.write_notes(f)?;
        writeln!(f, "Results: {}", self.results_path.as_deref().unwrap_or_default())?;
        writeln!(f, "Summary: {}", self.summary_path.as_deref().unwrap_or_default())?;
        if self.dead_letters > 0 {
            let run = for_a_shell(&summary.run_id);
            writeln!(f, "Dead letters: {} dead-letters --run {run}", self.program)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
