use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::Statistics;

/// How often a client tells of itself.
pub(super) const PACE: Duration = Duration::from_secs(5);
/// After how long one that is silent counts as ended. A member tells only while it is polled.
const SILENCE: Duration = Duration::from_secs(3 * PACE.as_secs());

/// What happened on a cluster's clients in this process, for metrics.
#[derive(Debug, Default)]
pub struct Figures {
    pub(super) committed: AtomicU64,
    pub(super) aborted: AtomicU64,
    pub(super) fenced: AtomicU64,
    pub(super) rebalances: AtomicU64,
    /// With the time when each has told last.
    clients: Mutex<BTreeMap<String, (Instant, Client)>>,
}

/// What librdkafka says of one client, every five seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Client {
    /// The mean time of a request to the slowest broker that is up, in seconds.
    pub round_trip: f64,
    /// Messages that wait: to be sent, or to be taken by the application.
    pub queued: u64,
    /// Brokers that the client is connected to.
    pub connected: u64,
}

impl Figures {
    /// Transactions that were committed, aborted, and refused because the slot has another owner.
    pub fn transactions(&self) -> [(&'static str, u64); 3] {
        let all = [("committed", &self.committed), ("aborted", &self.aborted), ("fenced", &self.fenced)];
        all.map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }

    /// How often partitions came or went.
    pub fn rebalances(&self) -> u64 {
        self.rebalances.load(Ordering::Relaxed)
    }

    /// The clients that have reported lately, by librdkafka's name of them.
    pub fn clients(&self) -> BTreeMap<String, Client> {
        self.clients_at(Instant::now())
    }

    /// The same, at a time.
    fn clients_at(&self, now: Instant) -> BTreeMap<String, Client> {
        let mut clients = self.clients.lock();
        clients.retain(|_, (told, _)| now.saturating_duration_since(*told) <= SILENCE);
        clients.iter().map(|(name, (_, client))| (name.clone(), client.clone())).collect()
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What a client tells of itself now.
    pub(super) fn note(&self, statistics: &Statistics, now: Instant) {
        let up = || statistics.brokers.values().filter(|broker| broker.state == "UP");
        let round_trips = up().filter_map(|broker| Some(broker.rtt.as_ref()?.avg));
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
        let fetched: i64 = partitions.map(|partition| partition.fetchq_cnt.max(0)).sum();
        let client = Client {
            round_trip: round_trips.max().unwrap_or(0) as f64 / 1e6,
            queued: statistics.msg_cnt + fetched as u64,
            connected: up().count() as u64,
        };
        // The number at the end of `slot/process#producer-3` is of the instance.
        let name = statistics.name.split('#').next().unwrap_or_default();
        let name = name.split('/').next().unwrap_or_default().to_owned();
        let mut clients = self.clients.lock();
        clients.insert(format!("{name}-{}", statistics.client_type), (now, client));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or a process would count as connected for as long as it lives.
    #[test]
    fn a_client_that_has_ended_is_told_of_no_longer() {
        let (figures, begun) = (Figures::default(), Instant::now());
        let (name, client_type) = ("a#producer-1".into(), "producer".into());
        figures.note(&Statistics { name, client_type, ..Statistics::default() }, begun);
        let known = BTreeMap::from([("a-producer".to_owned(), Client::default())]);
        assert_eq!(figures.clients_at(begun + PACE * 2), known);
        assert_eq!(figures.clients_at(begun + PACE * 4), BTreeMap::new());
    }
}
