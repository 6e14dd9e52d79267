use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::sync::Arc;

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
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Says only that others have failed, which have said why.
        if code != Code::AllBrokersDown || state.cause.is_none() {
            state.cause = Some((code, why.to_owned()));
        }
    }

    /// Something was tried in vain. While every connection stands, that often passes within moments, untold: a leader is
    /// being chosen, a topic is new.
    pub(super) fn failed(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = state.out.take();
        if state.told.take().is_some() {
            let seconds = since.map_or(0, |since| since.elapsed().as_secs());
            tracing::info!(seconds, "kafka is within reach again");
        }
        state.cause = None;
    }

    /// For how long nothing has worked.
    pub(super) fn out(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).out.map(|since| since.elapsed())
    }

    /// What was wrong last.
    pub(super) fn cause(&self) -> Option<(Code, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).cause.clone()
    }
}

/// Hears what a client says of itself.
#[derive(Debug, Clone)]
pub(super) struct Ear {
    pub(super) contact: Arc<Contact>,
    pub(super) figures: Arc<Figures>,
}

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(fac, "librdkafka: {message}")
            }
            // What matters of the rest comes back as an error, and is told where it is handled.
            _ => tracing::debug!(fac, "librdkafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.contact.lost(code, reason);
        }
        tracing::debug!(%error, reason, "librdkafka reports");
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.figures.note(&statistics);
    }
}

impl rdkafka::consumer::ConsumerContext for Ear {}
