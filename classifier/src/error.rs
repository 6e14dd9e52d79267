use std::io;

use autorma_models::Error as ModelError;
use autorma_models::registry::RegistryError;
use autorma_service::files::is_out_of_files;
use rustix::io::Errno;

use crate::LoadError;

/// Why the stage stops. Nothing is lost: what wasn't committed is read again by the next start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model can't be used.
    #[error(transparent)]
    Model(#[from] ModelError),
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
    /// The system gives this process no more files, or no other process, which is no photo's fault and no model's.
    #[error(
        "the process can't open more files or start another process: {0}; allow it more (ulimit -n, ulimit -u)"
    )]
    OutOfFiles(io::Error),
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
    #[error(transparent)]
    Thread(io::Error),
    /// A fault in autorma.
    #[error("a thread of the classifier panicked: this is a fault in autorma")]
    Panicked,
}

impl Error {
    /// The same or, where that is the cause, that there are no files left, or no processes: then it says nothing of what was to
    /// be read or tried.
    pub(crate) fn or_out_of_files(self) -> Self {
        match self.lack().and_then(io::Error::raw_os_error) {
            Some(code) => Error::OutOfFiles(io::Error::from_raw_os_error(code)),
            None => self,
        }
    }

    /// What the system has said, if a model couldn't be read or tried because it gave nothing to do that with.
    fn lack(&self) -> Option<&io::Error> {
        let cause = match self {
            Error::Load(LoadError::Process(cause)) if is_out_of_processes(cause) => return Some(cause),
            Error::Model(ModelError::Unreadable { cause, .. })
            | Error::Registry(RegistryError::Model(ModelError::Unreadable { cause, .. }))
            | Error::Registry(RegistryError::File { cause, .. })
            | Error::Load(LoadError::Process(cause)) => cause,
            _ => return None,
        };
        is_out_of_files(cause).then_some(cause)
    }
}

/// Whether it has been refused another process: as many run as may, or memory is short.
fn is_out_of_processes(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AGAIN | Errno::NOMEM))
}

#[cfg(test)]
mod tests {
    use autorma_service::threads;

    use super::*;

    #[test]
    fn a_process_that_cannot_be_started_for_want_of_resources_is_no_model_s_fault() {
        let refused = |errno: Errno| Error::from(LoadError::Process(errno.into())).or_out_of_files();
        for errno in [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE] {
            assert!(matches!(refused(errno), Error::OutOfFiles(_)), "{errno:?}");
        }
        assert!(matches!(refused(Errno::NOENT), Error::Load(LoadError::Process(_))));
    }

    #[test]
    fn who_gets_no_thread_is_told_what_to_do_and_the_cause_once() {
        let error = Error::Thread(threads::refused(Errno::AGAIN.into()));
        let said = error.to_string();
        assert!(said.contains("ulimit -u") && said.matches("os error").count() == 1, "{said}");
        assert!(std::error::Error::source(&error).is_none(), "the program tells causes behind it");
    }
}
