use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::Cluster;

/// How long the reason why a connection has gone may come after the news that it has.
const REASON: Duration = Duration::from_millis(500);

/// Nobody polls the clients that only ask: what they say of their connections waits until they are listened to, and with
/// `debug` set it would soon be much.
impl Cluster {
    /// Lets them say what has piled up.
    pub(super) fn hear_out(&self) {
        for client in [&self.asking, &self.asking_uncommitted] {
            client.context().hear_out(client);
        }
        for client in self.asking_groups.lock().values() {
            client.context().hear_out(client);
        }
        self.reader.hear_out();
    }

    /// Lets them say why something has failed. With `lost`, a connection has gone: what a request says of that comes
    /// before the reason, without which a wrong password looks like a broker that is away.
    pub(super) fn listen(&self, lost: bool) {
        let begun = Instant::now();
        self.hear_out();
        while lost && self.contact.cause().is_none() && begun.elapsed() < REASON {
            drop(self.asking.poll(REASON.saturating_sub(begun.elapsed())));
            self.hear_out();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::thread::spawn;

    use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

    use super::*;
    use crate::kafka::{Kafka, KafkaConfig};

    /// A connection that was lost and stands again isn't why something else fails later. The loss stands behind lines of
    /// the log here.
    #[test]
    fn what_was_lost_before_something_worked_is_no_reason_any_more() {
        let broker = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = KafkaConfig::new(broker.local_addr().unwrap().to_string());
        config.properties.insert("debug".into(), "broker".into());
        // It closes all connections first, and none later.
        let (is_open, (stand, standing)) = (Arc::<AtomicBool>::default(), channel());
        let opened = Arc::clone(&is_open);
        spawn(move || {
            let stays = |_: &_| opened.load(Ordering::Relaxed);
            broker.incoming().filter(stays).try_for_each(|connection| stand.send(connection))
        });
        let log = Kafka::new(config).unwrap();
        let cluster = &log.0;
        // Not by way of `check`, which listens.
        assert!(cluster.asking.fetch_metadata(None, Duration::from_secs(1)).is_err());
        is_open.store(true, Ordering::Relaxed);
        let connections = [(); 2].map(|()| standing.recv_timeout(Duration::from_secs(60)).unwrap());

        cluster.check(Ok(()), "asking").unwrap();
        for client in [&cluster.asking, &cluster.asking_uncommitted] {
            assert!((0..1000).all(|_| client.poll(Duration::ZERO).is_none()), "something has piled up");
        }
        let failed = cluster.check(Err::<(), _>(KafkaError::Global(Code::OperationTimedOut)), "asking");
        assert_eq!(cluster.contact.cause(), None, "{failed:?}");
        drop(connections);
    }
}
