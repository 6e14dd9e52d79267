use std::collections::BTreeMap;

use autorma_schemas::{Event, Micros, RunRecord, topics};
use autorma_stream::{NextOffset, StoredRecord, TopicPartition};

use crate::Error;
use crate::bookkeeping::Place;
use crate::manifest::Mark;
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
        self.buffer.last.insert(record.at.to_string(), Mark::of(record));
        if record.at.topic == topics::RUNS {
            let run = readable(record, RunRecord::decode(&record.value))?;
            run.into_iter().for_each(|run| self.books.record(run));
        } else if let Some(outcome) = Outcome::read(record)? {
            let run_id = outcome.run_id.as_deref();
            let covered = self.is_covered(record, run_id);
            let place = self.books.place(run_id, outcome.id, outcome.kind, covered, Micros::now());
            self.books.note(&place, run_id, &record.at, record.offset);
            if place == Place::Elsewhere && run_id.is_none() {
                self.stranded.look(&self.books, outcome.done_at);
            }
            self.buffer.add(place, outcome);
        }
        Ok(())
    }

    /// Whether an outcome that no open run takes is in another output folder. Of one that names a run the group's offsets
    /// say so, too: the folder from which they were committed has had it. Of others they don't, for anybody can move a
    /// group.
    fn is_covered(&self, record: &StoredRecord, run_id: Option<&str>) -> bool {
        let next = |offsets: &BTreeMap<TopicPartition, NextOffset>| {
            offsets.get(&record.at).copied().unwrap_or(NextOffset::START)
        };
        let elsewhere = next(&self.manifest.elsewhere);
        let durable = if run_id.is_some() { elsewhere.max(next(&self.committed)) } else { elsewhere };
        record.offset.next() <= durable
    }
}
