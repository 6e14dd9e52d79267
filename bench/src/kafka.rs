//! `make bench LOG=kafka`: the pipeline on a Kafka of one node that runs beside it, and what only a cluster has. The
//! broker takes part of the same processors.

mod events;
mod pace;
mod scaling;
mod takeover;
mod throughput;

use std::path::{Path, PathBuf};

use anyhow::ensure;
use autorma_broker::{Cluster, Options};
use autorma_stream::kafka::KafkaConfig;

use crate::home::Home;
use crate::report::Report;
use crate::{Size, latency, photos, program};

/// Photos that are there while classifiers come and go.
const ENOUGH: usize = 1000;

/// The broker, and where those who use it have their folders.
struct Broker<'a> {
    cluster: Cluster,
    folder: &'a Path,
}

/// All figures.
pub(crate) fn measure(large: &Path, folder: &Path, size: Size, report: &mut Report) -> anyhow::Result<()> {
    let broker = Broker { cluster: Cluster::start(Options::default())?, folder };
    // First, and so many that the broker is warm from then on: its first seconds are those of Java's compiler.
    events::measure(&broker, size.events, report)?;
    throughput::measure(&broker, large, size.rounds, report)?;
    scaling::measure(&broker, large, size.rounds, report)?;
    let enough = photos::names(large, folder, ENOUGH)?;
    takeover::measure(&broker, &enough, size.rounds, report)?;
    let (home, own) = broker.fresh("latency")?;
    latency::measure(&home, large, &own, size.drops, report)
}

impl Broker<'_> {
    /// A prefix and a folder that nobody has used, with the topics.
    fn fresh(&self, name: &str) -> anyhow::Result<(Home, PathBuf)> {
        let folder = self.folder.join(name);
        std::fs::create_dir(&folder)?;
        let home = Home::Kafka { brokers: self.cluster.bootstrap(), prefix: format!("{name}-") };
        let status = program::command(&home, &folder, &["topics", "create"])?.status()?;
        ensure!(status.success(), "autorma topics create: {status}");
        Ok((home, folder))
    }

    /// The log below that name, without the program.
    fn log(&self, name: &str) -> anyhow::Result<autorma_stream::kafka::Kafka> {
        let mut config = KafkaConfig::new(self.cluster.bootstrap());
        config.prefix = format!("{name}-");
        Ok(autorma_stream::kafka::Kafka::new(config)?)
    }
}
