//! What happens, line by line: for people, or as JSON for machines.

mod filter;

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

pub use tracing_subscriber::fmt::MakeWriter;

use crate::settings::{Key, Settings, Value};

const FORMAT: Key = Key::new("logging.format", "text", "how log lines are written: text or json");
const LEVEL: Key = Key::new(
    "logging.level",
    "info",
    "what is logged: error, warn, info, debug, trace or off, and TARGET=LEVEL for parts, separated by ','",
);

/// What is logged and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// How lines are written.
    pub format: Format,
    /// Which there are: a level, or a filter like `info,autorma_sink=debug`.
    pub level: String,
}

impl Config {
    /// Reads `logging.format` and `logging.level`.
    pub fn read(settings: &mut Settings) -> Self {
        let is_filter = |text: &String| filter::parse(text).map(drop);
        Self { format: settings.get(&FORMAT, ..), level: settings.get_if(&LEVEL, is_filter) }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Format {
    /// For people: coloured on a terminal, unless `NO_COLOR` is set.
    Text,
    /// One JSON object a line; the fields of the event stand beside `timestamp`, `level`, `message` and `target`.
    Json,
}

impl Value for Format {
    const ALLOWED: &'static str = "text or json";

    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "text" => Some(Format::Text),
            "json" => Some(Format::Json),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Format::Text => "text".into(),
            Format::Json => "json".into(),
        }
    }
}

/// Logging can't begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter isn't one.
    #[error("{text:?} doesn't say what to log: {allowed}")]
    Filter {
        /// What was given.
        text: String,
        /// What is allowed.
        allowed: String,
    },
    /// It has begun already.
    #[error("logging is set up twice")]
    Twice,
}

/// Begins logging, for the whole process, to `writer`: [`std::io::stderr`], or something that knows how to write
/// above a progress bar. It is taken to end at standard error: colours go by whether that is a terminal.
pub fn init<W>(format: Format, filter: &str, writer: W) -> Result<(), Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter::parse(filter).map_err(|allowed| Error::Filter { text: filter.into(), allowed })?;
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let subscriber = subscriber(format, filter, colours, writer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::Twice)
}

fn subscriber<W>(
    format: Format,
    filter: EnvFilter,
    colours: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // What can't be written, since whoever reads has gone, ends nobody: to say so there would be a panic.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_timer(Utc)
        .log_internal_errors(false);
    match format {
        Format::Text => Box::new(lines.with_ansi(colours).with_target(false).finish()),
        Format::Json => Box::new(lines.json().flatten_event(true).with_span_list(false).finish()),
    }
}

/// UTC to the millisecond, as RFC 3339 has it: lines of several machines can be put in order.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}", jiff::Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Lines;

        fn make_writer(&'a self) -> Lines {
            self.clone()
        }
    }

    fn logged(format: Format, filter: &str, events: impl FnOnce()) -> String {
        let lines = Lines::default();
        let subscriber = subscriber(format, filter::parse(filter).unwrap(), false, lines.clone());
        tracing::subscriber::with_default(subscriber, events);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_has_time_level_and_fields() {
        let text = logged(Format::Text, "info", || {
            tracing::info!(images = 3, "ready");
            tracing::debug!("unheard");
        });
        let (time, rest) = text.split_once(' ').unwrap();
        assert_eq!(
            (time.len(), rest.trim()),
            ("2026-11-24T20:01:02.345Z".len(), "INFO ready images=3"),
            "{time}"
        );
        time.parse::<jiff::Timestamp>().unwrap();
    }

    #[test]
    fn json_is_one_flat_object_a_line() {
        let text = logged(Format::Json, "info", || {
            tracing::warn!(images = 3, "two\nlines");
            tracing::info!("second");
        });
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "two\nlines");
        assert_eq!(lines[0]["images"], 3);
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[0]["target"], "autorma_service::logging::tests");
        assert!(lines[0]["timestamp"].is_string());
    }

    #[test]
    fn dependencies_are_quiet() {
        let events = || {
            tracing::info!(target: "ort", "chatter");
            tracing::warn!(target: "ort::session", "trouble");
            tracing::debug!(target: "autorma_sink", "detail");
        };
        let heard = |filter| logged(Format::Text, filter, events).lines().count();
        assert_eq!(heard("info"), 1);
        assert_eq!(heard("debug"), 2);
        assert_eq!(heard("error"), 0);
        assert_eq!(heard("ort=info"), 2);
        assert_eq!(heard("autorma_sink=debug"), 2, "the rest stays at info");
    }

    #[test]
    fn settings_are_checked() {
        use crate::settings::Layer;
        let flags = Layer::new("flags").with("logging.level", "verbose", "--log-level");
        let mut settings = Settings::new(vec![flags.with("logging.format", "xml", "--log-format")]);
        let config = Config::read(&mut settings);
        assert_eq!((config.format, config.level.as_str()), (Format::Text, "info"));
        let problems = settings.finish().unwrap_err().to_string();
        assert!(
            problems.contains("logging.format = \"xml\" (from --log-format): text or json"),
            "{problems}"
        );
        assert!(
            problems.contains("logging.level = \"verbose\" (from --log-level): error, warn"),
            "{problems}"
        );
    }
}
