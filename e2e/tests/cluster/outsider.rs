//! Somebody else's program on the same cluster: it writes into `images`, and reads what comes out.

use std::fs;
use std::path::Path;

use autorma_broker::Cluster;
use autorma_e2e::{Sandbox, eventually};
use autorma_schemas::{Event, ImageEvent, Micros, sha256, topics};
use autorma_stream::kafka::{Kafka, KafkaConfig};
use autorma_stream::{Append, Bounds, Log, NextOffset, Producer, StoredRecord, Transaction};

/// The program, with a connection.
pub(crate) struct Outsider {
    kafka: Kafka,
    producer: Box<dyn Producer>,
}

impl Outsider {
    /// One that shares the sandbox's topics.
    pub(crate) fn of(sandbox: &Sandbox, cluster: &Cluster) -> Self {
        let prefix = sandbox.prefix();
        let kafka = Kafka::new(KafkaConfig { prefix, ..KafkaConfig::new(cluster.bootstrap()) }).unwrap();
        let producer = kafka.producer("outsider").unwrap();
        Self { kafka, producer }
    }

    /// Writes these, all at once.
    pub(crate) fn send(&mut self, appends: Vec<Append>) {
        self.producer.commit(&Transaction { appends, advance: None }).unwrap();
    }

    /// Everything that was committed to a topic.
    pub(crate) fn read(&self, topic: &str) -> Vec<StoredRecord> {
        let read = |it: &Bounds| self.kafka.read(&it.at, NextOffset::START, 1_000_000).unwrap();
        self.kafka.bounds(topic).unwrap().iter().flat_map(read).collect()
    }

    /// The events of a topic, once there are so many.
    pub(crate) fn events<E: Event>(&self, topic: &str, count: usize) -> Vec<E> {
        let records = eventually(&format!("{count} records in {topic}"), || {
            Some(self.read(topic)).filter(|records| records.len() >= count)
        });
        assert_eq!(records.len(), count, "{topic}");
        records.iter().map(|record| E::decode(&record.value).unwrap()).collect()
    }
}

/// An event of no run that holds the photo itself.
pub(crate) fn inline(photo: &Path, name: &str) -> ImageEvent {
    with_content(fs::read(photo).unwrap(), name)
}

/// The same with this content.
pub(crate) fn with_content(content: Vec<u8>, name: &str) -> ImageEvent {
    let attributes = [("order".to_owned(), format!("of {name}"))].into();
    ImageEvent {
        event_id: format!("outside-{name}"),
        run_id: None,
        sequence: 0,
        source: "outsider".into(),
        name: name.into(),
        uri: None,
        sha256: sha256(&content),
        length: content.len() as i64,
        bytes: Some(content),
        seen_at: Micros::now(),
        attributes,
    }
}

/// An event as it goes to `images`.
pub(crate) fn append(event: &ImageEvent) -> Append {
    Append::keyed(topics::IMAGES, &event.event_id, event.encode())
}

/// Any bytes as they go to `images`.
pub(crate) fn raw(value: Vec<u8>) -> Append {
    Append { topic: topics::IMAGES.into(), value, ..Append::default() }
}
