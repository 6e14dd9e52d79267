mod arms;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use autorma_schemas::Reason;
use autorma_service::metrics::Registering;
use parking_lot::Mutex;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, exponential_buckets,
    linear_buckets,
};

use crate::desk::Queues;
use crate::outcome::Outcome;
use crate::swapping::Seat;

/// What the stage counts. Labels are of closed sets: reasons, the model's classes, decisions, queues, and the arms that
/// are configured.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) predictions: IntCounterVec,
    pub(crate) dead_letters: IntCounterVec,
    pub(crate) confidence: Histogram,
    pub(crate) batch_size: Histogram,
    pub(crate) decode_seconds: Histogram,
    pub(crate) infer_seconds: Histogram,
    pub(crate) commit_seconds: Histogram,
    pub(crate) queues: IntGaugeVec,
    /// 1 for each model in use; without a split, `arm` is empty.
    pub(crate) model: IntGaugeVec,
    /// 1 also while the version that an alias names is fetched and tried.
    pub(crate) model_behind: IntGauge,
    pub(crate) arm_predictions: IntCounterVec,
    pub(crate) arm_confidence: HistogramVec,
    pub(crate) shadow: IntCounterVec,
    pub(crate) shadow_failures: IntCounter,
    pub(crate) shadow_seconds: Histogram,
    pub(crate) shadow_info: IntGaugeVec,
    pub(crate) shadow_behind: IntGauge,
    /// The seats that are behind, of which the two flags tell.
    behind: Arc<Mutex<BTreeSet<Seat>>>,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let (seconds, confidences) =
            (|| exponential_buckets(0.0005, 2.0, 15), || linear_buckets(0.05, 0.05, 20));
        let new = Registering(registry);
        let metrics = Self {
            predictions: new.counters(
                "autorma_classifier_predictions_total",
                "Predictions committed",
                &["class", "decision"],
            )?,
            dead_letters: new.counters(
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
            queues: new.gauges("autorma_classifier_queue", "Images between two steps", &["queue"])?,
            model: new.gauges(
                "autorma_classifier_model_info",
                "The models in use",
                &["name", "version", "sha256", "arm"],
            )?,
            model_behind: new.gauge(
                "autorma_classifier_model_behind",
                "1 while an alias names a version that doesn't serve, or the registry doesn't say",
            )?,
            arm_predictions: new.counters(
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
            shadow: new.counters(
                "autorma_classifier_shadow_total",
                "Predictions committed with what the shadow says, by whether it says the same",
                &["agreement"],
            )?,
            shadow_failures: new.counter(
                "autorma_classifier_shadow_failures_total",
                "Pictures that the shadow could say nothing of",
            )?,
            shadow_seconds: new.histogram(
                "autorma_classifier_shadow_seconds",
                "One micro-batch through the shadow",
                seconds()?,
            )?,
            shadow_info: new.gauges(
                "autorma_classifier_shadow_info",
                "The version that computes along",
                &["name", "version", "sha256"],
            )?,
            shadow_behind: new.gauge(
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
