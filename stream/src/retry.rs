//! Trying again: only what may pass, with growing pauses, and not for ever.

use std::time::Duration;

use crate::{Disposition, Error};

/// Pauses that double from `first` to `longest`, at most `attempts` of them.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// How often to try again.
    pub attempts: u32,
}

impl Backoff {
    /// The pause before the attempt after `failed` failures (from 1), or none when it is time to give up.
    pub fn pause(&self, failed: u32) -> Option<Duration> {
        let doublings = failed.saturating_sub(1).min(31);
        (failed <= self.attempts).then(|| self.first.saturating_mul(1 << doublings).min(self.longest))
    }
}

/// Calls `attempt` until it succeeds, fails with something that won't pass, or the backoff is used up. `pause` hears
/// why, sleeps, and says whether to go on: that is where a shutdown cuts in.
pub fn retry<T, E>(
    backoff: Backoff,
    disposition: impl Fn(&E) -> Disposition,
    mut pause: impl FnMut(&E, Duration) -> bool,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut failed = 0;
    loop {
        let error = match attempt() {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        failed += 1;
        let again = match disposition(&error) {
            Disposition::Transient => backoff.pause(failed).is_some_and(|it| pause(&error, it)),
            Disposition::Poison | Disposition::Fatal => false,
        };
        if !again {
            return Err(error);
        }
    }
}

/// The pauses of those who wait for a busy log: three quarters of a minute, beside what each attempt waits itself. On the
/// embedded log that is ten seconds, and all of it about six minutes, unless the process is in a hurry.
const BUSY: Backoff =
    Backoff { first: Duration::from_millis(5), longest: Duration::from_secs(2), attempts: 30 };

/// Does it again while the log is busy. A shutdown waits for that: what is in hand is better committed.
pub fn patiently<T>(attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    patiently_while(|| true, attempt)
}

/// The same, as long as there is a reason to go on.
pub fn patiently_while<T>(
    going_on: impl Fn() -> bool,
    attempt: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let pause = |error: &Error, pause: Duration| {
        tracing::warn!(?pause, %error, "the log is busy");
        std::thread::sleep(pause);
        going_on()
    };
    retry(BUSY, Error::disposition, pause, attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { first: Duration::from_millis(10), longest: Duration::from_millis(35), attempts: 4 };

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let pauses: Vec<_> = (1..=5).map(|failed| BACKOFF.pause(failed).map(|p| p.as_millis())).collect();
        assert_eq!(pauses, [Some(10), Some(20), Some(35), Some(35), None]);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let mut calls = 0;
        let result = retry(
            BACKOFF,
            |d| *d,
            |_, _| true,
            || {
                calls += 1;
                if calls < 3 { Err(Disposition::Transient) } else { Err::<(), _>(Disposition::Fatal) }
            },
        );
        assert_eq!((result, calls), (Err(Disposition::Fatal), 3));
    }

    #[test]
    fn a_shutdown_cuts_in() {
        let mut calls = 0;
        let result = retry(
            BACKOFF,
            |d| *d,
            |_, _| false,
            || {
                calls += 1;
                Err::<(), _>(Disposition::Transient)
            },
        );
        assert_eq!((result, calls), (Err(Disposition::Transient), 1));
    }
}
