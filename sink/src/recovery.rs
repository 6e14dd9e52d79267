//! How a sink starts: it takes up what the manifest says, and removes what it doesn't.

use std::collections::BTreeMap;
use std::time::Duration;

use autorma_schemas::{Event, RunRecord, topics};
use autorma_stream::retry::patiently;
use autorma_stream::{Bounds, Log, NextOffset, TopicPartition, scan};

use crate::bookkeeping::Bookkeeping;
use crate::coverage::Coverage;
use crate::filling::fill_up;
use crate::manifest::{Manifest, Mark};
use crate::names::{Folder, part_number};
use crate::outcome::readable;
use crate::part::Part;
use crate::stage::{GROUP, TOPICS};
use crate::store::Store;
use crate::stranded::Stranded;
use crate::{Error, cleaning};

/// Where a sink continues.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) manifest: Manifest,
    pub(crate) books: Bookkeeping,
    pub(crate) stranded: Stranded,
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
    let mut stranded = Stranded::default();
    let mut manifest = match Manifest::load(store, folder, &identity)? {
        Some(manifest) if is_of_another_log(&manifest, log)? => {
            let kept = cleaning::set_aside(store, folder)?;
            tracing::error!(
                kept,
                "the log isn't the one that this folder has results of: its topics were made anew, or an older copy of it was \
                 put back; it is read from its beginning, and what was not finished of the other is kept there"
            );
            stranded.are_put_aside();
            first_manifest(store, folder, identity, log)?
        }
        Some(mut manifest) => {
            pass_dropped(&mut manifest, log)?;
            manifest
        }
        None => {
            if keep_unknown_parts(store, folder)? {
                stranded.are_put_aside();
            }
            first_manifest(store, folder, identity, log)?
        }
    };
    let mut books = Bookkeeping::new(run_length, manifest.outside.clone());
    // All of them, so that an outcome of a run that was finished long ago is known for what it is.
    read_runs(log, &mut books)?;
    let coverage = take_up_parts(store, folder, &manifest, &mut books)?;
    fill_up(store, folder, log, &mut manifest, &mut books, &coverage)?;
    books.hold_outside();
    tracing::info!(
        output = %store.output().display(),
        next_part = manifest.next_part,
        open_runs = books.open().len(),
        "sink continues"
    );
    Ok(Recovered { manifest, books, stranded })
}

/// Whether the log is another one of the same name: its topics were deleted and made anew, or an older copy of it was put
/// back. Then the manifest goes further than the log or, if that has grown past it by now, other records stand before there.
fn is_of_another_log(manifest: &Manifest, log: &dyn Log) -> Result<bool, Error> {
    for topic in TOPICS {
        for Bounds { at, end, .. } in log.bounds(topic)? {
            let elsewhere = manifest.elsewhere.get(&at).copied().unwrap_or_default();
            if next_of(manifest, &at).max(elsewhere) > end || has_another_record(manifest, log, &at)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether another record stands where the last one was taken, or none though retention hasn't come that far.
fn has_another_record(manifest: &Manifest, log: &dyn Log, at: &TopicPartition) -> Result<bool, Error> {
    let Some(last) = manifest.last.get(&at.to_string()) else { return Ok(false) };
    let there = patiently(|| log.read(at, NextOffset(last.offset), 1))?;
    match there.first().map(Mark::of).filter(|there| there.offset == last.offset) {
        Some(there) => Ok(there != *last),
        // Those of runs make room for newer ones.
        None if at.topic == topics::RUNS => Ok(false),
        // Asked after that: a broker may just have dropped it.
        None => Ok(log.bounds(&at.topic)?.iter().any(|it| it.at == *at && it.start.0 <= last.offset)),
    }
}

/// Goes on behind what retention has dropped: where nothing has come since, no record would ever lead there. What the group
/// has gone past is in another folder; of the rest nobody has read anything.
fn pass_dropped(manifest: &mut Manifest, log: &dyn Log) -> Result<(), Error> {
    let committed = committed(log)?;
    for topic in TOPICS {
        for Bounds { at, start, .. } in log.bounds(topic)? {
            let next = next_of(manifest, &at);
            if next >= start {
                continue;
            }
            let read = committed.get(&at).copied().unwrap_or_default().max(next);
            if read < start {
                tracing::error!(
                    partition = %at,
                    records = start.0 - read.0,
                    "records were dropped before they were read: raise the topic's retention.ms (log.retention)"
                );
            }
            manifest.offsets.insert(at, start);
        }
    }
    Ok(())
}

/// There is a manifest before there is a part, so parts without one were known to a manifest that somebody has removed.
/// Not all of them can be had again: outcomes without a run are taken from the group's offsets on. Whether there are some.
fn keep_unknown_parts(store: &Store, folder: &Folder) -> Result<bool, Error> {
    let is_any = store.list(folder.path())?.iter().any(|path| part_number(path).is_some());
    if is_any {
        let kept = cleaning::set_aside(store, folder)?;
        tracing::error!(
            kept,
            "the manifest has vanished from the output folder: reading the log from its beginning; what the log doesn't \
             have any more, and outcomes without a run that were not finished, are kept there alone"
        );
    }
    Ok(is_any)
}

/// The group's offsets. What lies beyond the end is of topics that are no more.
pub(crate) fn committed(log: &dyn Log) -> Result<BTreeMap<TopicPartition, NextOffset>, Error> {
    let mut committed = log.committed(GROUP)?;
    let mut ends = BTreeMap::new();
    for topic in TOPICS {
        ends.extend(log.bounds(topic)?.into_iter().map(|it| (it.at, it.end)));
    }
    committed.retain(|at, next| ends.get(at).is_some_and(|end| *next <= *end));
    Ok(committed)
}

/// Says so if the group has gone further than this folder: what came too late for its run isn't taken up to there.
pub(crate) fn tell_of_another_folder(manifest: &Manifest, committed: &BTreeMap<TopicPartition, NextOffset>) {
    let is_further = |(at, next): (&TopicPartition, &NextOffset)| {
        let elsewhere = manifest.elsewhere.get(at).copied().unwrap_or_default();
        at.topic != topics::RUNS && *next > next_of(manifest, at).max(elsewhere)
    };
    if committed.iter().any(is_further) {
        tracing::warn!(
            "the sink's group is further than this output folder: a sink with another one (sink.output) was in use, or \
             somebody has moved the group; outcomes of finished runs aren't taken up to there"
        );
    }
}

/// Where a sink begins in a folder that knows nothing of this log: with the log's oldest records.
fn first_manifest(
    store: &Store,
    folder: &Folder,
    identity: String,
    log: &dyn Log,
) -> Result<Manifest, Error> {
    let committed = committed(log)?;
    let mut manifest = Manifest { log: identity, ..Manifest::default() };
    for topic in TOPICS {
        for Bounds { at, start, .. } in log.bounds(topic)? {
            if let Some(next) = committed.get(&at) {
                manifest.elsewhere.insert(at.clone(), *next);
            }
            manifest.offsets.insert(at, start);
        }
    }
    if manifest.elsewhere.values().any(|next| *next > NextOffset::START) {
        tracing::info!(
            "another output folder was in use, or this one without its manifest: what is finished, and outcomes without a \
             run, aren't taken again"
        );
    }
    manifest.save(store, folder)?;
    Ok(manifest)
}

fn read_runs(log: &dyn Log, books: &mut Bookkeeping) -> Result<(), Error> {
    for record in scan(log, topics::RUNS)? {
        let record = record?;
        let run = readable(&record, RunRecord::decode(&record.value))?;
        run.into_iter().for_each(|run| books.record(run));
    }
    Ok(())
}

/// Reads the parts of runs that aren't finished, and removes the others. Says what they cover. From then on
/// each is in the folder of its run, which no other run has: an earlier autorma let two share one.
fn take_up_parts(
    store: &Store,
    folder: &Folder,
    manifest: &Manifest,
    books: &mut Bookkeeping,
) -> Result<Coverage, Error> {
    let (mut orphans, mut done, mut astray) = (Vec::new(), Vec::new(), Vec::new());
    let mut coverage = Coverage::default();
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
        if coverage.add(&part.header) {
            books.restore_duplicates(&part.header.run_id, part.header.duplicates);
        }
        take_up(&part, books)?;
        let home = folder.part(&part.header.run_id, number);
        if path != home {
            astray.push((path, home));
        }
    }
    store.remove(&done)?;
    cleaning::remove_orphans(store, &orphans)?;
    cleaning::bring_home(store, &astray)?;
    Ok(coverage)
}

fn take_up(part: &Part, books: &mut Bookkeeping) -> Result<(), Error> {
    let run_id = &part.header.run_id;
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
