use std::io;

use crate::TopicPartition;

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// It may pass: try again after a pause.
    Transient,
    /// This input will never do: make it a dead letter and go on.
    Poison,
    /// Nothing that this process does will help: stop and say why.
    Fatal,
}

/// What can go wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process is writing, or the log is out of reach for the moment.
    #[error("the log is busy: {0}")]
    Busy(String),
    /// Nothing was written; free some space and start again.
    #[error("no space left for the log at {place}: free some and start again; nothing was lost ({cause})")]
    DiskFull {
        /// Where the log is.
        place: String,
        /// What the system said.
        cause: String,
    },
    /// A newer incarnation has taken this producer's slot.
    #[error("another process has taken over the slot {slot:?}")]
    Fenced {
        /// The slot.
        slot: String,
    },
    /// The partition belongs to another member by now: drop the work on it.
    #[error("the assignment of {0} has ended")]
    AssignmentEnded(TopicPartition),
    /// There is no such topic.
    #[error("there is no topic {0:?} in the log")]
    UnknownTopic(String),
    /// There is no such partition.
    #[error("there is no partition {0} in the log")]
    UnknownPartition(TopicPartition),
    /// The topic exists with another number of partitions.
    #[error("the topic {topic:?} has {found} partitions, not {wanted}")]
    Mismatch {
        /// The topic.
        topic: String,
        /// Its partitions.
        found: u32,
        /// The partitions asked for.
        wanted: u32,
    },
    /// The storage under the log failed or isn't a log of this version.
    #[error("the log at {place}: {cause}")]
    Storage {
        /// Where the log is.
        place: String,
        /// What was wrong.
        cause: String,
    },
    /// A rebalance listener failed.
    #[error(transparent)]
    Listener(#[from] io::Error),
}

/// A result of the log.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What to do about it.
    pub fn disposition(&self) -> Disposition {
        match self {
            Error::Busy(_) => Disposition::Transient,
            _ => Disposition::Fatal,
        }
    }
}
