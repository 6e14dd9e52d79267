use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use autorma_schemas::Micros;
use autorma_stream::retry::patiently;
use autorma_stream::{Advance, Error as LogError, Transaction, failpoint};

use crate::Error;
use crate::buffer::Buffer;
use crate::manifest::Mark;
use crate::part::{Header, write};
use crate::recovery::next_of;
use crate::stage::Sink;

/// How soon offsets that the group has refused are committed again, when nothing else comes.
const AGAIN: Duration = Duration::from_secs(1);

impl Sink<'_> {
    /// Makes what was read durable, then finishes the runs that it has completed.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        let stored_at = Micros::now();
        self.books.close_outside(stored_at);
        let mut buffer = std::mem::take(&mut self.buffer);
        self.write_parts(&buffer, stored_at)?;
        self.write_manifest(std::mem::take(&mut buffer.last))?;
        self.settle_offsets()?;
        let ended = Instant::now();
        self.pace.flushed(begun, ended, buffer.seen.len());
        self.report(&buffer, ended - begun);
        self.finish_complete()
    }

    /// Does what a crash may have left undone after the manifest.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        self.settle_offsets()?;
        self.tell_finished()?;
        self.report(&Buffer::default(), Duration::ZERO);
        self.finish_complete()
    }

    /// Commits offsets that the group has refused: perhaps nothing comes whose flush would.
    pub(crate) fn settle_refused(&mut self) -> Result<(), Error> {
        let is_time = self.refused.is_some_and(|at| at.elapsed() >= AGAIN);
        if is_time && self.buffer.is_empty() { self.settle_offsets() } else { Ok(()) }
    }

    /// One part for each run that has outcomes. They don't count yet.
    fn write_parts(&mut self, buffer: &Buffer, stored_at: Micros) -> Result<(), Error> {
        let covers = self.covers();
        failpoint::hit("sink-before-part");
        for (run_id, lines) in &buffer.runs {
            let header = Header {
                part: self.manifest.next_part,
                run_id: run_id.clone(),
                stored_at,
                duplicates: lines.duplicates,
                covers: covers.clone(),
            };
            self.store.put(&self.folder.part(run_id, header.part), write(&header, &lines.text))?;
            self.manifest.next_part += 1;
            failpoint::hit("sink-after-part");
        }
        Ok(())
    }

    /// The offsets that this flush goes through.
    fn covers(&self) -> BTreeMap<String, [i64; 2]> {
        let moved =
            self.positions.all().into_iter().map(|(at, next)| (next_of(&self.manifest, &at), at, next));
        let moved = moved.filter(|(from, _, next)| next > from);
        moved.map(|(from, at, next)| (at.to_string(), [from.0, next.0])).collect()
    }

    /// From here on the parts count, and their records are never read again.
    fn write_manifest(&mut self, last: BTreeMap<String, Mark>) -> Result<(), Error> {
        self.manifest.offsets = self.positions.all();
        self.manifest.last.extend(last);
        self.manifest.outside = self.books.outside().cloned();
        self.manifest.outcomes = self.books.outcomes();
        self.manifest.save(&self.store, &self.folder)?;
        failpoint::hit("sink-after-manifest");
        Ok(())
    }

    /// Commits the manifest's offsets to the group. They are for watching lag, and never go back: in another output
    /// folder, which is read from the beginning, they say what was durable in the one before.
    fn settle_offsets(&mut self) -> Result<(), Error> {
        let is_news = |(at, next): &(_, _)| self.committed.get(at).is_none_or(|committed| next > committed);
        let offsets: BTreeMap<_, _> = self.manifest.offsets.clone().into_iter().filter(is_news).collect();
        if offsets.is_empty() {
            return Ok(());
        }
        let membership = self.consumer.membership();
        let advance = Some(Advance::to(membership, offsets.clone()));
        let transaction = Transaction { appends: Vec::new(), advance };
        match patiently(|| self.producer.commit(&transaction)) {
            Ok(()) => {
                self.committed.extend(offsets);
                self.refused = None;
            }
            // The machine slept, and the group took the partition away. It comes back with the next poll, and what
            // counts is in the manifest.
            Err(LogError::AssignmentEnded(at)) => {
                tracing::debug!(partition = %at, "offsets are committed later");
                self.refused = Some(Instant::now());
            }
            Err(error) => return Err(error.into()),
        }
        failpoint::hit("sink-after-offsets");
        Ok(())
    }

    fn report(&mut self, buffer: &Buffer, took: Duration) {
        let outcomes = buffer.predictions + buffer.dead_letters;
        let open = self.books.open();
        self.metrics.open_runs.set(open.len() as i64);
        self.strays.look(&self.books);
        self.progress.update(|snapshot| {
            snapshot.durable.clone_from(&self.manifest.offsets);
            snapshot.open = open;
            snapshot.durable_outcomes += outcomes;
        });
        if buffer.is_empty() {
            return;
        }
        self.metrics.flush_seconds.observe(took.as_secs_f64());
        self.metrics.flush_outcomes.observe(outcomes as f64);
        let kinds = [
            ("prediction", buffer.predictions),
            ("dead_letter", buffer.dead_letters),
            ("duplicate", buffer.duplicates),
        ];
        for (kind, count) in kinds {
            self.metrics.outcomes.with_label_values(&[kind]).inc_by(count);
        }
        let now = Micros::now();
        buffer.seen.iter().for_each(|seen| {
            self.metrics.event_to_durable_seconds.observe(now.seconds_since(*seen).max(0.0));
        });
        tracing::debug!(outcomes, duplicates = buffer.duplicates, runs = buffer.runs.len(), ?took, "flushed");
    }
}
