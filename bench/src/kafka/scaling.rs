//! Two classifiers ÷ one, each with one thread for decoding and inference.

use std::path::Path;

use anyhow::ensure;
use autorma_schemas::topics;

use super::Broker;
use super::pace::{PACE, middle_rate, times};
use crate::home::Home;
use crate::program::{Program, metrics};
use crate::report::{Report, median};
use crate::wait::wait_at;

/// One and two in turn, `rounds` times.
pub(super) fn measure(
    broker: &Broker<'_>,
    large: &Path,
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (mut one, mut two) = (vec![], vec![]);
    for round in 1..=rounds {
        eprintln!("round {round}: one classifier, two classifiers");
        one.push(rate(broker, large, &format!("one-{round}"), &["a"])?);
        two.push(rate(broker, large, &format!("two-{round}"), &["a", "b"])?);
    }
    let (one, two) = (median(&mut one), median(&mut two));
    report.add("one_classifier_images_per_second", one, None);
    report.add("two_classifiers_images_per_second", two, None);
    report.add("two_classifiers_to_one", two / one, Some("at least 1.8"));
    Ok(())
}

/// Publishes the photos and waits until all are in the log.
pub(super) fn fill(home: &Home, folder: &Path, photos: &Path) -> anyhow::Result<()> {
    let images = std::fs::read_dir(photos)?.count();
    let ingest = Program::start(home, folder, &["ingest"], photos)?;
    let published = || Some(metrics(&ingest.address)?.sum("autorma_ingest_published_total"));
    wait_at(PACE, "all is published", || published().filter(|count| *count >= images as f64))?;
    ingest.stop()
}

/// Starts a classifier with that slot and one thread.
pub(super) fn classifier(home: &Home, folder: &Path, slot: &str) -> anyhow::Result<Program> {
    let arguments = ["classify", "--slot", slot, "--set", "classifier.workers=1"];
    Program::start(home, folder, &arguments, folder)
}

/// How many predictions a classifier has committed.
pub(super) fn predictions(classifier: &Program) -> f64 {
    metrics(&classifier.address).map_or(0.0, |it| it.sum("autorma_classifier_predictions_total"))
}

/// Images a second of these classifiers, once all have joined, and before one has come to the end of its share.
fn rate(broker: &Broker<'_>, photos: &Path, name: &str, slots: &[&str]) -> anyhow::Result<f64> {
    let (home, folder) = broker.fresh(name)?;
    let images = std::fs::read_dir(photos)?.count();
    fill(&home, &folder, photos)?;
    let started = slots.iter().map(|slot| classifier(&home, &folder, slot));
    let classifiers: Vec<_> = started.collect::<anyhow::Result<_>>()?;
    let mut shares = Vec::new();
    wait_at(PACE, "all is classified", || {
        shares = classifiers.iter().map(predictions).collect();
        (shares.iter().sum::<f64>() >= images as f64).then_some(())
    })?;
    eprintln!("  images of each: {shares:?}");
    // Whoever joined late had less time than is measured.
    let fair = images as f64 / slots.len() as f64 / 2.0;
    ensure!(
        shares.iter().all(|share| *share >= fair),
        "{images} photos are too few for {slots:?}: {shares:?}"
    );
    classifiers.into_iter().try_for_each(Program::stop)?;
    Ok(middle_rate(&times(&broker.log(name)?, topics::PREDICTIONS, images)?))
}
