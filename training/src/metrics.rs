use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use autorma_evaluation::{
    Bin, ClassFigures, Decisions, Figures, Judged, Judgement, Label, NotJudged, Share, Strangers,
};
use autorma_models::{Manifest, Thresholds};
use serde::Serialize;

use crate::Recipe;
use crate::dataset::Split;
use crate::decisions::{HeldOut, UnknownErrors, Unseen};
use crate::photos::{Photo, Photos};

/// All that is known of a training: `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    /// How it was done.
    pub recipe: Recipe,
    /// How many photos of each kind are used wherever they could be, by what they are for: `train`, `val` or `test`.
    pub photos: BTreeMap<String, BTreeMap<String, usize>>,
    /// How many variations of each photo there were.
    pub copies: u32,
    /// Whether the backbone was tuned.
    pub is_tuned: bool,
    /// Whether all was done that was wanted: false if training was stopped, a photo was lost while the backbone was tuned, or
    /// tuning came to nothing that could ship.
    pub is_whole: bool,
    /// What the logits are divided by.
    pub temperature: f64,
    /// Where decisions change.
    pub thresholds: Thresholds,
    /// Photos that were judged by heads that hadn't learned from their group.
    pub held_out: Vec<Section>,
    /// The test photos, judged by the model that ships; None if there are none.
    pub test: Option<Quality>,
    /// How good the model is in floats, which was quantized; None if what ships is in floats.
    pub in_floats: Option<InFloats>,
    /// Both errors of the threshold for unknown, on the held-out photos.
    pub unknown_errors: Vec<UnknownErrors>,
    /// The loss of the head on the backbone as it was, after each iteration: if that isn't tuned, it ships.
    pub losses: Vec<f64>,
    /// The loss of each step in which the shipped backbone was tuned; none if it wasn't.
    pub tuning_losses: Vec<f64>,
    /// Photos that were left out, and why.
    pub failed: Vec<NotJudged>,
    /// How long it took.
    pub seconds: f64,
    /// The model's folder.
    pub model: PathBuf,
}

/// What a column of [`Metrics::figures`] tells.
pub(crate) const FIGURES: [&str; 9] = [
    "photos",
    "of the classes",
    "right",
    "right of accepted",
    "unknown",
    "calibration error",
    "of none",
    "found unknown",
    "AUROC",
];

/// What is none of the classes, by kind: whose photos a column of [`Metrics::kinds`] tells of, and the name of their section.
pub(crate) const STRANGERS: [(&str, &str); 3] = [
    ("kind never seen", OTHERS),
    ("kind learned", OTHERS_OF_LEARNED_KINDS),
    ("from contributors", CONTRIBUTORS),
];
const CONTRIBUTORS: &str = "contributors";
const OTHERS: &str = "others";
const OTHERS_OF_LEARNED_KINDS: &str = "others of learned kinds";

/// The model in floats, on the same photos, with the temperature and thresholds of the one that ships.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InFloats {
    /// The length of its file.
    pub bytes: u64,
    /// The held-out photos.
    pub held_out: Vec<Section>,
    /// The test photos; None if there are none.
    pub test: Option<Quality>,
}

impl Metrics {
    /// What is said behind the number of variations where not all was done that was wanted.
    pub(crate) fn unfinished(&self) -> &'static str {
        match (self.is_whole, self.copies == self.recipe.copies) {
            (true, _) => "",
            (false, true) => "; the backbone wasn't tuned to the end",
            (false, false) => ", less than wanted: training was stopped",
        }
    }

    /// How good the model is on every set of photos, by its name; then how good it is in floats, if it isn't.
    pub fn rows(&self) -> Vec<(String, &Quality)> {
        let floats = self.in_floats.iter();
        let floats = floats.flat_map(|it| rows("in floats, ", &it.held_out, it.test.as_ref()));
        rows("", &self.held_out, self.test.as_ref()).chain(floats).collect()
    }

    /// A row for each of [`Self::rows`], in the order of [`FIGURES`].
    pub(crate) fn figures(&self) -> Vec<[String; 9]> {
        self.rows().into_iter().map(|(name, quality)| quality.figures(name)).collect()
    }

    /// How many photos of each kind that is none of the classes are found unknown, in the order of [`STRANGERS`]: the kind's
    /// name, and for each of these a share and of how many. First comes the mean of the kinds.
    pub(crate) fn kinds(&self) -> Vec<[String; 4]> {
        let found = STRANGERS.map(|(_, name)| {
            let section = self.held_out.iter().find(|section| section.name == name);
            section.and_then(|it| it.quality.strangers.as_ref())
        });
        let names: BTreeSet<_> =
            found.iter().flatten().flat_map(|it| &it.folders).map(|it| &it.folder).collect();
        let row = |name: String, cells: [Option<String>; 3]| {
            let [unseen, learned, contributed] = cells.map(|cell| cell.unwrap_or_else(|| "none".into()));
            [name, unseen, learned, contributed]
        };
        let means = found.map(|it| it.and_then(|it| it.unknown_by_folder).map(|mean| mean.to_string()));
        let kinds = names.into_iter().map(|name| {
            let cells = found.map(|it| {
                let folder = it?.folders.iter().find(|it| it.folder == *name)?;
                Some(format!("{} of {}", folder.unknown, folder.unknown.of))
            });
            row(name.clone(), cells)
        });
        let kinds: Vec<_> = kinds.collect();
        let mean = (!kinds.is_empty()).then(|| row("mean of the kinds".into(), means));
        mean.into_iter().chain(kinds).collect()
    }
}

fn rows<'a>(
    model: &'static str,
    held_out: &'a [Section],
    test: Option<&'a Quality>,
) -> impl Iterator<Item = (String, &'a Quality)> {
    let held_out = held_out.iter().map(move |it| (format!("{model}held out: {}", it.name), &it.quality));
    held_out.chain(test.map(|quality| (format!("{model}test"), quality)))
}

/// How good a model is on some of the held-out photos.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// Which photos.
    pub name: &'static str,
    /// How good.
    #[serde(flatten)]
    pub quality: Quality,
}

/// How good a model is; see [`Figures`], of which this is all but the speed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in Figures")]
pub struct Quality {
    pub accuracy: Share,
    pub accuracy_of_accepted: Share,
    pub calibration_error: Option<f64>,
    pub decisions: Decisions,
    pub strangers: Option<Strangers>,
    pub classes: Vec<ClassFigures>,
    pub confusion: Vec<Vec<usize>>,
    pub reliability: Vec<Bin>,
}

impl Quality {
    fn figures(&self, name: String) -> [String; 9] {
        let strangers = self.strangers.as_ref();
        let unknown = strangers.map(|it| it.decisions.unknown);
        let or_none = |number: Option<String>| number.unwrap_or_else(|| "none".into());
        [
            name,
            self.accuracy.of.to_string(),
            self.accuracy.to_string(),
            self.accuracy_of_accepted.to_string(),
            self.decisions.unknown.to_string(),
            or_none(self.calibration_error.map(|error| format!("{error:.3}"))),
            unknown.map_or(0, |it| it.of).to_string(),
            or_none(unknown.map(|it| it.to_string())),
            or_none(strangers.and_then(|it| it.auroc).map(|auroc| format!("{auroc:.3}"))),
        ]
    }
}

impl From<Figures> for Quality {
    fn from(figures: Figures) -> Self {
        let Figures { accuracy, accuracy_of_accepted, calibration_error, decisions, .. } = figures;
        let Figures { strangers, classes, confusion, reliability, .. } = figures;
        Self {
            accuracy,
            accuracy_of_accepted,
            calibration_error,
            decisions,
            strangers,
            classes,
            confusion,
            reliability,
        }
    }
}

/// Whether a photo belongs to a section.
type Belongs<'a> = &'a dyn Fn(&Photo) -> bool;

/// The photos of held-out groups all together and by where they come from, then those of held-out photos only; those that
/// there are.
pub(crate) fn sections(photos: &Photos, unseen: &Unseen, manifest: &Manifest) -> Vec<Section> {
    let is_of_shop = |photo: &Photo| photo.part == Split::Train && !photo.is_contributed;
    let sections: [(_, Belongs<'_>); 6] = [
        ("all", &|_| true),
        ("train", &|photo| is_of_shop(photo) && photos.is_of_class(photo)),
        ("validation", &|photo| photo.part == Split::Val),
        (CONTRIBUTORS, &|photo| photo.is_contributed),
        (OTHERS, &|photo| photos.is_of_others(photo)),
        ("backgrounds", &|photo| photo.part == Split::Train && photos.is_scene(photo)),
    ];
    let of_groups = sections.into_iter().map(|(name, belongs)| {
        let held_out = unseen.groups.iter().filter(|it| belongs(&photos.all[it.photo]));
        section(name, photos, held_out, manifest)
    });
    let within_kinds = section(OTHERS_OF_LEARNED_KINDS, photos, unseen.within_kinds.iter(), manifest);
    of_groups.chain([within_kinds]).flatten().collect()
}

fn section<'a>(
    name: &'static str,
    photos: &Photos,
    held_out: impl Iterator<Item = &'a HeldOut>,
    manifest: &Manifest,
) -> Option<Section> {
    let judged = held_out.filter_map(|it| {
        let label = if it.kind < photos.classes { Label::Class(it.kind) } else { Label::Stranger };
        let verdict = manifest.decide(&it.logits).ok()?;
        let judged = Judged { label, verdict, logits: it.logits.clone() };
        Some((photos.by_kind(&photos.all[it.photo]), Ok(judged)))
    });
    let judgement = Judgement { judged: judged.collect(), seconds: 1.0, threads: 1 };
    let has_any = !judgement.judged.is_empty();
    has_any.then(|| Section { name, quality: Figures::of(manifest, &judgement).into() })
}

/// All but those that were left out.
pub(crate) fn count(photos: &Photos, left_out: &[NotJudged]) -> BTreeMap<String, BTreeMap<String, usize>> {
    let left_out: HashSet<_> = left_out.iter().map(|it| it.path.as_str()).collect();
    let is_used = |photo: &&Photo| !left_out.contains(&*photo.path.display().to_string());
    let mut counts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for photo in photos.all.iter().filter(is_used) {
        let of_part = counts.entry(photo.part.to_string()).or_default();
        *of_part.entry(photos.kinds[photo.kind].clone()).or_default() += 1;
    }
    counts
}
