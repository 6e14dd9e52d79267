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
    let bare = images / median(&mut all.bare);
    let embedded = images / median(&mut all.embedded);
    let kafka = images / median(&mut all.kafka);
    report.add("bare_images_per_second", bare, None);
    report.add("embedded_images_per_second", embedded, None);
    report.add("kafka_images_per_second", kafka, None);
    report.add("kafka_to_bare", kafka / bare, Some("at least 0.90"));
    report.add("kafka_to_embedded", kafka / embedded, Some("at least 0.95"));
    report.add("bare_ten_photos_seconds", median(&mut fixed.bare), None);
    report.add("embedded_ten_photos_seconds", median(&mut fixed.embedded), None);
    report.add("kafka_ten_photos_seconds", median(&mut fixed.kafka), None);
    Ok(())
}

impl Seconds {
    fn round(&mut self, broker: &Broker<'_>, photos: &Path, name: &str) -> anyhow::Result<()> {
        eprintln!("{name}: bare loop, embedded log, Kafka");
        self.bare.push(run_bare(photos)?.0);
        let embedded = broker.folder.join(format!("{name}-embedded"));
        self.embedded.push(run(&Home::Embedded, photos, &embedded)?.0);
        let (home, folder) = broker.fresh(name)?;
        self.kafka.push(run(&home, photos, &folder)?.0);
        Ok(())
    }
}
