//! Appending to the log from a command that comes and goes.

use autorma_schemas::{Event, Micros, topics};
use autorma_service::roles::RoleLock;
use autorma_stream::{Append, Error as LogError, Log, Producer, Transaction};

use crate::home::{Home, told_if_none_is_free};
use crate::reading::{newest_runs, patiently};

/// How many such commands may write to a log from one machine at the same time.
const MOST: usize = 256;

/// A producer that no other process has.
pub(crate) struct Publisher {
    producer: Box<dyn Producer>,
    /// Keeps the slot: a second producer of it would fence this one.
    _lock: RoleLock,
}

impl Publisher {
    /// Takes the first slot that is free on this machine, so that what a killed predecessor has left half-done ends.
    pub(crate) fn open(home: &Home, command: &str) -> anyhow::Result<Self> {
        let many = "too many commands are publishing at the same time: wait until one has ended";
        let (lock, number) = RoleLock::take_first_free(&home.folder, "producer-", 0..MOST, command)
            .map_err(|error| told_if_none_is_free(error, many))?;
        Self::of(home, &home.slot(&number.to_string()), lock)
    }

    /// Takes this slot. Where its name is the same on each machine, whoever had it before on another one, which knows nothing
    /// of the lock, publishes nothing more from now on.
    pub(crate) fn of(home: &Home, slot: &str, lock: RoleLock) -> anyhow::Result<Self> {
        let slot = format!("producer-{slot}");
        let producer = patiently(|| home.log.producer(&slot))?;
        Ok(Self { producer, _lock: lock })
    }

    /// Appends all of it, or nothing.
    pub(crate) fn commit(&mut self, appends: Vec<Append>) -> Result<(), LogError> {
        let transaction = Transaction { appends, advance: None };
        patiently(|| self.producer.commit(&transaction))
    }
}

/// Where another call has taken the slot, the error says first what has become of this one.
pub(crate) fn rivalled(error: anyhow::Error, what: &'static str) -> anyhow::Error {
    match error.downcast_ref() {
        Some(LogError::Fenced { .. }) => error.context(what),
        _ => advised(error),
    }
}

/// Where only the log tells whether all was published, the error says first how to look.
pub(crate) fn advised(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(LogError::Expired { .. }) => error.context(
            "look with `autorma runs` and `autorma show` what is there before you publish anything again",
        ),
        _ => error,
    }
}

/// An event on its way to a topic.
pub(crate) fn append(topic: &str, key: &str, event: &impl Event) -> Append {
    Append::keyed(topic, key, event.encode())
}

/// A name for a run that none has: `prefix` and the time, moved on by seconds.
pub(crate) fn free_run_id(
    log: &dyn Log,
    prefix: &str,
    now: Micros,
    is_taken: impl Fn(&str) -> bool,
) -> anyhow::Result<String> {
    patiently(|| log.settle(&[topics::RUNS]))?;
    let known = newest_runs(log)?;
    Ok(autorma_schemas::free_run_id(prefix, now, |name| {
        known.iter().any(|run| run.run_id == name) || is_taken(name)
    }))
}
