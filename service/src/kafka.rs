//! What the clients of a Kafka cluster in this process do, as metrics.

use std::fmt;
use std::sync::Arc;

use autorma_stream::kafka::Figures;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, IntCounter, Opts};

/// `autorma_kafka_…`: transactions by outcome, rebalances, and of each client (a closed set: the slots of this process)
/// the round trip to its slowest broker, the messages that wait in it, and the brokers that it is connected to.
/// librdkafka reports every five seconds.
pub struct KafkaCollector {
    figures: Arc<Figures>,
    descriptions: Vec<Desc>,
}

impl KafkaCollector {
    /// Watches the clients.
    pub fn new(figures: Arc<Figures>) -> Self {
        let all = Families::new();
        let descriptions = all.parts().into_iter().flat_map(|part| part.desc().into_iter().cloned());
        Self { figures, descriptions: descriptions.collect() }
    }
}

/// New ones for each scrape, so that two of them don't disturb each other.
struct Families {
    transactions: CounterVec,
    rebalances: IntCounter,
    round_trip: GaugeVec,
    queued: GaugeVec,
    connected: GaugeVec,
}

impl Families {
    fn new() -> Self {
        let gauge =
            |name, help| GaugeVec::new(Opts::new(name, help), &["client"]).expect("the names are valid");
        let transactions = Opts::new("autorma_kafka_transactions_total", "Transactions, by their outcome");
        Self {
            transactions: CounterVec::new(transactions, &["outcome"]).expect("the names are valid"),
            rebalances: IntCounter::new("autorma_kafka_rebalances_total", "Partitions came or went")
                .expect("the names are valid"),
            round_trip: gauge(
                "autorma_kafka_round_trip_seconds",
                "Mean time of a request to the slowest broker",
            ),
            queued: gauge("autorma_kafka_queued_messages", "Messages that wait to be sent or to be taken"),
            connected: gauge("autorma_kafka_connected_brokers", "Brokers that the client is connected to"),
        }
    }

    fn parts(&self) -> [&dyn Collector; 5] {
        [&self.transactions, &self.rebalances, &self.round_trip, &self.queued, &self.connected]
    }
}

impl Collector for KafkaCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let all = Families::new();
        for (outcome, count) in self.figures.transactions() {
            all.transactions.with_label_values(&[outcome]).inc_by(count as f64);
        }
        all.rebalances.inc_by(self.figures.rebalances());
        for (name, client) in self.figures.clients() {
            let label = [name.as_str()];
            all.round_trip.with_label_values(&label).set(client.round_trip);
            all.queued.with_label_values(&label).set(client.queued as f64);
            all.connected.with_label_values(&label).set(client.connected as f64);
        }
        all.parts().into_iter().flat_map(|part| part.collect()).collect()
    }
}

impl fmt::Debug for KafkaCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaCollector").finish_non_exhaustive()
    }
}
