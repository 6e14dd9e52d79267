//! When everything is done that somebody waits for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use autorma_schemas::{RunRecord, RunState, topics};
use autorma_service::lag;
use autorma_sink::{Counts, Snapshot};
use autorma_stream::{Log, NextOffset, TopicPartition};

use super::Pipeline;
use super::persisting::{is_given_up, of_the_log};
use crate::reading::newest_runs;

/// How often the log is asked for outcomes that a run still waits for.
const LOOK: Duration = Duration::from_secs(1);

/// Where topics end.
type Ends = Vec<(TopicPartition, NextOffset)>;

/// What the log had when somebody began to wait for its end: whoever waited for what others go on publishing would wait for
/// ever.
#[derive(Debug)]
pub(super) struct Goal {
    /// The closed runs, by their ids.
    closed: BTreeMap<String, RunRecord>,
    /// Where the images ended.
    images: Ends,
    /// Where the outcomes ended when all these were classified.
    outcomes: Option<Ends>,
    /// When the log was last asked whether everything is done.
    looked: Option<Instant>,
}

impl Pipeline<'_> {
    /// Whether all that was published when this was first asked is classified, and in files, and each run finished that was
    /// closed then.
    pub(crate) fn is_done(&self) -> anyhow::Result<bool> {
        match self.is_all_durable() {
            Err(error) if of_the_log(&error).is_some_and(|it| it.may_begin_anew() || is_given_up(it)) => {
                tracing::debug!("the log doesn't say whether everything is done: {error:#}");
                Ok(false)
            }
            result => result,
        }
    }

    fn is_all_durable(&self) -> anyhow::Result<bool> {
        let (log, snapshot) = (&*self.home.log, self.progress.snapshot());
        let mut goal = self.goal.lock();
        let goal = match &mut *goal {
            Some(goal) => goal,
            none => none.insert(Goal::of(log)?),
        };
        // This is asked often: while a run waits for outcomes, the log is looked at now and then only.
        let was_looked = goal.looked.is_some_and(|at| at.elapsed() < LOOK);
        if was_looked && goal.unfinished(&snapshot).next().is_some() {
            return Ok(false);
        }
        goal.looked = Some(Instant::now());
        if goal.outcomes.is_none() && is_classified(log, &goal.images)? {
            goal.outcomes = Some(ends(log, &autorma_sink::TOPICS)?);
        }
        let snapshot = self.progress.snapshot();
        if !goal.outcomes.as_ref().is_some_and(|ends| has_reached(&snapshot, ends)) {
            return Ok(false);
        }
        // Everything was read, so a run that still lacks outcomes is one that can't be completed.
        Ok(!goal
            .unfinished(&snapshot)
            .any(|(_, counts)| counts.images.is_some_and(|images| outcomes(counts) >= images)))
    }

    /// The closed runs that aren't finished, once everything is done: outcomes of theirs are missing from the log.
    pub(crate) fn incomplete(&self) -> Vec<RunRecord> {
        let goal = self.goal.lock();
        let Some(goal) = &*goal else { return Vec::new() };
        let snapshot = self.progress.snapshot();
        goal.unfinished(&snapshot).map(|(run_id, _)| goal.closed[run_id].clone()).collect()
    }
}

impl Goal {
    fn of(log: &dyn Log) -> anyhow::Result<Self> {
        log.settle(&[topics::RUNS])?;
        let closed = newest_runs(log)?.into_iter().filter(|run| run.state == RunState::Closed);
        let closed = closed.map(|run| (run.run_id.clone(), run)).collect();
        // After them, so that it has all of their images.
        let images = ends(log, &[topics::IMAGES])?;
        Ok(Self { closed, images, outcomes: None, looked: None })
    }

    /// The closed runs that aren't finished, as far as the sink has heard of them.
    fn unfinished<'a>(&self, snapshot: &'a Snapshot) -> impl Iterator<Item = (&'a String, &'a Counts)> {
        snapshot.open.iter().filter(move |(run_id, _)| self.closed.contains_key(*run_id))
    }
}

/// Where the topics end, with everything that was committed to them by now.
fn ends(log: &dyn Log, topics: &[&str]) -> anyhow::Result<Ends> {
    log.settle(topics)?;
    let mut ends = Vec::new();
    for topic in topics {
        ends.extend(log.bounds(topic)?.into_iter().map(|it| (it.at, it.end)));
    }
    Ok(ends)
}

/// Whether the images up to `ends` are classified: what the classifier still has before it came later.
fn is_classified(log: &dyn Log, ends: &[(TopicPartition, NextOffset)]) -> anyhow::Result<bool> {
    let lag = lag::lag(log, autorma_classifier::GROUP, &[topics::IMAGES])?;
    Ok(ends.iter().zip(&lag).all(|((_, end), it)| it.lag as i64 <= (it.end.0 - end.0).max(0)))
}

fn outcomes(counts: &Counts) -> u64 {
    counts.predictions + counts.dead_letters + counts.duplicates
}

/// Whether the sink has made everything up to `ends` durable.
fn has_reached(snapshot: &Snapshot, ends: &[(TopicPartition, NextOffset)]) -> bool {
    let reached = |(at, end): &(TopicPartition, NextOffset)| {
        *end == NextOffset::START || snapshot.durable.get(at).is_some_and(|durable| durable >= end)
    };
    ends.iter().all(reached)
}
