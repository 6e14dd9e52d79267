use std::fmt;

use autorma_schemas::DeadLetter;
use serde::Serialize;

use crate::reading::DROPPED;
use crate::words::counted;

/// What `autorma dead-letters retry` says.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) runs: Vec<Run>,
    pub(super) published: usize,
    /// Images that have a prediction by now.
    pub(super) classified_since: usize,
    /// Images that were published again already, and wait for the classifier.
    pub(super) waiting: usize,
    pub(super) events: Vec<Published>,
    pub(super) failed: Vec<Failed>,
    /// Whether the log has dropped dead letters.
    #[serde(skip)]
    pub(super) has_dropped: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) run_id: String,
    pub(super) images: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Published {
    /// Another one than before if the photo has other content by now.
    pub(super) event_id: String,
    pub(super) former_event_id: Option<String>,
    pub(super) name: String,
    pub(super) reason: String,
    pub(super) run_id: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Failed {
    pub(super) event_id: Option<String>,
    pub(super) name: String,
    pub(super) reason: String,
    pub(super) error: String,
}

impl Report {
    /// A dead letter can't become an event again.
    pub(super) fn failed(&mut self, letter: DeadLetter, error: &anyhow::Error) {
        let name = if letter.name.is_empty() { letter.origin.to_string() } else { letter.name };
        let error = format!("{error:#}");
        tracing::error!(name, reason = letter.reason, error, "not published");
        self.failed.push(Failed { event_id: letter.event_id, name, reason: letter.reason, error });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.published == 0 {
            match self.has_dropped {
                true => write!(f, "Nothing to try again. {DROPPED}"),
                false => writeln!(f, "Nothing to try again."),
            }?;
        }
        for Run { run_id, images } in &self.runs {
            writeln!(f, "Run {run_id}: {} published, for the classifier.", counted(*images, "image"))?;
        }
        if self.classified_since > 0 {
            writeln!(f, "{} left out: classified since.", counted(self.classified_since, "image"))?;
        }
        if self.waiting > 0 {
            writeln!(
                f,
                "{} left out: on the way to the classifier already.",
                counted(self.waiting, "image")
            )?;
        }
        match self.failed.len() {
            0 => Ok(()),
            failed => {
                writeln!(f, "{} can't be published again: the log says why.", counted(failed, "dead letter"))
            }
        }
    }
}
