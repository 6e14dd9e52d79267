mod arms;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autorma_schemas::Reason;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector, exponential_buckets, linear_buckets,
};

use crate::desk::Queues;
use crate::outcome::Outcome;
use crate::swapping::Seat;

/// What the stage counts. Labels are of closed sets: reasons, the model's classes, decisions, queues, and the arms that
/// are configured.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// `autorma_classifier_predictions_total{class,decision}`.
    pub predictions: IntCounterVec,
    /// `autorma_classifier_dead_letters_total{reason}`.
    pub dead_letters: IntCounterVec,
    /// `autorma_classifier_confidence`: the best class's calibrated probability.
    pub confidence: Histogram,
    /// `autorma_classifier_batch_size`: images a micro-batch.
    pub batch_size: Histogram,
    /// `autorma_classifier_decode_seconds`: fetching and decoding one image.
    pub decode_seconds: Histogram,
    /// `autorma_classifier_infer_seconds`: one micro-batch through the model.
    pub infer_seconds: Histogram,
    /// `autorma_classifier_commit_seconds`: one transaction.
    pub commit_seconds: Histogram,
    /// `autorma_classifier_queue{queue}`: images in each.
    pub queues: IntGaugeVec,
    /// `autorma_classifier_model_info{name,version,sha256,arm}`: 1 for each model in use; without a split, `arm` is empty.
    pub model: IntGaugeVec,
    /// `autorma_classifier_model_behind`: 1 while an alias names a version that doesn't serve, also while it is
    /// fetched and tried, or while the registry doesn't say.
    pub model_behind: IntGauge,
    /// `autorma_classifier_arm_predictions_total{arm,decision}`.
    pub arm_predictions: IntCounterVec,
    /// `autorma_classifier_arm_confidence{arm}`: the best class's calibrated probability.
    pub arm_confidence: HistogramVec,
    /// `autorma_classifier_shadow_total{agreement}`: what the shadow says beside predictions, committed.
    pub shadow: IntCounterVec,
    /// `autorma_classifier_shadow_failures_total`: pictures that the shadow could say nothing of.
    pub shadow_failures: IntCounter,
    /// `autorma_classifier_shadow_seconds`: one micro-batch through the shadow.
    pub shadow_seconds: Histogram,
    /// `autorma_classifier_shadow_info{name,version,sha256}`: 1 for the version that computes along.
    pub shadow_info: IntGaugeVec,
    /// `autorma_classifier_shadow_behind`: 1 while the shadow's alias names a version that doesn't compute along, or the
    /// registry doesn't say.
    pub shadow_behind: IntGauge,
    /// The seats that are behind, of which the two flags tell.
    behind: Arc<Mutex<BTreeSet<Seat>>>,
}

/// Makes metrics, each of which the registry knows then.
struct Registering<'a>(&'a Registry);

impl Registering<'_> {
    fn known<T: Collector + Clone + 'static>(&self, metric: T) -> prometheus::Result<T> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn histogram(&self, name: &str, help: &str, buckets: Vec<f64>) -> prometheus::Result<Histogram> {
        self.known(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: Vec<f64>,
        labels: &[&str],
    ) -> prometheus::Result<HistogramVec> {
        self.known(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)?)
    }

    fn count(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.known(IntCounter::new(name, help)?)
    }

    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.known(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.known(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn flag(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.known(IntGauge::new(name, help)?)
    }
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let (seconds, confidences) =
            (|| exponential_buckets(0.0005, 2.0, 15), || linear_buckets(0.05, 0.05, 20));
        let new = Registering(registry);
        let metrics = Self {
            predictions: new.counter(
                "autorma_classifier_predictions_total",
                "Predictions committed",
                &["class", "decision"],
            )?,
            dead_letters: new.counter(
                "autorma_classifier_dead_letters_total",
                "Image events that can't be classified, committed",
                &["reason"],
            )?,
            confidence: new.histogram(
                "autorma_classifier_confidence",
                "Calibrated probability of the best class",
                confidences()?,
            )?,
            batch_size: new.histogram(
                "autorma_classifier_batch_size",
                "Images a micro-batch",
                linear_buckets(1.0, 1.0, 10)?,
            )?,
            decode_seconds: new.histogram(
                "autorma_classifier_decode_seconds",
                "Fetching and decoding one image",
                seconds()?,
            )?,
            infer_seconds: new.histogram(
                "autorma_classifier_infer_seconds",
                "One micro-batch through the model",
                seconds()?,
            )?,
            commit_seconds: new.histogram("autorma_classifier_commit_seconds", "One transaction", seconds()?)?,
            queues: new.gauge("autorma_classifier_queue", "Images between two steps", &["queue"])?,
            model: new.gauge(
                "autorma_classifier_model_info",
                "The models in use",
                &["name", "version", "sha256", "arm"],
            )?,
            model_behind: new.flag(
                "autorma_classifier_model_behind",
                "1 while an alias names a version that doesn't serve, or the registry doesn't say",
            )?,
            arm_predictions: new.counter(
                "autorma_classifier_arm_predictions_total",
                "Predictions committed, by arm",
                &["arm", "decision"],
            )?,
            arm_confidence: new.histograms(
                "autorma_classifier_arm_confidence",
                "Calibrated probability of the best class, by arm",
                confidences()?,
                &["arm"],
            )?,
            shadow: new.counter(
                "autorma_classifier_shadow_total",
                "Predictions committed with what the shadow says, by whether it says the same",
                &["agreement"],
            )?,
            shadow_failures: new.count(
                "autorma_classifier_shadow_failures_total",
                "Pictures that the shadow could say nothing of",
            )?,
            shadow_seconds: new.histogram(
                "autorma_classifier_shadow_seconds",
                "One micro-batch through the shadow",
                seconds()?,
            )?,
            shadow_info: new.gauge(
                "autorma_classifier_shadow_info",
                "The version that computes along",
                &["name", "version", "sha256"],
            )?,
            shadow_behind: new.flag(
                "autorma_classifier_shadow_behind",
                "1 while the shadow's alias names a version that doesn't compute along, or the registry doesn't say",
            )?,
            behind: Arc::default(),
        };
        // A counter that has never counted is 0, not missing.
        Reason::ALL
            .iter()
            .for_each(|reason| metrics.dead_letters.with_label_values(&[reason.as_str()]).inc_by(0));
        Ok(metrics)
    }

    pub(crate) fn micro_batch(&self, images: usize, took: Duration) {
        let seconds = took.as_secs_f64();
        self.infer_seconds.observe(seconds);
        self.batch_size.observe(images as f64);
        tracing::debug!(images, seconds, "micro-batch");
    }

    pub(crate) fn committed(&self, outcomes: &[Outcome], seconds: f64) {
        self.commit_seconds.observe(seconds);
        for outcome in outcomes {
            match outcome {
                Outcome::Prediction(it) => {
                    let labels = [it.predicted_class.as_str(), it.decision.as_str()];
                    self.predictions.with_label_values(&labels).inc();
                    self.confidence.observe(it.confidence);
                    self.compared(it);
                }
                Outcome::DeadLetter(reason, _) => {
                    self.dead_letters.with_label_values(&[reason.as_str()]).inc()
                }
            }
        }
    }

    pub(crate) fn queues(&self, queues: Queues) {
        let lengths = [
            ("to_decode", queues.to_decode),
            ("ready", queues.ready),
            ("done", queues.done),
            ("in_flight", queues.in_flight),
        ];
        for (queue, length) in lengths {
            self.queues.with_label_values(&[queue]).set(length as i64);
        }
    }
}
