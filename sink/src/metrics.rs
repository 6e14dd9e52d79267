use autorma_service::metrics::Registering;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry, exponential_buckets};

/// What the stage counts. Labels are of closed sets.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// `autorma_sink_outcomes_total{outcome}`: made durable, by `prediction`, `dead_letter` and `duplicate`.
    pub outcomes: IntCounterVec,
    /// `autorma_sink_flush_seconds`: parts, manifest and offsets of one flush.
    pub flush_seconds: Histogram,
    /// `autorma_sink_flush_outcomes`: outcomes a flush.
    pub flush_outcomes: Histogram,
    /// `autorma_sink_event_to_durable_seconds`: from the photo being seen to its outcome being on the disk.
    pub event_to_durable_seconds: Histogram,
    /// `autorma_sink_runs_finished_total`.
    pub runs_finished: IntCounter,
    /// `autorma_sink_open_runs`: runs that aren't finished.
    pub open_runs: IntGauge,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let new = Registering(registry);
        let metrics = Self {
            outcomes: new.counters(
                "autorma_sink_outcomes_total",
                "Outcomes made durable; of duplicates only the count is",
                &["outcome"],
            )?,
            flush_seconds: new.histogram(
                "autorma_sink_flush_seconds",
                "Parts, manifest and offsets of one flush",
                exponential_buckets(0.0005, 2.0, 15)?,
            )?,
            flush_outcomes: new.histogram(
                "autorma_sink_flush_outcomes",
                "Outcomes a flush",
                exponential_buckets(1.0, 2.0, 12)?,
            )?,
            event_to_durable_seconds: new.histogram(
                "autorma_sink_event_to_durable_seconds",
                "From the photo being seen to its outcome being on the disk",
                exponential_buckets(0.001, 2.0, 20)?,
            )?,
            runs_finished: new
                .counter("autorma_sink_runs_finished_total", "Runs whose results and summary are written")?,
            open_runs: new.gauge("autorma_sink_open_runs", "Runs that aren't finished")?,
        };
        // A counter that has never counted is 0, not missing.
        ["prediction", "dead_letter", "duplicate"]
            .iter()
            .for_each(|outcome| metrics.outcomes.with_label_values(&[*outcome]).inc_by(0));
        Ok(metrics)
    }
}
