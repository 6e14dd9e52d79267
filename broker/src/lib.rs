//! A real Apache Kafka, for tests and for `make kafka`.
//!
//! ```no_run
//! # fn main() -> Result<(), autorma_broker::Error> {
//! use autorma_broker::{Cluster, Options};
//!
//! let cluster = Cluster::start(Options { nodes: 3, ..Options::default() })?;
//! println!("{}", cluster.bootstrap());
//! cluster.kill(1)?;
//! cluster.restart(1)?;
//! # Ok(())
//! # }
//! ```
//!
//! Kafka's jars come from Maven Central, once, into `target/kafka/libs`; it runs on the machine's Java, 17 or newer.
//! Whatever a test does, its brokers end with it (`node.rs`).

mod cluster;
pub mod daemon;
mod error;
mod jars;
mod java;
mod node;
mod ports;
mod properties;
mod security;

pub use cluster::{Cluster, Options};
pub use error::Error;
pub use java::tool;
pub use ports::Port;
pub use security::{PASSWORD, STRANGER, STRANGER_PASSWORD, Security, USER};

use std::sync::OnceLock;

/// One plain node for every test of this process. It starts when it is first asked for.
///
/// # Panics
///
/// If it doesn't start: no test can go on then.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| match Cluster::start(Options::default()) {
        Ok(cluster) => cluster,
        Err(error) => panic!("the shared Kafka doesn't start: {error}"),
    })
}
