use std::io;

use rustix::io::Errno;

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
    /// The log is out of reach. What was under way has not happened.
    #[error("{place} can't be reached: {cause}")]
    Unreachable {
        /// Where the log is.
        place: String,
        /// What was wrong.
        cause: String,
    },
    /// A transaction took longer than the log allows, and was undone, or the answer to its commit was lost. The producer
    /// is of no use any more: its owner begins anew from what the log says.
    #[error(
        "a transaction of the slot {slot:?}, which may take {longest:?}, had no answer in time: whether it has happened, only \
         the log tells"
    )]
    Expired {
        /// The slot.
        slot: String,
        /// How long one may take.
        longest: std::time::Duration,
    },
    /// The process is ending and didn't wait for the log any longer. Whether the transaction has happened, the next
    /// start learns from the log.
    #[error("the process is ending: no longer waiting for {place}")]
    GivenUp {
        /// Where the log is.
        place: String,
    },
    /// The log doesn't know this user, or the password is wrong.
    #[error("{place} refuses the credentials: {cause}; check the user, the password and the mechanism")]
    Credentials {
        /// Where the log is.
        place: String,
        /// What it said.
        cause: String,
    },
    /// No safe connection came about.
    #[error("no TLS connection to {place}: {cause}; check the certificates and log.kafka.security")]
    Insecure {
        /// Where the log is.
        place: String,
        /// What was wrong.
        cause: String,
    },
    /// The user may not do this.
    #[error("the log forbids {what} to this user: grant it (docs/kafka.md lists the rights)")]
    Forbidden {
        /// What was to be done.
        what: String,
    },
    /// A setting of the log can't be.
    #[error("{0}")]
    Configuration(String),
    /// A record is larger than its topic takes.
    #[error(
        "a record of {bytes} bytes is larger than the topic {topic:?} takes: raise max.message.bytes of the topic \
         (`autorma topics check`), or, if it is a photo that is sent inline, refer to it instead"
    )]
    TooLarge {
        /// The topic.
        topic: String,
        /// The record's size, about.
        bytes: usize,
    },
    /// The topic isn't the one that was being read: it was deleted and made anew.
    #[error("the topic of {0} was made anew while it was read: start again")]
    MadeAnew(TopicPartition),
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
            Error::Busy(_) | Error::Unreachable { .. } => Disposition::Transient,
            Error::TooLarge { .. } => Disposition::Poison,
            _ => Disposition::Fatal,
        }
    }

    /// Whether a stage that fails with it may begin anew in the same process, from what the log says then.
    pub fn may_begin_anew(&self) -> bool {
        self.disposition() == Disposition::Transient || matches!(self, Error::Expired { .. })
    }
}

/// Whether the system gives no more files to this process, or to any: that says nothing about the one that was asked for.
pub fn is_out_of_files(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_no_more_files_can_be_opened_is_no_files_fault() {
        let is_out = |errno: Errno| is_out_of_files(&errno.into());
        assert!(is_out(Errno::MFILE) && is_out(Errno::NFILE) && !is_out(Errno::ACCESS));
    }

    #[test]
    fn who_had_no_answer_is_not_told_that_nothing_has_happened() {
        let expired = Error::Expired { slot: "sink-0".into(), longest: std::time::Duration::from_secs(60) };
        let told = expired.to_string();
        assert!(told.contains("only the log tells") && !told.contains("undone"), "{told}");
        // Tried again as it is, it might be there twice.
        assert!(expired.may_begin_anew() && expired.disposition() == Disposition::Fatal);
    }
}
