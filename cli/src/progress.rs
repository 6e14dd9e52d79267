//! How far a command is: a bar on a terminal; now and then a log line otherwise, where it may take long.

mod listener;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use autorma_ingest::Found;
use autorma_service::logging;
use autorma_sink::Progress;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
pub(crate) use listener::Listener;

/// How often a log line says how far it is.
const LINES: Duration = Duration::from_secs(5);

/// A bar that looks like this, hidden where standard error is no terminal.
pub(crate) fn bar(template: &str) -> ProgressBar {
    let bar = if io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Shows how far a batch is.
#[derive(Debug)]
pub(crate) enum Display {
    /// Says nothing.
    Silent,
    /// Says it in the log.
    Lines {
        /// When the next line is due.
        next: Instant,
    },
    /// Shows it on the terminal.
    Bar(ProgressBar),
}

impl Display {
    /// What fits standard error.
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet {
            return Display::Silent;
        }
        if !io::stderr().is_terminal() {
            return Display::Lines { next: Instant::now() + LINES };
        }
        let bar = bar("{bar:30} {pos} of {len} · {rate} · {eta} left · {elapsed}");
        bar.set_style(bar.style().with_key("rate", rate));
        Display::Bar(bar)
    }

    /// Where log lines go: above the bar, if there is one.
    pub(crate) fn writer(&self) -> LogWriter {
        match self {
            Display::Bar(bar) => LogWriter(Some(bar.clone())),
            _ => LogWriter(None),
        }
    }

    /// Shows what was found and what is durable.
    pub(crate) fn show(&mut self, found: &Found, progress: &Progress) {
        let durable = progress.snapshot().durable_outcomes;
        match self {
            Display::Silent => {}
            Display::Lines { next } => {
                if Instant::now() >= *next {
                    *next = Instant::now() + LINES;
                    tracing::info!(found = found.published, classified = durable, "progress");
                }
            }
            Display::Bar(bar) => {
                bar.set_length(found.published.max(durable));
                bar.set_position(durable);
                bar.tick();
            }
        }
    }

    /// Removes the bar.
    pub(crate) fn clear(&mut self) {
        if let Display::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    // A display that can't be written shows at the next tick.
    let _ = write!(out, "{:.0} images/s", state.per_sec());
}

/// Writes log lines to standard error without tearing the bar.
#[derive(Debug, Clone)]
pub(crate) struct LogWriter(Option<ProgressBar>);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().lock().write_all(bytes);
        match &self.0 {
            Some(bar) => bar.suspend(write)?,
            None => write()?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl<'a> logging::MakeWriter<'a> for LogWriter {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        self.clone()
    }
}
