//! The metrics of every stage in one registry.

use std::sync::Arc;

use autorma_schemas::topics;
use autorma_service::kafka::KafkaCollector;
use autorma_service::lag::LagCollector;
use prometheus::Registry;

use crate::home::Home;

/// What the stages of this process count.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    pub(crate) ingest: autorma_ingest::Metrics,
    pub(crate) classifier: autorma_classifier::Metrics,
    pub(crate) sink: autorma_sink::Metrics,
}

/// The groups of the stages with the topics that they read.
pub(crate) const GROUPS: [(&str, &[&str]); 2] =
    [(autorma_classifier::GROUP, &[topics::IMAGES]), (autorma_sink::GROUP, &autorma_sink::TOPICS)];

impl Metrics {
    pub(crate) fn new(home: &Home) -> anyhow::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(LagCollector::new(Arc::clone(&home.log), &GROUPS)))?;
        if let Some(kafka) = &home.kafka {
            registry.register(Box::new(KafkaCollector::new(kafka.figures())))?;
        }
        autorma_service::process::register(&registry)?;
        Ok(Self {
            ingest: autorma_ingest::Metrics::new(&registry)?,
            classifier: autorma_classifier::Metrics::new(&registry)?,
            sink: autorma_sink::Metrics::new(&registry)?,
            registry,
        })
    }
}
