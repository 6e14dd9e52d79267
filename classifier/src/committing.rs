use std::time::Instant;

use autorma_schemas::Micros;
use autorma_stream::retry::patiently_while;
use autorma_stream::{
    Advance, DeadShare, Error as LogError, Log, Membership, Producer, Result as LogResult, Transaction,
    failpoint,
};

use crate::desk::{Committable, Desk};
use crate::outcome::Outcome;
use crate::{Config, Error, Metrics, history};

/// The committer's thread: outcomes and offsets go to the log together, while the next micro-batch is computed.
pub(crate) fn commit(
    desk: &Desk,
    log: &dyn Log,
    mut producer: Box<dyn Producer>,
    membership: &Membership,
    config: &Config,
    metrics: &Metrics,
) -> Result<(), Error> {
    let mut share = DeadShare::new(config.dead_share, config.dead_window);
    let begun_at = Micros::now();
    let earlier = |lacking| history::newest(log, lacking, begun_at);
    while let Some(mut committable) = desk.next_commit() {
        let outcomes = committable.outcomes.len();
        check(&mut share, &committable.outcomes, config.dead_window, earlier)?;
        let begun = Instant::now();
        failpoint::hit("classifier-before-commit");
        let committed = settle(&mut *producer, membership, &mut committable, desk)?;
        failpoint::hit("classifier-after-commit");
        desk.committed(outcomes);
        if committed {
            metrics.committed(&committable.outcomes, begun.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

/// Commits, if need be without those partitions that have gone to another member. Whether anything was left of it.
fn settle(
    producer: &mut dyn Producer,
    membership: &Membership,
    committable: &mut Committable,
    desk: &Desk,
) -> Result<bool, Error> {
    while !committable.is_empty() {
        let transaction = Transaction {
            appends: committable.outcomes.iter().map(Outcome::append).collect(),
            advance: Some(Advance {
                membership: membership.clone(),
                offsets: committable.offsets.clone(),
                assignments: committable.assignments.clone(),
            }),
        };
        match patiently_while(|| !desk.has_failed(), || producer.commit(&transaction)) {
            Ok(()) => return Ok(true),
            Err(LogError::AssignmentEnded(at)) => {
                tracing::debug!(partition = %at, "dropped outcomes: another member does them again");
                committable.drop(&at);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Whether not too many are dead, of these and of those before: `earlier` says how the newest of them ended.
fn check(
    share: &mut DeadShare,
    outcomes: &[Outcome],
    window: usize,
    earlier: impl Fn(usize) -> LogResult<Vec<bool>>,
) -> Result<(), Error> {
    for outcome in outcomes {
        let mut counted = share.count(outcome.is_dead());
        if let Some(lacking) = share.lacks() {
            counted = share.precede(earlier(lacking)?);
        }
        counted.map_err(|dead| {
            let last = match outcome {
                Outcome::DeadLetter(_, it) => format!("{}: {} ({})", it.reason, it.message, it.name),
                Outcome::Prediction(_) => String::new(),
            };
            Error::TooManyDead { dead, window, last }
        })?;
    }
    Ok(())
}
