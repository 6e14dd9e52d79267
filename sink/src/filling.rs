//! Parts that somebody has removed: what they held is looked for in the log, and goes into new parts. Those that are
//! left stay, for the log may have dropped what they hold.

use std::collections::{BTreeMap, BTreeSet};

use autorma_schemas::{Micros, topics};
use autorma_stream::{Log, Pages, StoredRecord, TopicPartition};

use crate::Error;
use crate::bookkeeping::Bookkeeping;
use crate::buffer::{Lines, MAX_BYTES};
use crate::coverage::Coverage;
use crate::manifest::Manifest;
use crate::names::Folder;
use crate::outcome::Outcome;
use crate::part::{Header, write};
use crate::recovery::next_of;
use crate::store::Store;

/// Fills up the runs of which the manifest knows more than their parts hold, and says what can't be had again. A sink
/// that dies before the manifest is replaced leaves orphans, and its successor does all of it again.
pub(crate) fn fill_up(
    store: &Store,
    folder: &Folder,
    log: &dyn Log,
    manifest: &mut Manifest,
    books: &mut Bookkeeping,
    coverage: &Coverage,
) -> Result<(), Error> {
    let changed = changed(manifest, books);
    if changed.is_empty() {
        return Ok(());
    }
    let (lacking, place) = (lacking(manifest, books), store.place(folder.path()));
    if lacking.is_empty() {
        tracing::warn!(runs = ?changed, place, "files of runs are back: reading from the log what is lacking beside them");
    } else {
        tracing::error!(
            ?lacking,
            place,
            "files of runs have vanished from the output folder: reading from the log what they held"
        );
    }
    let stretches = BTreeMap::new();
    let mut filling = Filling { store, folder, manifest, books, coverage, changed, stretches, bytes: 0 };
    for topic in [topics::PREDICTIONS, topics::DEAD_LETTERS] {
        for bounds in log.bounds(topic)? {
            let end = next_of(filling.manifest, &bounds.at);
            for record in Pages::new(bounds.at.clone(), bounds.start).up_to(log, end) {
                filling.take(&record?)?;
            }
            filling.write(&bounds.at)?;
        }
    }
    complain_of_lost(store, folder, manifest, books);
    manifest.outcomes = books.outcomes();
    manifest.save(store, folder)
}

/// Runs that have more or less than the manifest knows: of one that has got files back, others may have gone.
fn changed(manifest: &Manifest, books: &Bookkeeping) -> BTreeSet<String> {
    let found = books.outcomes();
    let mut runs = manifest.outcomes.clone();
    runs.retain(|run_id, count| !books.is_finished(run_id) && found.get(run_id).unwrap_or(&0) != count);
    runs.into_keys().collect()
}

/// How many outcomes each run lacks.
fn lacking(manifest: &Manifest, books: &Bookkeeping) -> BTreeMap<String, u64> {
    let found = books.outcomes();
    let runs = manifest.outcomes.iter().filter(|(run_id, _)| !books.is_finished(run_id));
    let lacking = runs.map(|(run_id, count)| {
        (run_id.clone(), count.saturating_sub(found.get(run_id).copied().unwrap_or(0)))
    });
    lacking.filter(|(_, count)| *count > 0).collect()
}

fn complain_of_lost(store: &Store, folder: &Folder, manifest: &Manifest, books: &Bookkeeping) {
    for (run_id, lost) in lacking(manifest, books) {
        tracing::error!(
            run_id,
            lost,
            place = store.place(&folder.parts(&run_id)),
            "outcomes of the run are neither in its files nor in the log any more, and will be in no results file: \
             put the files back and start again; without them it stays open, unless it is the sink's own"
        );
    }
}

struct Filling<'a> {
    store: &'a Store,
    folder: &'a Folder,
    manifest: &'a mut Manifest,
    books: &'a mut Bookkeeping,
    coverage: &'a Coverage,
    changed: BTreeSet<String>,
    /// What was found in a partition, by run and gap: a part must not go through what another one does.
    stretches: BTreeMap<(String, i64), Stretch>,
    /// Of all of them.
    bytes: usize,
}

#[derive(Default)]
struct Stretch {
    lines: Lines,
    /// The first offset, and the one behind the last.
    covers: Option<[i64; 2]>,
}

impl Filling<'_> {
    /// Takes a record whose outcome was in a part that has vanished.
    fn take(&mut self, record: &StoredRecord) -> Result<(), Error> {
        let Some(outcome) = Outcome::read(record)? else { return Ok(()) };
        let home = self.books.home(outcome.run_id.as_deref(), &record.at, record.offset);
        let Some(run_id) = home.filter(|run_id| self.changed.contains(run_id)) else { return Ok(()) };
        let Some(gap) = self.coverage.gap(&run_id, &record.at.to_string(), record.offset.0) else {
            return Ok(());
        };
        let is_new = self.books.fill_in(&run_id, outcome.id, outcome.kind);
        let stretch = self.stretches.entry((run_id, gap)).or_default();
        match is_new {
            true => {
                stretch.lines.push(&outcome.line);
                self.bytes += outcome.line.len();
            }
            false => stretch.lines.duplicates += 1,
        }
        let [_, end] = stretch.covers.get_or_insert([record.offset.0, 0]);
        *end = record.offset.next().0;
        if self.bytes >= MAX_BYTES { self.write(&record.at) } else { Ok(()) }
    }

    /// Writes what was found. It doesn't count yet.
    fn write(&mut self, at: &TopicPartition) -> Result<(), Error> {
        self.bytes = 0;
        for ((run_id, _), Stretch { lines, covers }) in std::mem::take(&mut self.stretches) {
            let header = Header {
                part: self.manifest.next_part,
                covers: covers.into_iter().map(|range| (at.to_string(), range)).collect(),
                stored_at: Micros::now(),
                duplicates: lines.duplicates,
                run_id,
            };
            let path = self.folder.part(&header.run_id, header.part);
            self.store.put(&path, write(&header, &lines.text))?;
            self.manifest.next_part += 1;
        }
        Ok(())
    }
}
