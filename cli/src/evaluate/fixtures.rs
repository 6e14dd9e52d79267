//! Reports for tests, in which nothing is harmless.

use std::path::Path;

use autorma_evaluation::{
    Bin, ClassFigures, Comparison, Decisions, Estimate, Figures, FolderFigures, NotJudged, Share, Strangers,
    UnknownErrors,
};
use autorma_schemas::ModelVersion;

use super::report::{Beside, Compared, HeldAgainst, Report};

pub(super) fn model(version: &str) -> ModelVersion {
    ModelVersion { name: "<b>goods".into(), version: version.into(), sha256: "ab".repeat(32) }
}

/// Of a model that is right about so many of ten.
fn figures(right: usize) -> Figures {
    let (hits, all) = (Share::of(right, 10), Share::of(10, 10));
    let decisions = Decisions { accept: hits, review: all, unknown: hits };
    let class = |name: &str| ClassFigures { class: name.into(), precision: all, recall: hits, f1: None };
    Figures {
        accuracy: hits,
        accuracy_of_accepted: all,
        classes: vec![class("shirts"), class("<i>tops")],
        confusion: vec![vec![right, 10 - right], vec![0, 0]],
        calibration_error: Some(0.1234),
        reliability: vec![Bin { from: 0.0, photos: 31, confidence: 0.75, accuracy: 0.5 }],
        decisions,
        strangers: Some(Strangers {
            decisions,
            auroc: Some(0.875),
            folders: ["<b>caps", "ties"]
                .map(|folder| FolderFigures { folder: folder.into(), unknown: hits, accept: all })
                .into(),
            unknown_by_folder: Some(Estimate { value: 0.5, low: 0.25, high: 0.75 }),
        }),
        unknown_errors: UnknownErrors::curve(&[0.1, 0.2], &[0.8]),
        photos_per_second: 25.0,
        threads: 2,
        failed: vec![NotJudged::new(Path::new("<u>.jpg"), "not a \"picture\"")],
    }
}

/// Of one that is right about so many.
fn beside(right: usize, p: f64, speed: f64) -> Beside {
    let comparison =
        Comparison { both: 4, only_first: 3, only_second: 2, neither: 1, agree: Share::of(9, 10), p };
    Beside { figures: figures(right), comparison, speed: Some(speed) }
}

/// Of a model that is right about nine of ten.
pub(super) fn report() -> Report {
    Report {
        model: model("1"),
        precision: "int8".into(),
        classes: vec!["shirts".into(), "<i>tops".into()],
        figures: figures(9),
        reference: None,
        reference_problem: None,
        against: None,
    }
}

/// Another model, right about eight.
pub(super) fn against(version: &str) -> Compared {
    Compared { model: model(version), beside: beside(8, 0.125, 0.75) }
}

/// A reference, right about seven.
pub(super) fn held_against() -> HeldAgainst {
    HeldAgainst { precision: "fp32".into(), beside: beside(7, 0.25, 2.5) }
}
