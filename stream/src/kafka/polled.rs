use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, ProducerContext};

/// How long the thread may go without looking whether to end. The tenth beyond whole milliseconds is left when librdkafka
/// has waited for these: rdkafka waits for the rest of a millisecond without pausing.
const LOOK: Duration = Duration::from_micros(25_100);

/// A producer that a thread of its own polls, so that calls which wait for deliveries end. rdkafka's `ThreadedProducer`
/// does the same, at the price of 1 % of a processor each while nothing happens, and of 50 ms to end.
pub(super) struct Polled<C: ProducerContext + 'static> {
    /// Let go of before the thread is waited for.
    producer: Arc<BaseProducer<C>>,
    _polling: Polling<C>,
}

/// The thread. It polls as long as anybody else holds the producer: what that says of itself would pile up.
struct Polling<C: ProducerContext + 'static> {
    producer: Weak<BaseProducer<C>>,
    thread: Option<JoinHandle<()>>,
}

impl<C: ProducerContext + 'static> Polled<C> {
    pub(super) fn new(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let producer = Arc::new(BaseProducer::from_config_and_context(config, context)?);
        let polled = Arc::clone(&producer);
        let poll = move || {
            while Arc::strong_count(&polled) > 1 {
                polled.poll(LOOK);
            }
        };
        let thread = Builder::new().name("deliveries".into()).spawn(poll);
        let thread = thread.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        let polling = Polling { producer: Arc::downgrade(&producer), thread: Some(thread) };
        Ok(Self { producer, _polling: polling })
    }

    /// The producer for a thread that may outlast this.
    pub(super) fn shared(&self) -> Arc<BaseProducer<C>> {
        Arc::clone(&self.producer)
    }
}

impl<C: ProducerContext + 'static> Deref for Polled<C> {
    type Target = BaseProducer<C>;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl<C: ProducerContext + 'static> Drop for Polling<C> {
    /// Waits for the thread, and with it for the client's end, unless somebody holds the producer still, perhaps for ever.
    fn drop(&mut self) {
        if self.producer.strong_count() <= 1 {
            // A panic there has been told already.
            drop(self.thread.take().map(JoinHandle::join));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use rdkafka::ClientContext;
    use rdkafka::producer::DeliveryResult;

    use super::*;

    /// Counts how often the client has told of itself.
    struct Counter(Arc<AtomicUsize>);

    impl ClientContext for Counter {
        fn stats_raw(&self, _: &[u8]) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl ProducerContext for Counter {
        type DeliveryOpaque = ();

        fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
    }

    fn eventually(what: &str, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_producer_that_is_left_to_somebody_else_is_polled_until_it_is_let_go_of() {
        let told = Arc::<AtomicUsize>::default();
        let mut config = ClientConfig::new();
        // Nobody is there.
        config.set("bootstrap.servers", "127.0.0.1:1").set("statistics.interval.ms", "10");
        let polled = Polled::new(&config, Counter(Arc::clone(&told))).unwrap();
        let held = polled.shared();
        drop(polled);
        let before = told.load(Ordering::Relaxed);
        eventually("it is polled still", || told.load(Ordering::Relaxed) > before + 5);
        drop(held);
        eventually("it ends", || Arc::strong_count(&told) == 1);
    }
}
