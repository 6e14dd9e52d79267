//! Events a second through the classifier with inference replaced by next to nothing: the program as it is, with a model
//! that takes means of tiny pictures.

use std::time::Instant;

use autorma_models::handmade;
use autorma_schemas::{Event, ImageEvent, Micros, sha256, topics};
use autorma_stream::kafka::Kafka;
use autorma_stream::{Append, Log as _, Transaction};

use super::Broker;
use super::pace::{PACE, middle_rate, times};
use crate::program::{Program, metrics};
use crate::report::Report;
use crate::wait::wait_at;

/// So many events, which are there before.
pub(super) fn measure(broker: &Broker<'_>, events: usize, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("{events} events without inference");
    let (home, folder) = broker.fresh("events")?;
    let log = broker.log("events")?;
    let begun = Instant::now();
    fill(&log, events)?;
    eprintln!("  produced in {:.1} s", begun.elapsed().as_secs_f64());
    let model = folder.join("model");
    handmade::write(&model, "means", &handmade::means())?;
    let arguments = ["classify", "--slot", "a", "--model", &model.to_string_lossy()];
    let classifier = Program::start(&home, &folder, &arguments, &folder)?;
    let look = || metrics(&classifier.address);
    let done = || look().filter(|it| it.sum("autorma_classifier_predictions_total") >= events as f64);
    let seen = wait_at(PACE, "all is classified", done)?;
    let transactions = seen.sum("autorma_kafka_transactions_total");
    classifier.stop()?;
    let times = times(&log, topics::PREDICTIONS, events)?;
    report.add("events_per_second", middle_rate(&times), Some("at least 10000"));
    report.add("events_a_transaction", events as f64 / transactions, None);
    Ok(())
}

fn fill(log: &Kafka, events: usize) -> anyhow::Result<()> {
    let mut producer = log.producer("filling")?;
    for first in (0..events).step_by(1000) {
        let numbers = first..events.min(first + 1000);
        producer.commit(&Transaction { appends: numbers.map(event).collect(), advance: None })?;
    }
    Ok(())
}

fn event(number: usize) -> Append {
    let picture = handmade::picture([number as u8, (number >> 8) as u8, (number >> 16) as u8]);
    let event = ImageEvent {
        event_id: format!("{number:032}"),
        sequence: number as i64,
        source: "bench".into(),
        name: format!("{number}.bmp"),
        sha256: sha256(&picture),
        length: picture.len() as i64,
        bytes: Some(picture),
        seen_at: Micros::now(),
        ..ImageEvent::default()
    };
    Append::keyed(topics::IMAGES, &event.event_id, event.encode())
}
