//! The log on a Kafka cluster, through librdkafka: for those who outgrow one machine.
//!
//! What the interface calls a slot is Kafka's static membership (`group.instance.id`) and transactional id, so that a
//! successor has its dead predecessor's partitions at once, and fences it. Partitions move by cooperative rebalances
//! (`rebalancing.rs`); a commit is a transaction that carries the group's generation (`producer.rs`), so that a zombie's
//! is refused by the broker. Everything reads only what was committed.

mod admin;
mod config;
mod consumer;
mod contact;
mod errors;
mod figures;
mod group_list;
mod known;
mod listening;
mod members;
mod message;
mod offsets;
mod orphans;
mod polled;
mod producer;
mod reader;
mod rebalancing;
mod unread;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Builder;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::admin::AdminClient;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::{
    Bounds, Consumer, Error, Group, Housekeeping, Log, NextOffset, Producer, Rebalance, Result, StoredRecord,
    Subscription, Topic, TopicPartition,
};
pub use admin::Found;
pub use config::{KafkaConfig, LARGEST, guarded, unfit};
use contact::{Contact, Ear};
pub use figures::{Client, Figures};
use known::Known;
use reader::Reader;

/// How long one request may take before it is tried again or given up.
const REQUEST: Duration = Duration::from_secs(5);
/// The same when the process is ending and has waited long enough.
const HURRIED: Duration = Duration::from_millis(500);

/// The log on a cluster. Its clones are handles on the same clients.
#[derive(Clone)]
pub struct Kafka(Arc<Cluster>);

/// A client that asks about offsets and reads nothing.
type Asking = Arc<BaseConsumer<Ear>>;

/// What the clients of one process share.
pub(crate) struct Cluster {
    config: KafkaConfig,
    contact: Arc<Contact>,
    figures: Arc<Figures>,
    /// Asks; it is in no group and reads nothing.
    asking: BaseConsumer<Ear>,
    /// Asks for the ends that open transactions haven't reached yet.
    asking_uncommitted: BaseConsumer<Ear>,
    /// By group: Kafka tells a group's offsets only to its own. With `true`, they wait for open transactions.
    asking_groups: Mutex<BTreeMap<(String, bool), Asking>>,
    /// Creates topics and describes them.
    admin: Mutex<Option<Arc<AdminClient<Ear>>>>,
    known: Known,
    reader: Reader,
    identity: OnceLock<String>,
    hurry: AtomicBool,
}

impl Kafka {
    /// A handle on the cluster. Nothing is sent yet, so a cluster that is away is found out later.
    pub fn new(config: KafkaConfig) -> Result<Self> {
        let (contact, figures) = (Arc::<Contact>::default(), Arc::<Figures>::default());
        let ear = || Ear::new(Arc::clone(&contact), Arc::clone(&figures));
        let client = |committed| {
            let config = config.reader(committed);
            config.create_with_context::<_, BaseConsumer<Ear>>(ear()).map_err(|error| refused(&error))
        };
        let (asking, asking_uncommitted) = (client(true)?, client(false)?);
        Ok(Self(Arc::new(Cluster {
            contact: Arc::clone(&contact),
            figures: Arc::clone(&figures),
            asking,
            asking_uncommitted,
            asking_groups: Mutex::default(),
            admin: Mutex::default(),
            known: Known::default(),
            reader: Reader::default(),
            identity: OnceLock::new(),
            hurry: AtomicBool::new(false),
            config,
        })))
    }

    /// For how long nothing that was asked of the cluster has worked, while no client is connected to a broker: one that
    /// has died among others is no outage. Clients tell their connections every five seconds.
    pub fn out_of_reach(&self) -> Option<Duration> {
        let is_connected = || self.0.figures.clients().values().any(|client| client.connected > 0);
        self.0.contact.out().filter(|_| !is_connected())
    }

    /// Whether the cluster answers.
    pub fn reach(&self) -> Result<()> {
        let answer = self.0.asking.fetch_metadata(Some(&self.0.config.full("reach")), self.0.patience());
        self.0.check(answer.map(drop), "asking for metadata")
    }

    /// What happened on the clients of this process, for metrics.
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.0.figures)
    }

    /// How the topics are on the cluster; None for one that isn't there.
    pub fn inspect(&self, topics: &[Topic]) -> Result<Vec<Option<Found>>> {
        admin::inspect(&self.0, topics)
    }
}

impl Drop for Cluster {
    /// All at once: each takes a tenth of a second. Where the system gives no thread, one after the other.
    fn drop(&mut self) {
        let groups = std::mem::take(&mut self.asking_groups).into_inner();
        let (reader, admin) = (std::mem::take(&mut self.reader), std::mem::take(&mut self.admin));
        std::thread::scope(|scope| {
            drop(Builder::new().spawn_scoped(scope, move || drop(reader)));
            drop(Builder::new().spawn_scoped(scope, move || drop(admin)));
            for client in groups.into_values() {
                drop(Builder::new().spawn_scoped(scope, move || drop(client)));
            }
        });
    }
}

impl Cluster {
    /// How messages name it.
    fn place(&self) -> String {
        format!("kafka at {}", self.config.brokers)
    }

    fn ear(&self) -> Ear {
        Ear::new(Arc::clone(&self.contact), Arc::clone(&self.figures))
    }

    /// The result of what only this process has done, as ours.
    fn made<T>(&self, result: rdkafka::error::KafkaResult<T>, doing: &str) -> Result<T> {
        result.map_err(|error| errors::error(self, doing, &error))
    }

    /// The cluster's answer as ours; that something worked is news to the contact.
    fn check<T>(&self, result: rdkafka::error::KafkaResult<T>, doing: &str) -> Result<T> {
        match result {
            Ok(done) => {
                // What was lost before is no reason for what fails later.
                self.hear_out();
                self.contact.works();
                Ok(done)
            }
            Err(error) => {
                self.listen(error.rdkafka_error_code().is_some_and(errors::is_passing));
                Err(errors::error(self, doing, &error))
            }
        }
    }

    /// A client that may ask for the group's offsets. It doesn't join. One that is to be `settled` has no answer while an
    /// open transaction holds one of them; the other says what was committed before.
    fn group_client(&self, group: &str, settled: bool) -> Result<Asking> {
        let mut clients = self.asking_groups.lock();
        let key = (group.to_owned(), settled);
        if let Some(client) = clients.get(&key) {
            return Ok(Arc::clone(client));
        }
        let mut config = self.config.reader(settled);
        config.set("group.id", self.config.full(group));
        let client =
            Arc::new(self.made(config.create_with_context(self.ear()), "asking for a group's offsets")?);
        clients.insert(key, Arc::clone(&client));
        Ok(client)
    }

    /// How long a request may take now.
    fn patience(&self) -> Duration {
        if self.is_in_a_hurry() { HURRIED } else { REQUEST }
    }

    /// Whether nothing is waited for any more.
    fn is_in_a_hurry(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }

    fn given_up(&self) -> Error {
        Error::GivenUp { place: self.place() }
    }
}

fn refused(error: &rdkafka::error::KafkaError) -> Error {
    let what = match error {
        rdkafka::error::KafkaError::ClientConfig(_, what, key, _) => format!("{what} (property {key})"),
        other => other.to_string(),
    };
    Error::Configuration(format!("the settings of log.kafka: {what}"))
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kafka").field(&self.0.config).finish()
    }
}

impl Log for Kafka {
    /// The cluster's own id, and the prefix.
    fn identity(&self) -> Result<String> {
        if let Some(identity) = self.0.identity.get() {
            return Ok(identity.clone());
        }
        self.reach()?;
        let Some(id) = self.0.asking.client().fetch_cluster_id(self.0.patience()) else {
            let cause = "it doesn't tell its id".into();
            return Err(Error::Unreachable { place: self.0.place(), cause });
        };
        Ok(self.0.identity.get_or_init(|| self.0.config.prefix.clone() + &id).clone())
    }

    fn create(&self, topics: &[Topic]) -> Result<()> {
        admin::create(&self.0, topics)
    }

    fn topics(&self) -> Result<Vec<Topic>> {
        admin::topics(&self.0)
    }

    fn subscribe(
        &self,
        subscription: Subscription,
        rebalance: Box<dyn Rebalance>,
    ) -> Result<Box<dyn Consumer>> {
        Ok(Box::new(consumer::KafkaConsumer::join(Arc::clone(&self.0), subscription, rebalance)?))
    }

    fn producer(&self, slot: &str) -> Result<Box<dyn Producer>> {
        Ok(Box::new(producer::KafkaProducer::open(Arc::clone(&self.0), slot)?))
    }

    fn read(&self, at: &TopicPartition, from: NextOffset, max: usize) -> Result<Vec<StoredRecord>> {
        self.0.known.expect(&self.0, at)?;
        self.0.reader.read(&self.0, at, from, max)
    }

    fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        offsets::bounds(&self.0, topic)
    }

    fn settle(&self, topics: &[&str]) -> Result<()> {
        topics.iter().try_for_each(|topic| offsets::settle(&self.0, topic))
    }

    fn hurry(&self) {
        self.0.hurry.store(true, Ordering::Relaxed);
    }

    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, NextOffset>> {
        offsets::committed(&self.0, group)
    }

    fn groups(&self) -> Result<Vec<Group>> {
        group_list::groups(&self.0)
    }

    /// Retention and compaction are the brokers' work.
    fn housekeep(&self) -> Result<Housekeeping> {
        Ok(Housekeeping::default())
    }
}
