//! Which run images go to: the choice at start, and the names of new runs.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use autorma_schemas::{Event, Micros, RunKind, RunRecord, RunState, free_run_id, run_is_over, topics};
use autorma_stream::{Log, scan};

use crate::Error;

/// The runs of the log.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// The newest record of each, and when it came into the log.
    newest: BTreeMap<String, (RunRecord, Micros)>,
}

/// What to do with the open runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The one to continue.
    pub(crate) adopted: Option<RunRecord>,
    /// The others.
    pub(crate) to_close: Vec<RunRecord>,
}

impl Runs {
    pub(crate) fn load(log: &dyn Log) -> Result<Self, Error> {
        let mut runs = Self::default();
        runs.refresh(log)?;
        Ok(runs)
    }

    /// A name that no run has.
    pub(crate) fn name(&mut self, log: &dyn Log, now: Micros) -> Result<String, Error> {
        self.refresh(log)?;
        Ok(free_run_id("", now, |name| self.newest.contains_key(name)))
    }

    /// See [`choose`].
    pub(crate) fn choose(&self, kind: RunKind, input: &str, length: Duration, now: Micros) -> Choice {
        choose(self.newest.values().map(|(run, _)| run), kind, input, length, now)
    }

    /// The runs that weren't finished at `then`, though some may be by now. One that was finished at a time
    /// to come was so before: the clock has been set back since.
    pub(crate) fn unfinished(&self, then: Micros) -> HashSet<String> {
        let (runs, since) = (self.newest.values(), then..=Micros::now());
        let unfinished = runs.filter(|(run, at)| run.state != RunState::Finished || since.contains(at));
        unfinished.map(|(run, _)| run.run_id.clone()).collect()
    }

    fn refresh(&mut self, log: &dyn Log) -> Result<(), Error> {
        for record in scan(log, topics::RUNS)? {
            let record = record?;
            match RunRecord::decode(&record.value) {
                Ok(run) => {
                    self.newest.insert(run.run_id.clone(), (run, Micros(record.appended_at)));
                }
                Err(error) => {
                    tracing::warn!(at = %record.at, offset = record.offset.0, %error, "a run can't be read")
                }
            }
        }
        Ok(())
    }
}

/// Of the open runs of ingest, the newest that matches is continued, and all others are closed: a batch matches on
/// the same input, a stream on the same input while its time isn't over.
fn choose<'a>(
    runs: impl Iterator<Item = &'a RunRecord>,
    kind: RunKind,
    input: &str,
    length: Duration,
    now: Micros,
) -> Choice {
    let is_over = |run: &RunRecord| run_is_over(run.opened_at, length, now);
    let matches =
        |run: &RunRecord| run.kind == kind && run.input == input && (kind == RunKind::Batch || !is_over(run));
    let mut choice = Choice::default();
    for run in runs.filter(|run| run.state == RunState::Open && run.kind.is_of_ingest()) {
        let better = choice.adopted.as_ref().is_none_or(|adopted| adopted.opened_at < run.opened_at);
        let rejected =
            if matches(run) && better { choice.adopted.replace(run.clone()) } else { Some(run.clone()) };
        choice.to_close.extend(rejected);
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: Micros = Micros(1_795_000_000_000_000);

    fn run(id: u32, kind: RunKind, state: RunState, input: &str, minutes_old: i64) -> RunRecord {
        let opened_at = Micros(NOW.0 - minutes_old * 60_000_000);
        RunRecord { state, images: 3, ..RunRecord::open(id.to_string(), kind, input, opened_at) }
    }

    fn any_run() -> impl Strategy<Value = RunRecord> {
        let kinds = [RunKind::Batch, RunKind::Stream, RunKind::Upload, RunKind::Replay];
        let states = [RunState::Open, RunState::Open, RunState::Closed, RunState::Finished];
        (any::<u32>(), 0..4_usize, 0..4_usize, 0..2_usize, -10_i64..200).prop_map(
            move |(id, kind, state, input, age)| {
                run(id, kinds[kind], states[state], ["/in", "/other"][input], age)
            },
        )
    }

    proptest! {
        #[test]
        fn each_open_run_of_ingest_is_continued_or_closed(
            runs in proptest::collection::vec(any_run(), 0..12), batch in any::<bool>()
        ) {
            let kind = if batch { RunKind::Batch } else { RunKind::Stream };
            let choice = choose(runs.iter(), kind, "/in", HOUR, NOW);
            let open = runs.iter().filter(|run| run.state == RunState::Open);
            let ours: Vec<_> = open.filter(|run| run.kind.is_of_ingest()).collect();
            prop_assert_eq!(ours.len(), choice.to_close.len() + usize::from(choice.adopted.is_some()));
            for run in &ours {
                prop_assert!(choice.adopted.as_ref() == Some(run) || choice.to_close.contains(run));
            }
            let is_over = |run: &RunRecord| run_is_over(run.opened_at, HOUR, NOW);
            let fits = |run: &RunRecord| run.kind == kind && run.input == "/in" && (batch || !is_over(run));
            prop_assert_eq!(choice.adopted.is_some(), ours.iter().any(|run| fits(run)));
            if let Some(adopted) = &choice.adopted {
                prop_assert!(fits(adopted));
                prop_assert!(ours.iter().all(|run| !fits(run) || run.opened_at <= adopted.opened_at));
            }
        }
    }

    #[test]
    fn a_run_is_unfinished_unless_it_was_finished_before() {
        let then = Micros::now().0 - 1_000_000;
        let record = |id: u32, state, at| {
            let run = run(id, RunKind::Batch, state, "/in", 0);
            (run.run_id.clone(), (run, Micros(at)))
        };
        let newest = BTreeMap::from([
            record(1, RunState::Open, then - 1),
            record(2, RunState::Closed, then - 1),
            record(3, RunState::Finished, then - 1),
            record(4, RunState::Finished, then + 1),
            // The clock was an hour ahead.
            record(5, RunState::Finished, then + 3_600_000_000),
        ]);
        let runs = Runs { newest };
        assert_eq!(runs.unfinished(Micros(then)), ["1", "2", "4"].map(String::from).into());
    }
}
