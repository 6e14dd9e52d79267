//! How a sink starts: it takes up what the manifest says, and removes what it doesn't.

use std::time::Duration;

use autorma_schemas::{Event, RunRecord, topics};
use autorma_stream::{Log, NextOffset, TopicPartition};

use crate::bookkeeping::Bookkeeping;
use crate::manifest::Manifest;
use crate::names::{Folder, part_number};
use crate::outcome::readable;
use crate::part::Part;
use crate::stage::{GROUP, TOPICS};
use crate::store::Store;
use crate::{Error, cleaning};

/// Records that are read at once.
const PAGE: usize = 1000;

/// Where a sink continues.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) manifest: Manifest,
    pub(crate) books: Bookkeeping,
}

pub(crate) fn recover(
    store: &Store,
    folder: &Folder,
    log: &dyn Log,
    run_length: Duration,
) -> Result<Recovered, Error> {
    cleaning::remove_temporary(store, folder)?;
    let identity = log.identity()?;
    // What an ingest that died in a transaction has left must not hide what is behind it.
    log.settle(&TOPICS)?;
    let manifest = match Manifest::load(store, folder, &identity)? {
        Some(manifest) if is_of_other_topics(&manifest, log)? => {
            let kept = cleaning::set_aside(store, folder)?;
            tracing::error!(
                kept,
                "the log's topics were made anew: what was not finished of the old ones is kept there"
            );
            first_manifest(identity, log)?
        }
        Some(manifest) => manifest,
        None => first_manifest(identity, log)?,
    };
    let mut books = Bookkeeping::new(run_length, manifest.outside.clone());
    // All of them, so that an outcome of a run that was finished long ago is known for what it is.
    read_runs(log, &mut books)?;
    take_up_parts(store, folder, &manifest, &mut books)?;
    if let Some(run_id) = lacking(&manifest, &books) {
        tracing::error!(
            run_id,
            "files of the run have vanished from the output folder: reading the log anew"
        );
        Manifest::forget(store, folder)?;
        return recover(store, folder, log, run_length);
    }
    books.hold_outside();
    tracing::info!(
        output = %store.output().display(),
        next_part = manifest.next_part,
        open_runs = books.open().len(),
        "sink continues"
    );
    Ok(Recovered { manifest, books })
}

/// A run of which the manifest knows more outcomes than its parts hold.
fn lacking<'a>(manifest: &'a Manifest, books: &Bookkeeping) -> Option<&'a str> {
    let found = books.outcomes();
    let has_all = |run_id: &str, count: u64| {
        books.is_finished(run_id) || found.get(run_id).copied().unwrap_or(0) == count
    };
    let mut runs = manifest.outcomes.iter();
    runs.find(|(run_id, count)| !has_all(run_id, **count)).map(|(run_id, _)| run_id.as_str())
}

/// Whether the manifest goes further than the log: then its topics were deleted and made anew.
fn is_of_other_topics(manifest: &Manifest, log: &dyn Log) -> Result<bool, Error> {
    for topic in TOPICS {
        for bounds in log.bounds(topic)? {
            if next_of(manifest, &TopicPartition::new(topic, bounds.partition)) > bounds.end {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Where a sink begins in a folder that knows nothing of this log: with the log's oldest records.
fn first_manifest(identity: String, log: &dyn Log) -> Result<Manifest, Error> {
    let committed = log.committed(GROUP)?;
    let mut manifest = Manifest { log: identity, ..Manifest::default() };
    for topic in TOPICS {
        for bounds in log.bounds(topic)? {
            let at = TopicPartition::new(topic, bounds.partition);
            // What lies beyond the end is of topics that are no more.
            if let Some(next) = committed.get(&at).filter(|next| **next <= bounds.end) {
                manifest.elsewhere.insert(at.clone(), *next);
            }
            manifest.offsets.insert(at, bounds.start);
        }
    }
    Ok(manifest)
}

fn read_runs(log: &dyn Log, books: &mut Bookkeeping) -> Result<(), Error> {
    for bounds in log.bounds(topics::RUNS)? {
        let at = TopicPartition::new(topics::RUNS, bounds.partition);
        let mut from = bounds.start;
        while from < bounds.end {
            let records = log.read(&at, from, PAGE)?;
            // Offsets have gaps, perhaps up to the end.
            let Some(last) = records.last() else { break };
            from = last.offset.next();
            for record in records {
                if let Some(run) = readable(&record, RunRecord::decode(&record.value))? {
                    books.record(run);
                }
            }
        }
    }
    Ok(())
}

/// Reads the parts of runs that aren't finished, and removes the others.
fn take_up_parts(
    store: &Store,
    folder: &Folder,
    manifest: &Manifest,
    books: &mut Bookkeeping,
) -> Result<(), Error> {
    let (mut orphans, mut done) = (Vec::new(), Vec::new());
    for path in store.list(folder.path())? {
        let Some(number) = part_number(&path) else { continue };
        if number >= manifest.next_part {
            orphans.push(path);
            continue;
        }
        let Some(bytes) = store.get(&path)? else { continue };
        let part = Part::read(&store.place(&path), bytes)?;
        if books.is_finished(&part.header.run_id) {
            done.push(path);
            continue;
        }
        take_up(&part, books)?;
    }
    store.remove(&done)?;
    cleaning::remove_orphans(store, &orphans)
}

fn take_up(part: &Part, books: &mut Bookkeeping) -> Result<(), Error> {
    let run_id = &part.header.run_id;
    books.restore_duplicates(run_id, part.header.duplicates);
    part.lines().try_for_each(|line| {
        let (line, _) = line?;
        books.restore(run_id, line.id, line.kind());
        Ok(())
    })
}

/// The offset from which a partition's records are new.
pub(crate) fn next_of(manifest: &Manifest, at: &TopicPartition) -> NextOffset {
    manifest.offsets.get(at).copied().unwrap_or_default()
}
