use std::collections::BTreeMap;
use std::path::Path;

use autorma_schemas::Decision;
use serde::Serialize;

use crate::dataset::plain;
use crate::statistics::auroc;
use crate::{Decisions, Estimate, Judged, Share};

/// What is said of photos of none of the classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Strangers {
    /// What is decided about them.
    pub decisions: Decisions,
    /// How well the probability of being none of the classes tells them from photos of the classes: 0.5 is not at all, 1 is
    /// wholly. None if no photo of a class has a verdict.
    pub auroc: Option<f64>,
    /// The same by the folders that they lie in, in the order of their names: what is said of sandals says little of ties.
    pub folders: Vec<FolderFigures>,
    /// The mean of the folders' shares that are called unknown, each folder counting the same; None if there is only one.
    pub unknown_by_folder: Option<Estimate>,
}

/// What is said of photos that lie in folders of one name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FolderFigures {
    /// The name, in lower case and with spaces: of the innermost folder, wherever it lies.
    pub folder: String,
    /// How many of its photos are called unknown.
    pub unknown: Share,
    /// How many are accepted as one of the classes.
    pub accept: Share,
}

impl Strangers {
    /// Of what was judged, with its path. `high` and `low` are the probabilities of being none of the classes that these and
    /// photos of the classes have.
    pub(crate) fn of(strangers: &[(&Path, &Judged)], high: &[f64], low: &[f64]) -> Self {
        let folders = by_folder(strangers);
        let shares: Vec<_> = folders.iter().map(|folder| folder.unknown.share).collect();
        Self {
            decisions: Decisions::of(strangers.iter().map(|(_, it)| it.verdict.decision)),
            auroc: auroc(high, low),
            unknown_by_folder: Estimate::mean(&shares),
            folders,
        }
    }
}

fn by_folder(strangers: &[(&Path, &Judged)]) -> Vec<FolderFigures> {
    let mut folders: BTreeMap<String, Vec<Decision>> = BTreeMap::new();
    for (path, judged) in strangers {
        let name = path.parent().and_then(Path::file_name).unwrap_or_default();
        folders.entry(plain(&name.to_string_lossy())).or_default().push(judged.verdict.decision);
    }
    let figures = |(folder, decisions): (String, Vec<Decision>)| {
        let Decisions { unknown, accept, .. } = Decisions::of(decisions.into_iter());
        FolderFigures { folder, unknown, accept }
    };
    folders.into_iter().map(figures).collect()
}
