//! The stages as threads of one process: how they start, stop and fail together.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use autorma_ingest::{Batch, Found};
use autorma_schemas::{RunState, topics};
use autorma_service::http::Health;
use autorma_service::{Shutdown, lag, signals};
use autorma_sink::{Counts, Progress, Snapshot};
use autorma_stream::{Error as LogError, Log, NextOffset, TopicPartition};

use crate::configuration::Configuration;
use crate::exit;
use crate::home::Home;
use crate::metrics::Metrics;
use crate::reading::newest_runs;

/// How often the log is asked for outcomes that a run still waits for.
const LOOK: Duration = Duration::from_secs(1);

/// The pauses of a stage that begins anew.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How soon a stage that was fenced is fenced again, if a living process wants its slot: longer than the two take to start.
const RIVALRY: Duration = Duration::from_secs(600);

/// What the stages of a process share.
#[derive(Debug)]
pub(crate) struct Pipeline<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) home: &'a Home,
    pub(crate) metrics: &'a Metrics,
    pub(crate) health: &'a Health,
    pub(crate) progress: Progress,
    /// One a stage: they stop one after the other.
    stop: [Shutdown; 3],
    /// What is still waited for, since somebody first asked whether everything is done.
    goal: Mutex<Option<Goal>>,
    news: Sender<News>,
}

/// Where topics end.
type Ends = Vec<(TopicPartition, NextOffset)>;

/// What the log had when somebody began to wait for its end: whoever waited for what others go on publishing would wait for
/// ever.
#[derive(Debug)]
struct Goal {
    /// The closed runs.
    closed: BTreeSet<String>,
    /// Where the images ended.
    images: Ends,
    /// Where the outcomes ended when all these were classified.
    outcomes: Option<Ends>,
    /// When the log was last asked whether everything is done.
    looked: Option<Instant>,
}

/// The thread that waits for what happens to a pipeline.
#[derive(Debug)]
pub(crate) struct Control {
    news: Receiver<News>,
    running: BTreeSet<Stage>,
}

/// What happens to a pipeline.
#[derive(Debug)]
pub(crate) enum News {
    /// A stage has started.
    Started(Stage),
    /// It has ended, by itself or because it was asked to.
    Ended(Stage, anyhow::Result<()>),
    /// Somebody asks the process to stop.
    Signal,
}

/// The stages, in the order in which they stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Ingest,
    Classifier,
    Sink,
}

impl Stage {
    pub(crate) const ALL: [Stage; 3] = [Stage::Ingest, Stage::Classifier, Stage::Sink];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Ingest => "ingest",
            Stage::Classifier => "classifier",
            Stage::Sink => "sink",
        }
    }
}

impl<'a> Pipeline<'a> {
    pub(crate) fn new(
        configuration: &'a Configuration,
        home: &'a Home,
        metrics: &'a Metrics,
        health: &'a Health,
    ) -> (Self, Control) {
        let (sender, news) = channel();
        let stop = std::array::from_fn(|_| Shutdown::new());
        let progress = Progress::default();
        let goal = Mutex::default();
        let pipeline = Self { configuration, home, metrics, health, progress, stop, goal, news: sender };
        (pipeline, Control { news, running: BTreeSet::new() })
    }

    /// From now on the first signal is news, and the second ends the process on the spot.
    pub(crate) fn report_signals(&self) -> io::Result<()> {
        let (news, hurry) = (self.news.clone(), self.hurrying());
        signals::install(move |times| {
            exit::at_once_if(times > 1);
            // Whoever is to hear the news may be waiting for the log.
            hurry();
            drop(news.send(News::Signal));
        })
    }

    /// Starts ingest as a daemon.
    pub(crate) fn watch<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        self.spawn(scope, Stage::Ingest, move |stop| {
            let health = self.health.stage(Stage::Ingest.name());
            let (config, log) = (&self.configuration.ingest, &*self.home.log);
            Ok(autorma_ingest::watch(config, log, &self.metrics.ingest, stop, health)?)
        });
    }

    /// Starts ingest for one batch; `found` hears of its progress, `done` of its end.
    pub(crate) fn batch<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        mut found: impl FnMut(Found) + Send + 'scope,
        mut done: impl FnMut(Batch) + Send + 'scope,
    ) {
        self.spawn(scope, Stage::Ingest, move |stop| {
            let health = self.health.stage(Stage::Ingest.name());
            let (config, log) = (&self.configuration.ingest, &*self.home.log);
            // It works from now on, though nothing may come of it for long.
            health.ready();
            done(autorma_ingest::batch(config, log, &self.metrics.ingest, stop, &mut found)?);
            Ok(())
        });
    }

    /// Starts the classifier of this slot, which may take as long as `drain` for what it has read when it is to stop.
    pub(crate) fn classify<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        slot: String,
        drain: Duration,
    ) {
        self.spawn(scope, Stage::Classifier, move |stop| {
            let health = self.health.stage(Stage::Classifier.name());
            let config = autorma_classifier::Config {
                slot: slot.clone(),
                drain,
                ..self.configuration.classifier.clone()
            };
            let (log, metrics) = (&*self.home.log, &self.metrics.classifier);
            Ok(autorma_classifier::run(&config, log, metrics, stop, || health.ready())?)
        });
    }

    /// Starts the sink, and the housekeeping of the log beside it.
    pub(crate) fn sink<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        self.spawn(scope, Stage::Sink, move |stop| {
            let health = self.health.stage(Stage::Sink.name());
            let (config, log) = (&self.configuration.sink, &*self.home.log);
            let (metrics, progress) = (&self.metrics.sink, &self.progress);
            Ok(autorma_sink::run(config, log, metrics, progress, stop, || health.ready())?)
        });
        let keep_house = || self.home.keep_house(self.stopper(Stage::Sink));
        if let Err(error) = Builder::new().name("housekeeping".into()).spawn_scoped(scope, keep_house) {
            tracing::warn!(%error, "no thread could be started: old records stay until a process ends");
        }
    }

    /// A named thread whose end is news. A panic is an error like any other.
    fn spawn<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        stage: Stage,
        mut work: impl FnMut(&Shutdown) -> anyhow::Result<()> + Send + 'scope,
    ) {
        let guarded = move || {
            let persistent = || self.persist(stage, &mut work);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(persistent));
            let fault = |_| Err(anyhow!("a panic: this is a fault in autorma"));
            self.report(News::Ended(stage, result.unwrap_or_else(fault)));
        };
        self.report(News::Started(stage));
        if let Err(error) = Builder::new().name(stage.name().into()).spawn_scoped(scope, guarded) {
            self.report(News::Ended(stage, Err(error.into())));
        }
    }

    /// Does a stage's work, and begins it anew when the log was out of reach, or there were no files left: all that it knows
    /// it reads from there. Also when it was fenced, once: a cluster that has just lost a broker fences members of groups whose slot nobody else wants.
    fn persist(
        &self,
        stage: Stage,
        work: &mut impl FnMut(&Shutdown) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let stop = self.stopper(stage);
        let (mut pause, mut fenced) = (SHORTEST_PAUSE, None::<Instant>);
        loop {
            let begun = Instant::now();
            let error = match self.home.expect_good_topics(self.configuration).and_then(|()| work(stop)) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let passes = of_the_log(&error);
            // Nobody waits for the log any more once the process is to end, maybe before this stage was asked to.
            if passes.is_some_and(|it| is_given_up(it) || stop.is_requested() && it.may_begin_anew()) {
                tracing::warn!(
                    stage = stage.name(),
                    "stopped without the log: {error:#}; the next start continues"
                );
                return Ok(());
            }
            let goes_on = match passes {
                // Ingest is in no group: who has fenced it lives. And who stops leaves the slot to whoever has it.
                Some(LogError::Fenced { .. }) if stage == Stage::Ingest || stop.is_requested() => false,
                Some(LogError::Fenced { .. }) => {
                    let before = fenced.replace(Instant::now());
                    before.is_none_or(|at| at.elapsed() > RIVALRY)
                }
                Some(of_log) => of_log.may_begin_anew(),
                None => is_out_of_files(&error),
            };
            if !goes_on {
                return Err(error);
            }
            self.health.stage(stage.name()).starting(&format!("{error:#}"));
            pause = if begun.elapsed() > LONGEST_PAUSE * 2 {
                SHORTEST_PAUSE
            } else {
                (pause * 2).min(LONGEST_PAUSE)
            };
            tracing::warn!(stage = stage.name(), again_in = ?pause, "beginning anew: {error:#}");
            stop.sleep(pause);
        }
    }

    /// Whoever waits for a log that doesn't answer gives up after the drain time.
    pub(crate) fn hurry(&self) {
        self.hurrying()();
    }

    fn hurrying(&self) -> impl Fn() + Send + 'static {
        // The log ends with its owner: a client of Kafka whose threads outlive `main` can fall over what OpenSSL frees then.
        let (log, drain) = (Arc::downgrade(&self.home.log), self.configuration.drain);
        move || {
            let log = Weak::clone(&log);
            let wait = move || {
                std::thread::sleep(drain);
                if let Some(log) = log.upgrade() {
                    log.hurry();
                }
            };
            // Without it the process would only wait longer.
            drop(Builder::new().name("hurry".into()).spawn(wait));
        }
    }

    fn report(&self, news: News) {
        // Nobody listens only when the process ends.
        drop(self.news.send(news));
    }

    fn stopper(&self, stage: Stage) -> &Shutdown {
        &self.stop[stage as usize]
    }

    /// Whatever way the caller's scope is left, the stages stop: the scope waits for their threads.
    pub(crate) fn stop_at_the_end(&self) -> StopAll<'_> {
        StopAll(&self.stop)
    }

    /// Asks a stage to stop.
    pub(crate) fn stop(&self, stage: Stage) {
        self.stopper(stage).request();
    }

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
        let mut goal = self.goal.lock().unwrap_or_else(PoisonError::into_inner);
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
    pub(crate) fn incomplete(&self) -> Vec<String> {
        let goal = self.goal.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.progress.snapshot();
        let unfinished = goal.iter().flat_map(|goal| goal.unfinished(&snapshot));
        unfinished.map(|(run_id, _)| run_id.clone()).collect()
    }
}

impl Goal {
    fn of(log: &dyn Log) -> anyhow::Result<Self> {
        log.settle(&[topics::RUNS])?;
        let closed = newest_runs(log)?.into_iter().filter(|run| run.state == RunState::Closed);
        let closed = closed.map(|run| run.run_id).collect();
        // After them, so that it has all of their images.
        let images = ends(log, &[topics::IMAGES])?;
        Ok(Self { closed, images, outcomes: None, looked: None })
    }

    /// The closed runs that aren't finished, as far as the sink has heard of them.
    fn unfinished<'a>(&self, snapshot: &'a Snapshot) -> impl Iterator<Item = (&'a String, &'a Counts)> {
        snapshot.open.iter().filter(move |(run_id, _)| self.closed.contains(*run_id))
    }
}

/// Asks every stage to stop when it is dropped.
#[derive(Debug)]
pub(crate) struct StopAll<'a>(&'a [Shutdown; 3]);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(Shutdown::request);
    }
}

impl Control {
    /// Whether the stage has been started and hasn't ended.
    pub(crate) fn is_running(&self, stage: Stage) -> bool {
        self.running.contains(&stage)
    }

    /// Waits until `done`, which is asked again after each news and each `pace`. Returns false at a signal. When a
    /// stage fails, all are asked to stop, and its error is returned.
    pub(crate) fn wait(
        &mut self,
        pipeline: &Pipeline<'_>,
        pace: Duration,
        mut done: impl FnMut(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        loop {
            while let Ok(news) = self.news.try_recv() {
                if !self.hear(pipeline, news)? {
                    return Ok(false);
                }
            }
            if done(self)? {
                return Ok(true);
            }
            if let Ok(news) = self.news.recv_timeout(pace)
                && !self.hear(pipeline, news)?
            {
                return Ok(false);
            }
        }
    }

    /// Whether to go on.
    fn hear(&mut self, pipeline: &Pipeline<'_>, news: News) -> anyhow::Result<bool> {
        match news {
            News::Signal => return Ok(false),
            News::Started(stage) => drop(self.running.insert(stage)),
            News::Ended(stage, result) => {
                self.running.remove(&stage);
                let health = pipeline.health.stage(stage.name());
                if let Err(error) = result {
                    health.failed(&format!("{error:#}"));
                    pipeline.hurry();
                    Stage::ALL.into_iter().for_each(|stage| pipeline.stop(stage));
                    return Err(error).with_context(|| stage.name());
                }
                if pipeline.stopper(stage).is_requested() { health.stopped() } else { health.done() }
            }
        }
        Ok(true)
    }

    /// Waits until everything is done, at most for the drain time, which has begun already. Returns whether it is.
    pub(crate) fn drain(&mut self, pipeline: &Pipeline<'_>, begun: Instant) -> anyhow::Result<bool> {
        let deadline = begun + pipeline.configuration.drain;
        let mut finished = false;
        self.wait(pipeline, Duration::from_millis(20), |_| {
            finished = pipeline.is_done()?;
            Ok(finished || Instant::now() >= deadline)
        })?;
        Ok(finished)
    }

    /// Stops the stages one after the other: what one has committed, the next may still read. A further signal is
    /// no news here: the process ends by itself at the second one.
    pub(crate) fn stop(&mut self, pipeline: &Pipeline<'_>) -> anyhow::Result<()> {
        pipeline.hurry();
        self.stop_patiently(pipeline)
    }

    /// The same where the process itself has something left to do on the log.
    pub(crate) fn stop_patiently(&mut self, pipeline: &Pipeline<'_>) -> anyhow::Result<()> {
        for stage in Stage::ALL {
            pipeline.stop(stage);
            while !self.wait(pipeline, Duration::from_secs(1), |control| Ok(!control.is_running(stage)))? {}
        }
        Ok(())
    }
}

/// What the log said, if the failure is its.
fn of_the_log(error: &anyhow::Error) -> Option<&LogError> {
    error.chain().find_map(|cause| {
        let ingest = cause.downcast_ref().and_then(|error| match error {
            autorma_ingest::Error::Log(error) => Some(error),
            _ => None,
        });
        let classifier = || match cause.downcast_ref()? {
            autorma_classifier::Error::Log(error) => Some(error),
            _ => None,
        };
        let sink = || match cause.downcast_ref()? {
            autorma_sink::Error::Log(error) => Some(error),
            _ => None,
        };
        cause.downcast_ref().or(ingest).or_else(classifier).or_else(sink)
    })
}

/// Whether the system gave no more files: others may be closed by and by.
fn is_out_of_files(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(autorma_classifier::Error::OutOfFiles(_)))
}

fn is_given_up(error: &LogError) -> bool {
    matches!(error, LogError::GivenUp { .. })
}

/// Where the topics end, with everything that was committed to them by now.
fn ends(log: &dyn Log, topics: &[&str]) -> anyhow::Result<Ends> {
    log.settle(topics)?;
    let mut ends = Vec::new();
    for topic in topics {
        let bounds = log.bounds(topic)?.into_iter();
        ends.extend(bounds.map(|bounds| (TopicPartition::new(*topic, bounds.partition), bounds.end)));
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
