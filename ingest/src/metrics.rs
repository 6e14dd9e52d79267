use autorma_service::metrics::Registering;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry, exponential_buckets};

/// What the stage counts. Labels are of closed sets.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// `autorma_ingest_published_total`: image events committed.
    pub published: IntCounter,
    /// `autorma_ingest_files_total{outcome}`: what came of files. Those that are known or ignored count at the first
    /// scan and at events, not again at each rescan.
    pub files: IntCounterVec,
    /// `autorma_ingest_unreadable_folders_total`: folders that couldn't be read, each once until it can be again.
    pub unreadable_folders: IntCounter,
    /// `autorma_ingest_rescan_seconds`: reading the whole folder once.
    pub rescan_seconds: Histogram,
    /// `autorma_ingest_pending`: files seen and not complete.
    pub pending: IntGauge,
    /// `autorma_ingest_publish_seconds`: one transaction.
    pub publish_seconds: Histogram,
}

/// What came of a file, as a label.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Published,
    Known,
    Ignored,
    Unreadable,
}

impl Outcome {
    const ALL: [Outcome; 4] = [Outcome::Published, Outcome::Known, Outcome::Ignored, Outcome::Unreadable];

    fn as_str(self) -> &'static str {
        match self {
            Outcome::Published => "published",
            Outcome::Known => "known",
            Outcome::Ignored => "ignored",
            Outcome::Unreadable => "unreadable",
        }
    }
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let (new, seconds) = (Registering(registry), || exponential_buckets(0.0005, 2.0, 18));
        let metrics = Self {
            published: new.counter("autorma_ingest_published_total", "Image events committed")?,
            files: new.counters(
                "autorma_ingest_files_total",
                "Files looked at, by what came of them",
                &["outcome"],
            )?,
            unreadable_folders: new.counter(
                "autorma_ingest_unreadable_folders_total",
                "Folders that couldn't be read, each once until it can be again",
            )?,
            rescan_seconds: new.histogram(
                "autorma_ingest_rescan_seconds",
                "Reading the whole folder once",
                seconds()?,
            )?,
            pending: new.gauge("autorma_ingest_pending", "Files seen and not complete")?,
            publish_seconds: new.histogram(
                "autorma_ingest_publish_seconds",
                "One transaction",
                seconds()?,
            )?,
        };
        // A counter that has never counted is 0, not missing.
        Outcome::ALL.into_iter().for_each(|outcome| metrics.count(outcome, 0));
        Ok(metrics)
    }

    pub(crate) fn count(&self, outcome: Outcome, files: u64) {
        self.files.with_label_values(&[outcome.as_str()]).inc_by(files);
    }
}
