use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::figures::Figures;

/// How often an outage that goes on is told again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long something may be tried in vain before that is told, while no connection was lost.
const MOMENTS: Duration = Duration::from_secs(1);

/// What the clients of one cluster know of being in contact with it. An outage is told once, and its end.
#[derive(Debug, Default)]
pub(super) struct Contact(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since when nothing has worked.
    out: Option<Instant>,
    /// When that was told last.
    told: Option<Instant>,
    /// What was wrong last.
    cause: Option<(Code, String)>,
}

impl Contact {
    /// A client has lost a broker, or can't reach one.
    pub(super) fn lost(&self, code: Code, why: &str) {
        let mut state = self.0.lock();
        // Says only that others have failed, which have said why.
        if code != Code::AllBrokersDown || state.cause.is_none() {
            state.cause = Some((code, why.to_owned()));
        }
    }

    /// Something was tried in vain. While every connection stands, that often passes within moments, untold: a leader is
    /// being chosen, a topic is new.
    pub(super) fn failed(&self) {
        let mut state = self.0.lock();
        let now = Instant::now();
        let since = *state.out.get_or_insert(now);
        let is_news = state.told.is_none_or(|told| now - told >= AGAIN);
        if is_news && (state.cause.is_some() || now - since >= MOMENTS) {
            let cause = state.cause.as_ref().map_or("no answer", |(_, cause)| cause);
            tracing::warn!(cause, seconds = (now - since).as_secs(), "kafka is out of reach: waiting for it");
            state.told = Some(now);
        }
    }

    /// Something worked.
    pub(super) fn works(&self) {
        let mut state = self.0.lock();
        let since = state.out.take();
        if state.told.take().is_some() {
            let seconds = since.map_or(0, |since| since.elapsed().as_secs());
            tracing::info!(seconds, "kafka is within reach again");
        }
        state.cause = None;
    }

    /// For how long nothing has worked.
    pub(super) fn out(&self) -> Option<Duration> {
        self.0.lock().out.map(|since| since.elapsed())
    }

    /// What was wrong last.
    pub(super) fn cause(&self) -> Option<(Code, String)> {
        self.0.lock().cause.clone()
    }
}

/// Hears what a client says of itself.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) contact: Arc<Contact>,
    pub(super) figures: Arc<Figures>,
    /// How many lines of its log have come.
    lines: AtomicU64,
    /// Whether its client was left to itself.
    left: AtomicBool,
}

impl Ear {
    pub(super) fn new(contact: Arc<Contact>, figures: Arc<Figures>) -> Self {
        Self { contact, figures, lines: AtomicU64::new(0), left: AtomicBool::new(false) }
    }

    /// Its client is left to itself, and counts no more: its successor has the same name.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// Lets its client, which reads nothing at the moment, say all that has piled up.
    pub(super) fn hear_out<C: ConsumerContext>(&self, client: &BaseConsumer<C>) {
        loop {
            let before = self.lines.load(Ordering::Relaxed);
            // A poll that brings a line of the log ends as one does that brings nothing.
            let is_silent = client.poll(Duration::ZERO).is_none();
            if is_silent && self.lines.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.lines.fetch_add(1, Ordering::Relaxed);
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(fac, "librdkafka: {message}")
            }
            // What matters of the rest comes back as an error, and is told where it is handled.
            _ => tracing::debug!(fac, "librdkafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if self.is_left() {
            return;
        }
        if let Some(code) = error.rdkafka_error_code() {
            self.contact.lost(code, reason);
        }
        tracing::debug!(%error, reason, "librdkafka reports");
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        if !self.is_left() {
            self.figures.note(&statistics, Instant::now());
        }
    }
}

impl ConsumerContext for Ear {}

#[cfg(test)]
mod tests {
    use rdkafka::Statistics;

    use super::*;

    #[test]
    fn a_client_that_was_left_to_itself_counts_no_more() {
        let ear = Ear::new(Arc::default(), Arc::default());
        let tell = || {
            ear.error(KafkaError::Global(Code::BrokerTransportFailure), "the broker has gone");
            ear.stats(Statistics { name: "a#producer-1".into(), ..Statistics::default() });
        };
        ear.leave();
        tell();
        assert_eq!((ear.contact.cause(), ear.figures.clients().len()), (None, 0));
        ear.left.store(false, Ordering::Relaxed);
        tell();
        assert!(ear.contact.cause().is_some() && ear.figures.clients().len() == 1);
    }
}
