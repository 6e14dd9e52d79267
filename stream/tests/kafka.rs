//! The conformance suite on a real Kafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use autorma_stream::Log;
use autorma_stream::conformance::Open;
use autorma_stream::kafka::{Kafka, KafkaConfig};

/// Each log has a prefix of its own on the one cluster of this process.
fn cluster() -> Open {
    static LOGS: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("log{}.", LOGS.fetch_add(1, Ordering::Relaxed));
    let config = KafkaConfig {
        prefix,
        // A dead member's partitions must go to the others within a test's patience.
        session_timeout: Duration::from_secs(3),
        ..KafkaConfig::new(autorma_broker::shared().bootstrap())
    };
    Arc::new(move || Arc::new(Kafka::new(config.clone()).expect("the settings are right")) as Arc<dyn Log>)
}

autorma_stream::conformance_tests!(cluster);
