//! From the SIGKILL of a classifier to the first commit of whoever does its work from then on.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use autorma_stream::{Log as _, NextOffset, TopicPartition};

use super::Broker;
use super::scaling::{classifier, fill, predictions};
use crate::program::Program;
use crate::report::{Report, median};
use crate::wait::wait_at;

const GROUP: &str = autorma_classifier::GROUP;
/// How exactly the time until somebody else takes over is measured.
const PACE: Duration = Duration::from_millis(20);

/// Each `rounds` times.
pub(super) fn measure(
    broker: &Broker<'_>,
    photos: &Path,
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (mut same, mut other) = (vec![], vec![]);
    for round in 1..=rounds {
        eprintln!("round {round}: takeover by a successor, and by another");
        same.push(by_successor(broker, photos, &format!("successor-{round}"))?);
        other.push(by_another(broker, photos, &format!("another-{round}"))?);
    }
    report.add("takeover_by_successor_seconds", median(&mut same), None);
    report.add("takeover_of_a_lost_slot_seconds", median(&mut other), None);
    Ok(())
}

/// It is started, with the same slot, at the moment of the kill.
fn by_successor(broker: &Broker<'_>, photos: &Path, name: &str) -> anyhow::Result<f64> {
    let (home, folder) = broker.fresh(name)?;
    fill(&home, &folder, photos)?;
    let first = classifier(&home, &folder, "a")?;
    works(&first)?;
    let killed = kill(first)?;
    let successor = classifier(&home, &folder, "a")?;
    works(&successor)?;
    let seconds = killed.elapsed().as_secs_f64();
    successor.stop()?;
    Ok(seconds)
}

/// It has work of its own, and takes over when the session of the dead one has ended.
fn by_another(broker: &Broker<'_>, photos: &Path, name: &str) -> anyhow::Result<f64> {
    let (home, folder) = broker.fresh(name)?;
    fill(&home, &folder, photos)?;
    let log = broker.log(name)?;
    let (first, other) = (classifier(&home, &folder, "a")?, classifier(&home, &folder, "b")?);
    works(&first)?;
    works(&other)?;
    let of_first = || -> Option<Vec<TopicPartition>> {
        let group = log.groups().ok()?.into_iter().find(|group| group.name == GROUP)?;
        let holds = |slot: &str| group.members.iter().find(|it| it.slot == slot && !it.partitions.is_empty());
        holds("b").and(holds("a")).map(|member| member.partitions.clone())
    };
    let partitions = wait_at(PACE, "both have partitions", of_first)?;
    let killed = kill(first)?;
    // The broker doesn't tell while it doesn't know what becomes of the dead one's transaction.
    let offsets = || -> Option<Vec<NextOffset>> {
        let committed = log.committed(GROUP).ok()?;
        Some(partitions.iter().map(|at| committed.get(at).copied().unwrap_or_default()).collect())
    };
    let before = wait_at(PACE, "the group's offsets are known", offsets)?;
    wait_at(PACE, "its partitions go on", || offsets().filter(|now| *now != before))
        .with_context(|| format!("{partitions:?} at {before:?}"))?;
    let seconds = killed.elapsed().as_secs_f64();
    other.stop()?;
    Ok(seconds)
}

/// Waits for its first commit.
fn works(classifier: &Program) -> anyhow::Result<()> {
    wait_at(Duration::from_millis(5), "a classifier works", || (predictions(classifier) > 0.0).then_some(()))
}

/// SIGKILL. Returns when.
fn kill(mut program: Program) -> anyhow::Result<Instant> {
    let now = Instant::now();
    program.child.kill()?;
    program.child.wait()?;
    Ok(now)
}
