//! How a stage begins anew when what it lacked may be there again.

use std::time::{Duration, Instant};

use autorma_service::Shutdown;
use autorma_stream::Error as LogError;

use super::{Pipeline, Stage};

/// The pauses of a stage that begins anew.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How soon a stage that was fenced is fenced again, if a living process wants its slot: longer than the two take to start.
const RIVALRY: Duration = Duration::from_secs(600);

impl Pipeline<'_> {
    /// Does a stage's work, and begins it anew when the log was out of reach, or there were no files left: all that it knows
    /// it reads from there. Also when it was fenced, once: a cluster that has just lost a broker fences members of groups whose slot nobody else wants.
    pub(super) fn persist(
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
            let of_log = of_the_log(&error);
            let may_pass = of_log.map_or_else(|| is_out_of_files(&error), LogError::may_begin_anew);
            // Nobody waits for that any more once the process is to end, maybe before this stage was asked to.
            if of_log.is_some_and(is_given_up) || may_pass && stop.is_requested() {
                tracing::warn!(
                    stage = stage.name(),
                    "stopped before it was done: {error:#}; the next start continues"
                );
                return Ok(());
            }
            let goes_on = match of_log {
                // Ingest is in no group: who has fenced it lives. And who stops leaves the slot to whoever has it.
                Some(LogError::Fenced { .. }) if stage == Stage::Ingest || stop.is_requested() => false,
                Some(LogError::Fenced { .. }) => {
                    let before = fenced.replace(Instant::now());
                    before.is_none_or(|at| at.elapsed() > RIVALRY)
                }
                _ => may_pass,
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
}

/// What the log said, if the failure is its.
pub(super) fn of_the_log(error: &anyhow::Error) -> Option<&LogError> {
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
    let ingest = matches!(error.downcast_ref(), Some(autorma_ingest::Error::OutOfFiles(_)));
    let classifier = matches!(error.downcast_ref(), Some(autorma_classifier::Error::OutOfFiles(_)));
    let sink = matches!(error.downcast_ref(), Some(autorma_sink::Error::OutOfFiles { .. }));
    ingest || classifier || sink
}

pub(super) fn is_given_up(error: &LogError) -> bool {
    matches!(error, LogError::GivenUp { .. })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::configuration::Configuration;
    use crate::home::Home;
    use crate::metrics::Metrics;

    fn in_a_pipeline(test: impl FnOnce(&Pipeline<'_>)) {
        let folder = tempfile::tempdir().unwrap();
        let configuration = Configuration::of(&["classify", "--data", folder.path().to_str().unwrap()]);
        let home = Home::open(&configuration).unwrap();
        let (metrics, health) = (Metrics::new(&home).unwrap(), home.health());
        let (pipeline, _control) = Pipeline::new(&configuration, &home, &metrics, &health);
        test(&pipeline);
    }

    fn none_is_left() -> io::Error {
        io::Error::other("none is left")
    }

    /// There, who is called again would be called for ever, and without a pause.
    #[test]
    fn who_is_to_stop_does_not_wait_for_files() {
        in_a_pipeline(|pipeline| {
            pipeline.stop(Stage::Classifier);
            let mut calls = 0;
            let mut work = |_: &Shutdown| -> anyhow::Result<()> {
                calls += 1;
                assert_eq!(calls, 1, "it was called again");
                Err(autorma_classifier::Error::OutOfFiles(none_is_left()).into())
            };
            pipeline.persist(Stage::Classifier, &mut work).unwrap();
            assert_eq!(calls, 1);
        });
    }

    #[test]
    fn who_lacks_files_begins_anew() {
        let errors: [anyhow::Error; 3] = [
            autorma_ingest::Error::OutOfFiles(none_is_left()).into(),
            autorma_classifier::Error::OutOfFiles(none_is_left()).into(),
            autorma_sink::Error::OutOfFiles { place: String::new(), cause: String::new() }.into(),
        ];
        in_a_pipeline(|pipeline| {
            for (stage, error) in Stage::ALL.into_iter().zip(errors) {
                let mut error = Some(error);
                let mut work = |_: &Shutdown| error.take().map_or(Ok(()), Err);
                pipeline.persist(stage, &mut work).unwrap();
                assert!(error.is_none(), "it was called");
            }
        });
    }
}
