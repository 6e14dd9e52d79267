//! Which image events are replayed.

use std::collections::{BTreeMap, HashMap};

use anyhow::bail;
use autorma_schemas::{Decision, Event, ImageEvent, Micros, topics};
use autorma_stream::{Bounds, Log, NextOffset, Offset, Pages, StoredRecord, TopicPartition};

use super::ranges::Ranges;
use crate::args::ReplayArgs;
use crate::outcomes::{self, Id, Outcome, Verdict};
use crate::reading::{expect_named, patiently};
use crate::when::instant;

/// The conditions, all of which must hold.
#[derive(Debug)]
pub(super) struct Criteria {
    from: Option<Micros>,
    to: Option<Micros>,
    run: Option<String>,
    ranges: Option<Ranges>,
    class: Option<String>,
    decision: Option<Decision>,
    /// In words.
    pub(super) text: String,
}

/// What the conditions choose. In memory are some 60 bytes of each event.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// Where the events are, in order.
    pub(super) offsets: BTreeMap<TopicPartition, Vec<Offset>>,
    /// What became of them before.
    pub(super) former: HashMap<Id, Outcome>,
    /// Records among them that aren't image events.
    pub(super) unreadable: u64,
    /// Records of an event that has a later one: only the last is replayed.
    pub(super) repeated: u64,
}

/// The last record of an event.
#[derive(Debug, Clone, Copy)]
struct Last {
    partition: i32,
    /// How many there are before it.
    repeated: u32,
    offset: Offset,
}

impl Criteria {
    pub(super) fn of(args: &ReplayArgs, log: &dyn Log) -> anyhow::Result<Self> {
        let time = |flag: &str, text: &Option<String>| text.as_ref().map(|it| instant(flag, it)).transpose();
        let (from, to) = (time("--from", &args.from)?, time("--to", &args.to)?);
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            bail!("--to isn't later than --from: nothing came between them");
        }
        let ranges = args.offsets.as_deref().map(Ranges::parse).transpose()?;
        expect_named(log, args.run.as_deref())?;
        let text = [
            ("from", args.from.clone()),
            ("to", args.to.clone()),
            ("run", args.run.clone()),
            ("offsets", args.offsets.clone()),
            ("class", args.class.clone()),
            ("decision", args.decision.map(|decision| decision.to_string())),
        ];
        let words = text.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
        let text = format!("replay of images: {}", words.collect::<Vec<_>>().join(", "));
        let (run, class, decision) = (args.run.clone(), args.class.clone(), args.decision);
        Ok(Self { from, to, run, ranges, class, decision, text })
    }

    /// Looks through the log.
    pub(super) fn select(&self, log: &dyn Log) -> anyhow::Result<Selection> {
        let mut selection = Selection::default();
        let mut chosen = HashMap::<Id, Last>::new();
        self.each(log, |record| match ImageEvent::decode(&record.value) {
            Ok(event) if self.run.as_ref().is_none_or(|run| event.run_id.as_ref() == Some(run)) => {
                let id = Id::of(&event.event_id);
                let repeated = chosen.get(&id).map_or(0, |former| former.repeated + 1);
                chosen.insert(id, Last { partition: record.at.partition, repeated, offset: record.offset });
            }
            Ok(_) => {}
            Err(_) => selection.unreadable += u64::from(self.run.is_none()),
        })?;
        selection.former = outcomes::newest(log, |id| chosen.contains_key(&id))?;
        chosen.retain(|id, _| self.suits(selection.former.get(id)));
        selection.former.retain(|id, _| chosen.contains_key(id));
        for Last { partition, repeated, offset } in chosen.into_values() {
            selection.repeated += u64::from(repeated);
            let at = TopicPartition::new(topics::IMAGES, partition);
            selection.offsets.entry(at).or_default().push(offset);
        }
        selection.offsets.values_mut().for_each(|offsets| offsets.sort_unstable());
        Ok(selection)
    }

    /// Calls `each` with the records at the right places and of the right time.
    fn each(&self, log: &dyn Log, mut each: impl FnMut(StoredRecord)) -> anyhow::Result<()> {
        let all = patiently(|| log.bounds(topics::IMAGES))?;
        let named = self.ranges.iter().flat_map(Ranges::partitions);
        if let Some(none) = named.into_iter().find(|named| all.iter().all(|it| it.at.partition != *named)) {
            bail!("--offsets: the topic images has no partition {none}, only 0 to {}", all.len() - 1);
        }
        for Bounds { at, start, end } in all {
            let hull = match &self.ranges {
                None => 0..i64::MAX,
                Some(ranges) => match ranges.hull(at.partition) {
                    Some(hull) => hull,
                    None => continue,
                },
            };
            let partition = Pages::new(at, start.max(NextOffset(hull.start)));
            for record in partition.up_to(log, end.min(NextOffset(hull.end))) {
                let record = record?;
                if self.is_there(&record) {
                    each(record);
                }
            }
        }
        Ok(())
    }

    fn is_there(&self, record: &StoredRecord) -> bool {
        let at = Micros(record.appended_at);
        let ranges = self.ranges.as_ref();
        self.from.is_none_or(|from| from <= at)
            && self.to.is_none_or(|to| at < to)
            && ranges.is_none_or(|ranges| ranges.contains(record.at.partition, record.offset.0))
    }

    /// Whether an event whose newest outcome is this one is meant.
    fn suits(&self, former: Option<&Outcome>) -> bool {
        if self.class.is_none() && self.decision.is_none() {
            return true;
        }
        match former.map(|former| &former.verdict) {
            Some(Verdict::Prediction { class, decision, .. }) => {
                self.class.as_deref().is_none_or(|wanted| wanted == &**class)
                    && self.decision.is_none_or(|wanted| wanted == *decision)
            }
            _ => false,
        }
    }
}

impl Selection {
    /// How many events there are.
    pub(super) fn len(&self) -> u64 {
        self.offsets.values().map(|offsets| offsets.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests;
