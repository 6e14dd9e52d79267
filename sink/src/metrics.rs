use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets,
};

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
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let outcomes = IntCounterVec::new(
            Opts::new(
                "autorma_sink_outcomes_total",
                "Outcomes made durable; of duplicates only the count is",
            ),
            &["outcome"],
        )?;
        let runs_finished = IntCounter::new(
            "autorma_sink_runs_finished_total",
            "Runs whose results and summary are written",
        )?;
        let open_runs = IntGauge::new("autorma_sink_open_runs", "Runs that aren't finished")?;
        registry.register(Box::new(outcomes.clone()))?;
        registry.register(Box::new(runs_finished.clone()))?;
        registry.register(Box::new(open_runs.clone()))?;
        // A counter that has never counted is 0, not missing.
        ["prediction", "dead_letter", "duplicate"]
            .iter()
            .for_each(|outcome| outcomes.with_label_values(&[*outcome]).inc_by(0));
        Ok(Self {
            outcomes,
            flush_seconds: histogram(
                "autorma_sink_flush_seconds",
                "Parts, manifest and offsets of one flush",
                exponential_buckets(0.0005, 2.0, 15)?,
            )?,
            flush_outcomes: histogram(
                "autorma_sink_flush_outcomes",
                "Outcomes a flush",
                exponential_buckets(1.0, 2.0, 12)?,
            )?,
            event_to_durable_seconds: histogram(
                "autorma_sink_event_to_durable_seconds",
                "From the photo being seen to its outcome being on the disk",
                exponential_buckets(0.001, 2.0, 20)?,
            )?,
            runs_finished,
            open_runs,
        })
    }
}
