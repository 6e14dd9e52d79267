//! What happens to a pipeline, and what is done about it.

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Pipeline, Stage};

/// The thread that waits for what happens to a pipeline.
#[derive(Debug)]
pub(crate) struct Control {
    news: Receiver<News>,
    running: BTreeSet<Stage>,
}

/// What happens to a pipeline.
#[derive(Debug)]
pub(super) enum News {
    /// A stage has started.
    Started(Stage),
    /// It has ended, by itself or because it was asked to.
    Ended(Stage, anyhow::Result<()>),
    /// Somebody asks the process to stop.
    Signal,
}

impl Control {
    pub(super) fn new(news: Receiver<News>) -> Self {
        Self { news, running: BTreeSet::new() }
    }

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
                    pipeline.stop_all();
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
