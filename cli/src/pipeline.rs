//! The stages as threads of one process: how they start, stop and fail together.

mod control;
mod goal;
mod persisting;

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::{Builder, Scope};
use std::time::Duration;

use anyhow::anyhow;
use autorma_ingest::{Batch, Found};
use autorma_service::http::Health;
use autorma_service::{Shutdown, signals, threads};
use autorma_sink::Progress;
use parking_lot::Mutex;

use self::control::News;
use self::goal::Goal;
use crate::configuration::Configuration;
use crate::exit;
use crate::home::Home;
use crate::metrics::Metrics;

pub(crate) use self::control::Control;

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
        (pipeline, Control::new(news))
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
        let mut config = self.configuration.sink.clone();
        // A link may lead elsewhere by the time that the sink begins anew: its lock is in the folder where it leads now.
        config.output = config.output.canonicalize().unwrap_or(config.output);
        self.spawn(scope, Stage::Sink, move |stop| {
            let health = self.health.stage(Stage::Sink.name());
            let (log, metrics, progress) = (&*self.home.log, &self.metrics.sink, &self.progress);
            Ok(autorma_sink::run(&config, log, metrics, progress, stop, || health.ready())?)
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
            self.report(News::Ended(stage, Err(threads::refused(error).into())));
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
        StopAll(self)
    }

    /// Asks a stage to stop.
    pub(crate) fn stop(&self, stage: Stage) {
        self.stopper(stage).request();
    }

    /// Asks all of them to.
    pub(crate) fn stop_all(&self) {
        self.stop.iter().for_each(Shutdown::request);
    }
}

/// Asks every stage to stop when it is dropped.
#[derive(Debug)]
pub(crate) struct StopAll<'a>(&'a Pipeline<'a>);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        self.0.stop_all();
    }
}
