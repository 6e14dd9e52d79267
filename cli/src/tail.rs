//! `autorma tail`: what comes into a topic, as it comes.

mod json;
mod line;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use autorma_schemas::topics;
use autorma_stream::{Bounds, Log, NextOffset, Pages, StoredRecord};

use crate::args::{TailArgs, Topic};
use crate::configuration::Configuration;
use crate::exit;
use crate::home::Home;
use crate::output::emit;
use crate::reading::{known_run, named_run, patiently};
use line::Style;

/// How often new records are looked for.
const LOOK: Duration = Duration::from_millis(100);
/// How many records more than wanted are looked at first, since some may not be of the kind, and offsets have gaps.
const SURPLUS: i64 = 4;

/// Prints until a signal, or until enough is printed.
pub(crate) fn run(configuration: &Configuration, args: &TailArgs) -> anyhow::Result<ExitCode> {
    let chosen = &args.chosen;
    if args.topic != Topic::Predictions && (chosen.class.is_some() || chosen.decision.is_some()) {
        bail!("--class and --decision choose predictions: leave them out with another --topic");
    }
    configuration.warn_of_unknown_class(chosen.class.as_deref());
    let home = Home::look(configuration)?;
    let known = match args.topic {
        Topic::Runs => known_run,
        Topic::Images | Topic::Predictions | Topic::DeadLetters => named_run,
    };
    chosen.run.as_ref().map(|run| known(&*home.log, run)).transpose()?;
    let stop = exit::stop_at_signals()?;
    let mut tail = Tail::new(&*home.log, args)?;
    let style = Style { topic: args.topic, json: args.json.json, chosen: &args.chosen };
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut text = style.title();
    for record in tail.former(args, &style)? {
        left -= style.print(&record, left, &mut text);
    }
    loop {
        emit(&text)?;
        text.clear();
        if left == 0 || stop.is_requested() {
            return Ok(ExitCode::SUCCESS);
        }
        let records = tail.news()?;
        if records.is_empty() {
            stop.sleep(LOOK);
        }
        for record in &records {
            left -= style.print(record, left, &mut text);
        }
    }
}

/// The topic as far as it was read.
struct Tail<'a> {
    log: &'a dyn Log,
    topic: &'static str,
    bounds: Vec<Bounds>,
    partitions: Vec<Pages>,
}

impl<'a> Tail<'a> {
    /// From now on, or from the beginning.
    fn new(log: &'a dyn Log, args: &TailArgs) -> anyhow::Result<Self> {
        let topic = match args.topic {
            Topic::Predictions => topics::PREDICTIONS,
            Topic::DeadLetters => topics::DEAD_LETTERS,
            Topic::Images => topics::IMAGES,
            Topic::Runs => topics::RUNS,
        };
        let bounds = patiently(|| log.bounds(topic))?;
        let begin = |bounds: &Bounds| {
            let from = if args.from_beginning { bounds.start } else { bounds.end };
            Pages::new(bounds.at.clone(), from)
        };
        let partitions = bounds.iter().map(begin).collect();
        Ok(Self { log, topic, bounds, partitions })
    }

    /// The newest records that were there before, in the order in which they came.
    fn former(&self, args: &TailArgs, style: &Style<'_>) -> anyhow::Result<Vec<StoredRecord>> {
        let wanted = args.last.unwrap_or(0);
        let mut found = Vec::new();
        for bounds in &self.bounds {
            found.extend(newest(self.log, bounds, wanted, |record| style.wants(record))?);
        }
        found.sort_by_key(|record| record.appended_at);
        Ok(found.split_off(found.len().saturating_sub(wanted)))
    }

    /// The next records of each partition, in the order in which they came.
    fn news(&mut self) -> anyhow::Result<Vec<StoredRecord>> {
        let mut records = Vec::new();
        let bounds = patiently(|| self.log.bounds(self.topic))?;
        let end_of = |number| bounds.iter().find(|it| it.at.partition == number).map(|it| it.end);
        for partition in &mut self.partitions {
            // To ask for each partition's records costs more than to ask for all their ends.
            let Some(end) = end_of(partition.number()).filter(|end| *end > partition.position()) else {
                continue;
            };
            let page = partition.read(self.log)?;
            if page.is_empty() {
                // The gap that a transaction's end leaves.
                partition.skip_to(end);
            }
            records.extend(page);
        }
        records.sort_by_key(|record| record.appended_at);
        Ok(records)
    }
}

/// The newest `wanted` records of a partition that are of the kind. It is looked at from ever further back until there
/// are so many.
fn newest(
    log: &dyn Log,
    bounds: &Bounds,
    wanted: usize,
    is_wanted: impl Fn(&StoredRecord) -> bool,
) -> anyhow::Result<Vec<StoredRecord>> {
    let mut back = i64::try_from(wanted).unwrap_or(i64::MAX).saturating_mul(SURPLUS);
    if back == 0 {
        return Ok(Vec::new());
    }
    loop {
        let from = NextOffset(bounds.end.0.saturating_sub(back)).max(bounds.start);
        let mut found = std::collections::VecDeque::new();
        for record in Pages::new(bounds.at.clone(), from).up_to(log, bounds.end) {
            let record = record?;
            if is_wanted(&record) {
                found.push_back(record);
            }
            if found.len() > wanted {
                found.pop_front();
            }
        }
        if found.len() >= wanted || from == bounds.start {
            return Ok(found.into());
        }
        back = back.saturating_mul(SURPLUS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_stream::embedded::Embedded;
    use autorma_stream::{Append, Retention, Transaction};

    #[test]
    fn the_newest_are_found_however_rare_they_are() {
        let log = Embedded::in_memory().unwrap();
        let retention = Retention::Age(Duration::from_secs(60));
        log.create(&[autorma_stream::Topic { name: "t".into(), partitions: 1, retention }]).unwrap();
        let append = |number: u8| Append { topic: "t".into(), value: vec![number], ..Append::default() };
        let transaction = Transaction { appends: (0..200).map(append).collect(), advance: None };
        log.producer("test").unwrap().commit(&transaction).unwrap();
        let bounds = log.bounds("t").unwrap().remove(0);
        let newest = |wanted, every: u8| {
            let found = newest(&log, &bounds, wanted, |record| record.value[0] % every == 0).unwrap();
            found.into_iter().map(|record| record.value[0]).collect::<Vec<_>>()
        };
        assert_eq!(newest(3, 1), [197, 198, 199]);
        assert_eq!(newest(2, 50), [100, 150]);
        assert_eq!(newest(9, 50), [0, 50, 100, 150]);
        assert_eq!(newest(0, 1), [0_u8; 0]);
    }
}
