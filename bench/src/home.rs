//! Where the program's log is.

/// In the program's data folder, or on a cluster under a prefix.
#[derive(Debug, Clone)]
pub(crate) enum Home {
    Embedded,
    Kafka { brokers: String, prefix: String },
}

impl Home {
    /// As the program wants it in its environment.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        match self {
            Home::Embedded => vec![("AUTORMA_LOG_KIND", "embedded".into())],
            Home::Kafka { brokers, prefix } => vec![
                ("AUTORMA_LOG_KIND", "kafka".into()),
                ("AUTORMA_LOG_KAFKA_BROKERS", brokers.clone()),
                ("AUTORMA_LOG_KAFKA_PREFIX", prefix.clone()),
            ],
        }
    }
}
