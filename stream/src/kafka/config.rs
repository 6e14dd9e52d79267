use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::figures::PACE;

/// The largest record, in bytes: photos travel in them. Topics are created with it.
pub const LARGEST: u64 = 16 << 20;

/// Where the cluster is, and how to talk to it.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `HOST:PORT`, separated by commas.
    pub brokers: String,
    /// What the names of topics, groups and transactional ids begin with on the cluster, so that several systems can
    /// share it.
    pub prefix: String,
    /// Copies of each partition in a new topic; None leaves it to the cluster.
    pub replication: Option<u16>,
    /// How long a member that says nothing counts as living.
    pub session_timeout: Duration,
    /// How long a transaction may take before the cluster undoes it: so long may one that died hide what others have
    /// written behind it.
    pub transaction_timeout: Duration,
    /// How the connection is secured; librdkafka's names.
    pub security: BTreeMap<String, String>,
    /// Further properties of librdkafka, but for those that [`guarded`] names.
    pub properties: BTreeMap<String, String>,
}

/// For clients that aren't always polled: what they say of themselves would pile up.
const SILENT: (&str, &str) = ("statistics.interval.ms", "0");

impl KafkaConfig {
    /// The cluster behind these brokers, everything else as usual.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: String::new(),
            replication: None,
            session_timeout: Duration::from_secs(10),
            transaction_timeout: Duration::from_secs(10),
            security: BTreeMap::new(),
            properties: BTreeMap::new(),
        }
    }

    /// A name as the cluster has it.
    pub(super) fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// What every client has in common. What comes later wins: properties over defaults.
    fn client(&self, name: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        let defaults = [
            ("reconnect.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "1000"),
            ("socket.connection.setup.timeout.ms", "10000"),
            ("socket.timeout.ms", "20000"),
            ("socket.keepalive.enable", "true"),
        ];
        for (key, value) in defaults {
            config.set(key, value);
        }
        config.set("statistics.interval.ms", PACE.as_millis().to_string());
        config.set("bootstrap.servers", &self.brokers).set("client.id", name);
        for (key, value) in &self.security {
            config.set(key, value);
        }
        config
    }

    /// The user's properties, and then those that nobody may change.
    fn finish(&self, mut config: ClientConfig, fixed: &[(&str, &str)]) -> ClientConfig {
        let allowed = self.properties.iter().filter(|(key, _)| guarded(key).is_none());
        for (key, value) in allowed {
            config.set(key, value);
        }
        for (key, value) in fixed {
            config.set(*key, *value);
        }
        if self.properties.contains_key("debug") {
            config.set_log_level(RDKafkaLogLevel::Debug);
        }
        config
    }

    /// A client that asks and creates. rdkafka polls no log of such a client: it would pile up.
    pub(super) fn admin(&self) -> ClientConfig {
        let mut config = self.finish(self.client("autorma"), &[SILENT]);
        config.remove("debug").set_log_level(RDKafkaLogLevel::Emerg);
        config
    }

    /// A consumer without a group, which may ask: one that reads needs the name of a group, and leaves it when it is dropped,
    /// which takes a tenth of a second.
    pub(super) fn reader(&self, committed_only: bool) -> ClientConfig {
        let mut config = self.client("autorma-reader");
        // The end of a partition is known after one wait.
        config.set("fetch.wait.max.ms", "10").set("fetch.error.backoff.ms", "100");
        config.set("queued.min.messages", "10000").set("queued.max.messages.kbytes", "8192");
        // What is queued is asked to grow again so soon. It is a second by itself, even where the queue is empty by then.
        config.set("fetch.queue.backoff.ms", "10");
        let isolation = if committed_only { "read_committed" } else { "read_uncommitted" };
        self.finish(
            config,
            &[
                SILENT,
                ("isolation.level", isolation),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("enable.partition.eof", "true"),
                ("auto.offset.reset", "earliest"),
                ("allow.auto.create.topics", "false"),
            ],
        )
    }

    /// How often a member says that it lives, and hears of rebalances.
    pub(super) fn heartbeat(&self) -> Duration {
        (self.session_timeout / 20).clamp(Duration::from_millis(100), Duration::from_secs(3))
    }

    /// A member of a group.
    pub(super) fn member(&self, group: &str, slot: &str) -> ClientConfig {
        // Whoever lists the group's members learns the process from it.
        let mut config = self.client(&format!("{slot}/{}", std::process::id()));
        let session = self.session_timeout.as_millis().to_string();
        let beat = self.heartbeat().as_millis().to_string();
        let longest_pause = (self.session_timeout.as_millis() * 2).to_string();
        config.set("heartbeat.interval.ms", beat).set("fetch.error.backoff.ms", "100");
        config.set("fetch.wait.max.ms", "200").set("queued.max.messages.kbytes", "16384");
        config.set("fetch.queue.backoff.ms", "20");
        // That records are gone which nobody has read is only a warning of librdkafka's (`unread.rs`).
        config.set_log_level(RDKafkaLogLevel::Warning);
        let group = self.full(group);
        self.finish(
            config,
            &[
                ("group.id", &group),
                ("group.instance.id", slot),
                ("partition.assignment.strategy", "cooperative-sticky"),
                ("session.timeout.ms", &session),
                ("max.poll.interval.ms", &longest_pause),
                ("isolation.level", "read_committed"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "earliest"),
                ("allow.auto.create.topics", "false"),
            ],
        )
    }

    /// A producer that writes the transactions of a slot.
    pub(super) fn producer(&self, slot: &str) -> ClientConfig {
        let mut config = self.client(slot);
        // Until the markers of the last transaction are written, the broker wants to be asked again: measured, 100 ms a
        // transaction with the default, 4 ms with this.
        config.set("retry.backoff.ms", "1").set("linger.ms", "0").set("compression.codec", "lz4");
        config.set("socket.timeout.ms", self.transaction_timeout.as_millis().min(20_000).to_string());
        config.set("message.max.bytes", LARGEST.to_string()).set("sticky.partitioning.linger.ms", "0");
        let id = self.full(slot);
        let longest = self.transaction_timeout.as_millis().to_string();
        self.finish(
            config,
            &[
                ("transactional.id", &id),
                ("transaction.timeout.ms", &longest),
                ("message.timeout.ms", &longest),
                ("enable.idempotence", "true"),
                ("acks", "all"),
                ("partitioner", "murmur2_random"),
                ("allow.auto.create.topics", "false"),
            ],
        )
    }
}

/// Why librdkafka knows no such property, or doesn't take the value for it; None if it does.
pub fn unfit(property: &str, value: &str) -> Option<String> {
    match ClientConfig::new().set(property, value).create_native_config().err()? {
        KafkaError::ClientConfig(_, why, ..) => Some(why),
        other => Some(other.to_string()),
    }
}

/// Why a property of librdkafka isn't for the user; None if it is.
pub fn guarded(property: &str) -> Option<&'static str> {
    Some(match property {
        "enable.auto.commit" | "enable.auto.offset.store" | "auto.commit.interval.ms" => {
            "offsets are committed with the results, in one transaction"
        }
        "isolation.level" => "what was not committed must not be read",
        "acks"
        | "request.required.acks"
        | "enable.idempotence"
        | "max.in.flight"
        | "max.in.flight.requests.per.connection"
        | "enable.gapless.guarantee" => "a record that was acknowledged must not be lost or doubled",
        "transactional.id" | "group.id" | "group.instance.id" => {
            "it follows from the prefix and the slot, and fences zombies"
        }
        "transaction.timeout.ms" | "message.timeout.ms" | "delivery.timeout.ms" => {
            "log.kafka.transaction_timeout sets it"
        }
        "session.timeout.ms" | "max.poll.interval.ms" => "log.kafka.session_timeout sets it",
        "group.protocol" | "group.remote.assignor" | "partition.assignment.strategy" => {
            "partitions are handed over while the others go on"
        }
        "enable.partition.eof" | "auto.offset.reset" | "allow.auto.create.topics" => {
            "stages rely on it to neither miss nor invent records"
        }
        "partitioner" => "the records of one key must stay in order, whoever writes them",
        "client.id" => "it tells the group, and `autorma status`, whose client this is",
        "statistics.interval.ms" => "readiness and metrics follow from what clients tell",
        "bootstrap.servers" | "metadata.broker.list" => "log.kafka.brokers sets it",
        "security.protocol" | "sasl.mechanism" | "sasl.mechanisms" | "sasl.username" | "sasl.password" => {
            "log.kafka.security, .mechanism, .username and .password set it"
        }
        _ => return None,
    })
}

impl fmt::Debug for KafkaConfig {
    /// Without the values that may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_guarantee_stays() {
        let mut config = KafkaConfig::new("127.0.0.1:9092");
        for key in ["enable.auto.commit", "isolation.level", "acks", "linger.ms"] {
            config.properties.insert(key.into(), "7".into());
        }
        let member = config.member("g", "a");
        assert_eq!(member.get("enable.auto.commit"), Some("false"));
        assert_eq!(member.get("isolation.level"), Some("read_committed"));
        let producer = config.producer("a");
        assert_eq!(producer.get("acks"), Some("all"));
        assert_eq!(producer.get("linger.ms"), Some("7"));
    }

    #[test]
    fn what_clients_are_known_by_and_tell_stays() {
        let mut config = KafkaConfig::new("127.0.0.1:9092");
        for key in ["client.id", "statistics.interval.ms"] {
            assert!(guarded(key).is_some(), "{key}");
            config.properties.insert(key.into(), "0".into());
        }
        let process = format!("a/{}", std::process::id());
        assert_eq!(config.member("g", "a").get("client.id"), Some(&*process));
        assert_eq!(config.producer("a").get("statistics.interval.ms"), Some("5000"));
    }

    #[test]
    fn a_client_that_nobody_hears_logs_nothing() {
        let mut config = KafkaConfig::new("127.0.0.1:9092");
        config.properties.insert("debug".into(), "all".into());
        assert_eq!(config.member("g", "a").get("debug"), Some("all"));
        let admin = config.admin();
        assert_eq!((admin.get("debug"), admin.log_level as i32), (None, 0));
    }

    #[test]
    fn what_librdkafka_doesn_t_take_is_told() {
        assert_eq!(unfit("linger.ms", "5"), None);
        for (property, value) in
            [("socket.timeout.ms", "soon"), ("socket.timeout.ms", "-1"), ("lingerms", "5")]
        {
            let why = unfit(property, value).unwrap();
            assert!(why.contains(property), "{property}={value}: {why}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut config = KafkaConfig::new("127.0.0.1:9092");
        config.security.insert("sasl.password".into(), "hunter2".into());
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
