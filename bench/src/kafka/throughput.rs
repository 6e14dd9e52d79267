//! Pipeline on Kafka ÷ bare loop, and ÷ the pipeline on the embedded log.

use std::path::Path;

use super::Broker;
use crate::home::Home;
use crate::photos;
use crate::report::{Report, median};
use crate::throughput::{run, run_bare};

/// So few photos that a run of them costs what every run costs.
const FEW: usize = 10;

/// Seconds of each round.
#[derive(Default)]
struct Seconds {
    bare: Vec<f64>,
    embedded: Vec<f64>,
    kafka: Vec<f64>,
}

/// All photos and a few, in turn, `rounds` times.
pub(super) fn measure(
    broker: &Broker<'_>,
    large: &Path,
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let images = std::fs::read_dir(large)?.count() as f64;
    let few = photos::names(large, broker.folder, FEW)?;
    let (mut all, mut fixed) = (Seconds::default(), Seconds::default());
    for round in 1..=rounds {
        all.round(broker, large, &format!("round-{round}"))?;
        fixed.round(broker, &few, &format!("few-{round}"))?;
    }
    // Round by round: the machine's own speed changes more from one round to the next than within one.
    let mut to_bare = ratios(&all.bare, &all.kafka);
    let mut to_embedded = ratios(&all.embedded, &all.kafka);
    report.add("bare_images_per_second", images / median(&mut all.bare), None);
    report.add("embedded_images_per_second", images / median(&mut all.embedded), None);
    report.add("kafka_images_per_second", images / median(&mut all.kafka), None);
    report.add("kafka_to_bare", median(&mut to_bare), Some("at least 0.90"));
    report.add("kafka_to_embedded", median(&mut to_embedded), Some("at least 0.95"));
    report.add("bare_ten_photos_seconds", median(&mut fixed.bare), None);
    report.add("embedded_ten_photos_seconds", median(&mut fixed.embedded), None);
    report.add("kafka_ten_photos_seconds", median(&mut fixed.kafka), None);
    Ok(())
}

impl Seconds {
    fn round(&mut self, broker: &Broker<'_>, photos: &Path, name: &str) -> anyhow::Result<()> {
        let bare = run_bare(photos)?.0;
        let embedded = run(&Home::Embedded, photos, &broker.folder.join(format!("{name}-embedded")), &[])?;
        let (home, folder) = broker.fresh(name)?;
        let kafka = run(&home, photos, &folder, &[])?;
        eprintln!("{name}: bare loop {bare:.2} s, embedded log {embedded:.2} s, Kafka {kafka:.2} s");
        self.bare.push(bare);
        self.embedded.push(embedded);
        self.kafka.push(kafka);
        Ok(())
    }
}

/// How many times faster the second is, round by round.
fn ratios(first: &[f64], second: &[f64]) -> Vec<f64> {
    first.iter().zip(second).map(|(first, second)| first / second).collect()
}
