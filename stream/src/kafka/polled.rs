use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    producer: Arc<BaseProducer<C>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<C: ProducerContext + 'static> Polled<C> {
    pub(super) fn new(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let producer = Arc::new(BaseProducer::from_config_and_context(config, context)?);
        let ended = Arc::<AtomicBool>::default();
        let (polled, over) = (Arc::clone(&producer), Arc::clone(&ended));
        let poll = move || {
            while !over.load(Ordering::Relaxed) {
                polled.poll(LOOK);
            }
        };
        let thread = Builder::new().name("deliveries".into()).spawn(poll);
        let thread = thread.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { producer, ended, thread: Some(thread) })
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

impl<C: ProducerContext + 'static> Drop for Polled<C> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // A panic there has been told already.
        drop(self.thread.take().map(JoinHandle::join));
    }
}
