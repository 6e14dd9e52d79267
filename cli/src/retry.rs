//! `autorma dead-letters retry`: dead letters become image events again.

mod again;
mod report;

use std::collections::{HashMap, HashSet};
use std::process::ExitCode;

use autorma_schemas::{DeadLetter, Event, ImageEvent, Micros, RunKind, RunRecord, topics};
use autorma_stream::{Append, Log, NextOffset, scan};

use crate::args::RetryArgs;
use crate::configuration::Configuration;
use crate::exit;
use crate::home::Home;
use crate::outcomes::{self, Id};
use crate::output::tell;
use crate::publishing::{Publisher, append, free_run_id, rivalled};
use crate::reading::{expect_named, has_dropped, patiently};
use report::{Published, Report, Run};

/// Events and bytes of one run, about: it is one transaction, so that there is no half of it.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 32 << 20;

/// A dead letter and the event that it is to become.
#[derive(Debug)]
struct Again {
    letter: DeadLetter,
    /// Without its bytes: all of them together might not fit in memory.
    event: ImageEvent,
    is_inline: bool,
}

/// Publishes the dead letters that are meant.
pub(crate) fn run(configuration: &Configuration, args: &RetryArgs) -> anyhow::Result<ExitCode> {
    let rival = "another call has begun, on another machine, and goes on in place of this one";
    retry(configuration, args).map_err(|error| rivalled(error, rival))
}

fn retry(configuration: &Configuration, args: &RetryArgs) -> anyhow::Result<ExitCode> {
    let home = Home::look(configuration)?;
    let log = &*home.log;
    expect_named(log, args.run.as_deref())?;
    // Two at a time would publish the same ones, on whatever machines.
    let alone = home.take_in_turn("retry", "autorma dead-letters retry")?;
    let mut publisher = Publisher::of(&home, "retry", alone)?;
    patiently(|| log.settle(&[topics::IMAGES, topics::PREDICTIONS, topics::DEAD_LETTERS]))?;
    let mut report = Report::default();
    let mut again = Vec::new();
    for letter in letters(args, log)? {
        match again::event(log, &letter) {
            Ok(mut event) => {
                let is_inline = event.bytes.take().is_some();
                again.push(Again { letter, event, is_inline });
            }
            Err(error) => report.failed(letter, &error),
        }
    }
    leave_out_done(log, &mut again, &mut report)?;
    let mut waiting = again.into_iter().peekable();
    while waiting.peek().is_some() {
        publish(log, &mut publisher, args, &mut waiting, &mut report)?;
    }
    report.has_dropped = has_dropped(log, topics::DEAD_LETTERS)?;
    tell(args.json.json, &report, Report::to_string)?;
    Ok(exit::all_or_not(report.failed.is_empty()))
}

/// Publishes as many as one transaction should hold, as a run.
fn publish(
    log: &dyn Log,
    publisher: &mut Publisher,
    args: &RetryArgs,
    waiting: &mut impl Iterator<Item = Again>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let run_id = free_run_id(log, "retry_", Micros::now(), |_| false)?;
    let (mut appends, mut bytes, mut published) = (Vec::new(), 0, Vec::new());
    while appends.len() < MOST
        && bytes < MOST_BYTES
        && let Some(Again { letter, mut event, is_inline }) = waiting.next()
    {
        if is_inline {
            match again::event(log, &letter) {
                Ok(whole) => event = whole,
                Err(error) => {
                    report.failed(letter, &error);
                    continue;
                }
            }
        }
        let (event_id, append) = image(event, &run_id, appends.len() as i64 + 1);
        bytes += append.value.len();
        appends.push(append);
        let (former_event_id, name, reason) = (letter.event_id, letter.name, letter.reason);
        published.push(Published { event_id, former_event_id, name, reason, run_id: run_id.clone() });
    }
    let images = appends.len();
    if images > 0 {
        appends.push(append(topics::RUNS, &run_id, &closed(&run_id, args, images)));
        publisher.commit(appends)?;
        report.published += images;
        report.events.extend(published);
        report.runs.push(Run { run_id, images });
    }
    Ok(())
}

/// The dead letters that are meant, the newest of each event, oldest first.
fn letters(args: &RetryArgs, log: &dyn Log) -> anyhow::Result<Vec<DeadLetter>> {
    let is_meant =
        |letter: &DeadLetter| args.run.as_ref().is_none_or(|run| letter.run_id.as_ref() == Some(run));
    let mut newest = HashMap::<String, DeadLetter>::new();
    for record in scan(log, topics::DEAD_LETTERS)? {
        if let Ok(letter) = DeadLetter::decode(&record?.value)
            && is_meant(&letter)
        {
            // What could never be read has no id, but a place.
            let key = letter.event_id.clone().unwrap_or_else(|| letter.origin.to_string());
            if newest.get(&key).is_none_or(|known| known.failed_at <= letter.failed_at) {
                newest.insert(key, letter);
            }
        }
    }
    let mut letters: Vec<_> = newest.into_values().collect();
    // Why it is dead now is what counts, not why it was before.
    letters.retain(|letter| args.reasons.is_empty() || args.reasons.contains(&letter.reason));
    letters.sort_by(|one, other| (one.failed_at, &one.event_id).cmp(&(other.failed_at, &other.event_id)));
    Ok(letters)
}

/// Images that were classified after they were dead letters need no further try, and those that were published since
/// are about to have one.
fn leave_out_done(log: &dyn Log, again: &mut Vec<Again>, report: &mut Report) -> anyhow::Result<()> {
    let wanted: HashSet<_> = again.iter().map(|it| Id::of(&it.event.event_id)).collect();
    // In this order: whatever the classifier finishes meanwhile counts as waiting.
    let checkpoints = patiently(|| log.committed(autorma_classifier::GROUP))?;
    let newest = outcomes::newest(log, |id| wanted.contains(&id))?;
    let mut waiting = HashSet::new();
    for record in scan(log, topics::IMAGES)? {
        let record = record?;
        if let Ok(event) = ImageEvent::decode(&record.value) {
            let id = Id::of(&event.event_id);
            let next = checkpoints.get(&record.at).copied().unwrap_or(NextOffset::START);
            if wanted.contains(&id) && record.offset.0 >= next.0 {
                waiting.insert(id);
            }
        }
    }
    again.retain(|it| {
        let id = Id::of(&it.event.event_id);
        let is_waiting = waiting.contains(&id);
        let is_predicted = !is_waiting && newest.get(&id).is_some_and(|outcome| !outcome.verdict.is_dead());
        report.waiting += usize::from(is_waiting);
        report.classified_since += usize::from(is_predicted);
        !is_waiting && !is_predicted
    });
    Ok(())
}

/// The event as one of the run, with its id.
fn image(event: ImageEvent, run_id: &str, sequence: i64) -> (String, Append) {
    let event = ImageEvent { run_id: Some(run_id.to_owned()), sequence, seen_at: Micros::now(), ..event };
    let append = append(topics::IMAGES, &event.event_id, &event);
    (event.event_id, append)
}

/// The run, which holds all its images from the beginning.
fn closed(run_id: &str, args: &RetryArgs, images: usize) -> RunRecord {
    let now = Micros::now();
    let of_run = args.run.as_ref().map(|run| format!(" of run {run}")).unwrap_or_default();
    let input = format!("retry of dead letters{of_run}");
    let run = RunRecord::open(run_id, RunKind::Replay, input, now).closed(now);
    RunRecord { images: images as i64, ..run }
}
