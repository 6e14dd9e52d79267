use std::time::{Duration, Instant};

use autorma_schemas::{Event, RunRecord, RunState, topics};
use autorma_stream::retry::patiently;
use autorma_stream::{Append, Transaction, failpoint};

use crate::bookkeeping::Complete;
use crate::cleaning::keep_former;
use crate::names::{part_number, results_path, summary_file, summary_path};
use crate::stage::{Sink, keep_alive};
use crate::summary::Summary;
use crate::tally::Tally;
use crate::{Error, Finished, results};

/// How often the group hears of a member that is writing a large results file.
const BEAT: Duration = Duration::from_millis(500);

impl Sink<'_> {
    /// Finishes the runs that have an outcome for each of their images.
    pub(crate) fn finish_complete(&mut self) -> Result<(), Error> {
        self.books.complete().into_iter().try_for_each(|complete| self.finish(complete))
    }

    /// Results, summary, the last record in `runs`, removal of the parts: in this order, so that a sink that is killed
    /// between two of them does them again.
    fn finish(&mut self, complete: Complete) -> Result<(), Error> {
        let (begun, read) = (Instant::now(), self.store.bytes_read());
        complain_of_surplus(&complete);
        let run = complete.record;
        let paths = self.parts_of(&run.run_id)?;
        let consumer = &mut self.consumer;
        let mut beaten = begun;
        let mut alive = || {
            if beaten.elapsed() < BEAT {
                return Ok(());
            }
            beaten = Instant::now();
            keep_alive(&mut **consumer)
        };
        let tally = Tally::of(&self.store, &run.run_id, &paths, &mut alive)?;
        if !tally.is_of(&complete.counts) {
            // Whatever removed the parts: the next start misses them, and looks for what they held in the log.
            let place = self.store.place(self.folder.path());
            return Err(Error::PartsMissing { run_id: run.run_id, place });
        }
        let summary = Summary::of(&run, &tally);
        keep_former(&self.store, &summary)?;
        results::write(&self.store, &run, &tally, &summary, &mut alive)?;
        failpoint::hit("sink-after-results");
        let text = serde_json::to_vec_pretty(&summary).expect("numbers and text are JSON");
        self.store.put(&summary_file(&run.run_id), text)?;
        failpoint::hit("sink-after-summary");
        let finished = finished_record(run, &summary);
        patiently(|| self.producer.commit(&finished))?;
        failpoint::hit("sink-after-finished");
        self.store.remove(&tally.parts)?;
        tracing::debug!(
            run_id = summary.run_id,
            took = ?begun.elapsed(),
            bytes_read = self.store.bytes_read() - read,
            "results and summary written"
        );
        self.finished(&summary);
        Ok(())
    }

    /// Tells what a sink before in this process has finished without hearing so: the answer of the log was lost, and who
    /// waits for the run knows it as open.
    pub(crate) fn tell_finished(&mut self) -> Result<(), Error> {
        for run_id in self.progress.snapshot().open.into_keys() {
            if self.books.is_finished(&run_id)
                && let Some(text) = self.store.get(&summary_file(&run_id))?
                && let Ok(summary) = serde_json::from_slice::<Summary>(&text)
            {
                self.finished(&summary);
            }
        }
        Ok(())
    }

    /// The parts in the folder of a run, in order. Where the file system doesn't tell cases apart, those of another run may
    /// be among them.
    fn parts_of(&self, run_id: &str) -> Result<Vec<String>, Error> {
        let counts = |path: &String| part_number(path).is_some_and(|number| number < self.manifest.next_part);
        let mut parts = self.store.list(&self.folder.parts(run_id))?;
        parts.retain(counts);
        parts.sort_by_key(|path| part_number(path));
        Ok(parts)
    }

    fn finished(&mut self, summary: &Summary) {
        let run_id = &summary.run_id;
        self.books.finish(run_id);
        let open = self.books.open();
        self.metrics.runs_finished.inc();
        self.metrics.open_runs.set(open.len() as i64);
        let finished = Finished {
            run_id: run_id.clone(),
            results: results_path(self.store.output(), run_id),
            summary: summary_path(self.store.output(), run_id),
            predictions: summary.predictions,
            dead_letters: summary.dead_letters,
        };
        tracing::info!(
            run_id,
            predictions = summary.predictions,
            dead_letters = summary.dead_letters,
            seconds = summary.duration_seconds,
            results = %finished.results.display(),
            "run finished"
        );
        self.progress.update(|snapshot| {
            snapshot.open = open;
            snapshot.finished.push(finished);
        });
    }
}

/// More outcomes than images: somebody else wrote to the run, or its producer miscounted.
fn complain_of_surplus(complete: &Complete) {
    let (run_id, counts) = (&complete.record.run_id, complete.counts);
    let outcomes = counts.predictions + counts.dead_letters + counts.duplicates;
    if counts.images.is_some_and(|images| outcomes > images) {
        tracing::error!(run_id, ?counts, "a run has more outcomes than images; its files hold all of them");
    }
}

fn finished_record(run: RunRecord, summary: &Summary) -> Transaction {
    let record = RunRecord {
        state: RunState::Finished,
        predictions: summary.predictions as i64,
        dead_letters: summary.dead_letters as i64,
        duplicates: summary.duplicates as i64,
        ..run
    };
    let append = Append::keyed(topics::RUNS, &record.run_id, record.encode());
    Transaction { appends: vec![append], advance: None }
}
