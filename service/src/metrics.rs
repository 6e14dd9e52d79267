//! How the stages make their metrics.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    Result,
};

/// Makes metrics, each of which the registry knows then.
#[derive(Debug)]
pub struct Registering<'a>(pub &'a Registry);

impl Registering<'_> {
    fn known<T: Collector + Clone + 'static>(&self, metric: T) -> Result<T> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// What only grows.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.known(IntCounter::new(name, help)?)
    }

    /// One for each value of the labels.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.known(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// What grows and shrinks.
    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.known(IntGauge::new(name, help)?)
    }

    /// One for each value of the labels.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.known(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// How often what was measured is in each of the buckets.
    pub fn histogram(&self, name: &str, help: &str, buckets: Vec<f64>) -> Result<Histogram> {
        self.known(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?)
    }

    /// One for each value of the labels.
    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: Vec<f64>,
        labels: &[&str],
    ) -> Result<HistogramVec> {
        self.known(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)?)
    }
}
