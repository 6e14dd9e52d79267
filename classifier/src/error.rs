use autorma_models::registry::RegistryError;
use autorma_stream::Disposition;

use crate::LoadError;

/// Why the stage stops. Nothing is lost: what wasn't committed is read again by the next start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model can't be used.
    #[error(transparent)]
    Model(#[from] autorma_models::Error),
    /// The registry doesn't give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The model takes pictures of another size, or knows other classes, than the one that serves.
    #[error("it {0} than the one that serves: only a classifier that is started anew can change that")]
    Unlike(&'static str),
    /// The settings contradict each other about who computes.
    #[error("{0}")]
    Cast(String),
    /// The model can't be run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A store of photos can't be used.
    #[error(transparent)]
    Store(#[from] crate::StoreError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] autorma_stream::Error),
    /// The system gives this process no more files, which is no photo's fault.
    #[error("no file is left to read a photo with: {0}; allow this process more (ulimit -n)")]
    OutOfFiles(std::io::Error),
    /// Something other than the photos is wrong.
    #[error(
        "{dead} of the last {window} events are dead letters, more than classifier.dead_share allows; the last: \
         {last}; what was in hand isn't committed: mend the cause or allow a larger share, and start again; `autorma \
         dead-letters retry` publishes again those that were committed"
    )]
    TooManyDead {
        /// Dead letters among the recent events.
        dead: usize,
        /// How many events are recent.
        window: usize,
        /// Why the last one is dead.
        last: String,
    },
    /// The system gave no thread.
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
    /// A fault in autorma.
    #[error("a thread of the classifier panicked: this is a fault in autorma")]
    Panicked,
}

impl Error {
    /// What to do about it.
    pub fn disposition(&self) -> Disposition {
        match self {
            Error::Log(error) => error.disposition(),
            Error::OutOfFiles(_) => Disposition::Transient,
            _ => Disposition::Fatal,
        }
    }
}
