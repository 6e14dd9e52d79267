use autorma_models::Model;
use autorma_schemas::{Decision, Reason};
use prometheus::{
    Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, exponential_buckets,
    linear_buckets,
};

use crate::desk::Queues;
use crate::outcome::Outcome;

/// What the stage counts. Labels are of closed sets: reasons, the model's classes, decisions, queues.
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
    /// `autorma_classifier_model_info{name,version,sha256}`: 1 for the model in use.
    pub model: IntGaugeVec,
    /// `autorma_classifier_model_behind`: 1 while the alias names a version that doesn't serve.
    pub model_behind: IntGauge,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let seconds = || exponential_buckets(0.0005, 2.0, 15);
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let model_behind = IntGauge::new(
            "autorma_classifier_model_behind",
            "1 while the alias names a version that doesn't serve, or the registry doesn't say",
        )?;
        registry.register(Box::new(model_behind.clone()))?;
        let metrics = Self {
            predictions: counter(
                "autorma_classifier_predictions_total",
                "Predictions committed",
                &["class", "decision"],
            )?,
            dead_letters: counter(
                "autorma_classifier_dead_letters_total",
                "Image events that can't be classified, committed",
                &["reason"],
            )?,
            confidence: histogram(
                "autorma_classifier_confidence",
                "Calibrated probability of the best class",
                linear_buckets(0.05, 0.05, 20)?,
            )?,
            batch_size: histogram(
                "autorma_classifier_batch_size",
                "Images a micro-batch",
                linear_buckets(1.0, 1.0, 10)?,
            )?,
            decode_seconds: histogram(
                "autorma_classifier_decode_seconds",
                "Fetching and decoding one image",
                seconds()?,
            )?,
            infer_seconds: histogram(
                "autorma_classifier_infer_seconds",
                "One micro-batch through the model",
                seconds()?,
            )?,
            commit_seconds: histogram("autorma_classifier_commit_seconds", "One transaction", seconds()?)?,
            queues: gauge("autorma_classifier_queue", "Images between two steps", &["queue"])?,
            model: gauge(
                "autorma_classifier_model_info",
                "The model in use",
                &["name", "version", "sha256"],
            )?,
            model_behind,
        };
        // A counter that has never counted is 0, not missing.
        Reason::ALL
            .iter()
            .for_each(|reason| metrics.dead_letters.with_label_values(&[reason.as_str()]).inc_by(0));
        Ok(metrics)
    }

    pub(crate) fn loaded(&self, model: &Model) {
        let version = model.version();
        self.model.reset();
        self.model.with_label_values(&[&version.name, &version.version, &version.sha256]).set(1);
        for class in &model.manifest.classes {
            for decision in Decision::ALL {
                self.predictions.with_label_values(&[class.as_str(), decision.as_str()]).inc_by(0);
            }
        }
    }

    pub(crate) fn committed(&self, outcomes: &[Outcome], seconds: f64) {
        self.commit_seconds.observe(seconds);
        for outcome in outcomes {
            match outcome {
                Outcome::Prediction(it) => {
                    let labels = [it.predicted_class.as_str(), it.decision.as_str()];
                    self.predictions.with_label_values(&labels).inc();
                    self.confidence.observe(it.confidence);
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
