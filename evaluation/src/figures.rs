use std::path::Path;

use autorma_models::Manifest;
use autorma_schemas::Decision;
use serde::Serialize;

use crate::{Estimate, Judged, Judgement, Label, Share, Strangers, UnknownErrors};

/// Bins of confidence, as in Guo et al. 2017, "On Calibration of Modern Neural Networks".
const BINS: usize = 15;

/// How good a model is on a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Photos of the classes for which the best class is the right one, whatever is decided.
    pub accuracy: Share,
    /// The same among those that are accepted.
    pub accuracy_of_accepted: Share,
    /// Each class.
    pub classes: Vec<ClassFigures>,
    /// How many photos of a class (row) have which best class (column), in the order of the classes.
    pub confusion: Vec<Vec<usize>>,
    /// How far the confidence is from how often the best class is right, on average: the expected calibration error. None if
    /// no photo of a class has a verdict.
    pub calibration_error: Option<f64>,
    /// The confidence and how often it was right, bin by bin.
    pub reliability: Vec<Bin>,
    /// What is decided about photos of the classes.
    pub decisions: Decisions,
    /// What is said of photos of none of the classes, if the data set has any.
    pub strangers: Option<Strangers>,
    /// Both errors of the threshold for unknown; none if the data set has no photos of none of the classes.
    pub unknown_errors: Vec<UnknownErrors>,
    /// Photos a second on all threads together, from a file's bytes to the verdict; of those that have one.
    pub photos_per_second: f64,
    /// The threads.
    pub threads: usize,
    /// Photos that the model says nothing of, and why; they are in no other figure.
    pub failed: Vec<NotJudged>,
}

/// A photo that a model says nothing of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotJudged {
    /// Its path.
    pub path: String,
    /// Why.
    pub why: String,
}

impl NotJudged {
    /// The photo at `path`.
    pub fn new(path: &Path, why: &str) -> Self {
        Self { path: path.display().to_string(), why: why.into() }
    }
}

/// How good it is on one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassFigures {
    /// The class.
    pub class: String,
    /// Of those whose best class it is, how many are.
    pub precision: Share,
    /// Of those that are of it, how many have it as their best class.
    pub recall: Share,
    /// The harmonic mean of both; None if no photo is of the class or taken for it.
    pub f1: Option<Estimate>,
}

/// Photos whose confidence is in a range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// The range's lower end; its upper end is the next one's.
    pub from: f64,
    /// How many.
    pub photos: usize,
    /// Their mean confidence; 0 if there are none.
    pub confidence: f64,
    /// The share whose best class is the right one; 0 if there are none.
    pub accuracy: f64,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Decisions {
    /// Accepted without a look.
    pub accept: Share,
    /// Looked at.
    pub review: Share,
    /// Called none of the classes.
    pub unknown: Share,
}

impl Figures {
    /// Of a model on what it judged.
    pub fn of(manifest: &Manifest, judgement: &Judgement) -> Self {
        let (mut known, mut strangers, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for (path, judged) in &judgement.judged {
            match judged {
                Ok(judged @ Judged { label: Label::Class(_), .. }) => known.push(Known::of(manifest, judged)),
                Ok(judged) => strangers.push((path.as_path(), judged)),
                Err(problem) => failed.push(NotJudged::new(path, problem)),
            }
        }
        let classes = manifest.classes.len();
        let mut confusion = vec![vec![0; classes]; classes];
        known.iter().for_each(|it| confusion[it.class][it.best] += 1);
        let accepted = known.iter().filter(|it| it.decision == Decision::Accept);
        let reliability = reliability(&known);
        let of_known: Vec<_> = known.iter().map(|it| it.unknown_probability).collect();
        let of_strangers: Vec<_> = strangers.iter().map(|(_, it)| it.verdict.unknown_probability).collect();
        let has_strangers = !strangers.is_empty();
        Self {
            accuracy: Share::count(&known, |it| it.is_right()),
            accuracy_of_accepted: Share::count(accepted, |it| it.is_right()),
            classes: (0..classes).map(|class| of_class(manifest, class, &known)).collect(),
            confusion,
            calibration_error: calibration_error(&reliability),
            reliability,
            decisions: Decisions::of(known.iter().map(|it| it.decision)),
            strangers: has_strangers.then(|| Strangers::of(&strangers, &of_strangers, &of_known)),
            unknown_errors: match has_strangers {
                true => UnknownErrors::curve(&of_known, &of_strangers),
                false => Vec::new(),
            },
            photos_per_second: (known.len() + strangers.len()) as f64 / judgement.seconds,
            threads: judgement.threads,
            failed,
        }
    }
}

/// A photo of a class, in numbers.
#[derive(Debug, Clone, Copy)]
struct Known {
    class: usize,
    best: usize,
    confidence: f64,
    unknown_probability: f64,
    decision: Decision,
}

impl Known {
    fn of(manifest: &Manifest, Judged { label, verdict, .. }: &Judged) -> Self {
        let class = if let Label::Class(class) = label { *class } else { usize::MAX };
        let best = manifest.classes.iter().position(|class| *class == verdict.predicted_class);
        Self {
            class,
            best: best.unwrap_or(usize::MAX),
            confidence: verdict.confidence,
            unknown_probability: verdict.unknown_probability,
            decision: verdict.decision,
        }
    }

    fn is_right(&self) -> bool {
        self.class == self.best
    }
}

impl Decisions {
    pub(crate) fn of(decisions: impl Iterator<Item = Decision> + Clone) -> Self {
        let share = |wanted: Decision| Share::count(decisions.clone(), |decision| decision == wanted);
        Self {
            accept: share(Decision::Accept),
            review: share(Decision::Review),
            unknown: share(Decision::Unknown),
        }
    }
}

fn of_class(manifest: &Manifest, class: usize, known: &[Known]) -> ClassFigures {
    let with = |is_so: fn(&Known, usize) -> bool| known.iter().filter(move |it| is_so(it, class));
    let either = with(|it, class| it.class == class || it.best == class).count();
    let hits = with(|it, class| it.class == class && it.best == class).count();
    ClassFigures {
        class: manifest.classes[class].clone(),
        precision: Share::count(with(|it, class| it.best == class), Known::is_right),
        recall: Share::count(with(|it, class| it.class == class), Known::is_right),
        f1: (either > 0).then(|| Estimate::f1(hits, either)),
    }
}

fn reliability(known: &[Known]) -> Vec<Bin> {
    (0..BINS)
        .map(|bin| {
            let place = |it: &&Known| ((it.confidence * BINS as f64) as usize).min(BINS - 1) == bin;
            let inside: Vec<_> = known.iter().filter(place).collect();
            let mean = |values: &dyn Fn(&Known) -> f64| {
                // What nothing sums up to is -0.
                (0.0 + inside.iter().map(|it| values(it)).sum::<f64>()) / inside.len().max(1) as f64
            };
            Bin {
                from: bin as f64 / BINS as f64,
                photos: inside.len(),
                confidence: mean(&|it| it.confidence),
                accuracy: mean(&|it| f64::from(u8::from(it.is_right()))),
            }
        })
        .collect()
}

fn calibration_error(bins: &[Bin]) -> Option<f64> {
    let photos: usize = bins.iter().map(|bin| bin.photos).sum();
    let errors = bins.iter().map(|bin| bin.photos as f64 * (bin.confidence - bin.accuracy).abs());
    (photos > 0).then(|| errors.sum::<f64>() / photos as f64)
}

#[cfg(test)]
mod tests {
    use autorma_models::Model;
    use autorma_models::Verdict;
    use autorma_schemas::ClassProbability;

    use std::path::PathBuf;

    use super::*;

    fn manifest() -> Manifest {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/shipped");
        Model::manifest(&shipped).unwrap()
    }

    fn judged(
        label: Label,
        best: usize,
        confidence: f64,
        unknown_probability: f64,
        decision: Decision,
    ) -> Judged {
        let predicted_class = manifest().classes[best].clone();
        let probabilities = Vec::<ClassProbability>::new();
        Judged {
            label,
            verdict: Verdict { predicted_class, confidence, probabilities, unknown_probability, decision },
            logits: Vec::new(),
        }
    }

    #[test]
    fn figures_count_what_was_judged() {
        use Decision::{Accept, Review, Unknown};
        let all = [
            judged(Label::Class(0), 0, 0.99, 0.1, Accept),
            judged(Label::Class(0), 1, 0.75, 0.2, Review),
            judged(Label::Class(1), 1, 0.75, 0.3, Accept),
            judged(Label::Class(1), 1, 0.5, 0.8, Unknown),
            judged(Label::Stranger, 2, 0.9, 0.7, Unknown),
            judged(Label::Stranger, 1, 0.9, 0.25, Accept),
        ];
        let paths = ["", "", "", "", "other/Lap_Top/1.jpg", "ties/2.jpg"].map(PathBuf::from);
        let mut judged: Vec<_> = paths.into_iter().zip(all.into_iter().map(Ok)).collect();
        judged.push(("broken.jpg".into(), Err("not a picture".into())));
        let figures = Figures::of(&manifest(), &Judgement { judged, seconds: 2.0, threads: 1 });
        assert_eq!((figures.accuracy.share, figures.accuracy.of), (0.75, 4));
        assert_eq!((figures.accuracy_of_accepted.share, figures.accuracy_of_accepted.of), (1.0, 2));
        assert_eq!(figures.confusion[0][..2], [1, 1]);
        assert_eq!(figures.confusion[1][..2], [0, 2]);
        let second = &figures.classes[1];
        let f1 = second.f1.unwrap();
        assert_eq!((second.precision.of, second.recall.of, f1.value), (3, 2, 0.8));
        assert!(f1.low <= 0.8 && 0.8 <= f1.high);
        assert!(figures.classes[4].f1.is_none());
        assert_eq!(figures.decisions.unknown.share, 0.25);
        let strangers = figures.strangers.unwrap();
        // Of the eight pairs, the first stranger is above three and the second above two.
        assert_eq!((strangers.auroc, strangers.decisions.accept.share), (Some(0.625), 0.5));
        let folders =
            strangers.folders.iter().map(|it| (it.folder.as_str(), it.unknown.share, it.accept.share));
        assert_eq!(folders.collect::<Vec<_>>(), [("lap top", 1.0, 0.0), ("ties", 0.0, 1.0)]);
        assert_eq!(strangers.unknown_by_folder.unwrap().value, 0.5);
        let half = figures.unknown_errors[100];
        assert_eq!((half.threshold, half.refused, half.missed), (0.5, 0.25, 0.5));
        // |0.99 - 1|, two of |0.75 - 0.5|, |0.5 - 1|.
        assert!((figures.calibration_error.unwrap() - (0.01 + 0.5 + 0.5) / 4.0).abs() < 1e-9);
        assert_eq!(figures.photos_per_second, 3.0);
        assert_eq!(figures.failed, [NotJudged::new(Path::new("broken.jpg"), "not a picture")]);
    }

    #[test]
    fn where_no_photo_is_of_a_class_there_is_no_calibration_error() {
        let stranger = judged(Label::Stranger, 2, 0.9, 0.7, Decision::Unknown);
        let judged = vec![(PathBuf::from("ties/1.jpg"), Ok(stranger))];
        let figures = Figures::of(&manifest(), &Judgement { judged, seconds: 1.0, threads: 1 });
        assert_eq!((figures.accuracy.of, figures.calibration_error), (0, None));
    }
}
