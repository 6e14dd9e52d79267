use autorma_schemas::{Event, Micros, RunRecord, topics};
use autorma_stream::{NextOffset, StoredRecord};

use crate::Error;
use crate::outcome::{Outcome, readable};
use crate::stage::Sink;

impl Sink<'_> {
    /// Takes a record into the buffer and the books.
    pub(crate) fn read(&mut self, record: &StoredRecord) -> Result<(), Error> {
        if !self.positions.advance(&record.at, record.offset.next()) {
            // The files cover it already.
            return Ok(());
        }
        self.buffer.count();
        if record.at.topic == topics::RUNS {
            let run = readable(record, RunRecord::decode(&record.value))?;
            run.into_iter().for_each(|run| self.books.record(run));
        } else if let Some(outcome) = Outcome::read(record)? {
            let elsewhere = self.manifest.elsewhere.get(&record.at).copied().unwrap_or(NextOffset::START);
            let covered = record.offset.next() <= elsewhere;
            let run_id = outcome.run_id.as_deref();
            let place = self.books.place(run_id, outcome.id, outcome.kind, covered, Micros::now());
            self.books.note(&place, run_id, &record.at, record.offset);
            self.buffer.add(place, outcome);
        }
        Ok(())
    }
}
