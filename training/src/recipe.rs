use autorma_models::{is_a_version, registry::checked_name};
use serde::{Deserialize, Serialize};

/// How a model is trained: `train.toml`, of which everything that is left out has its default. `docs/recipe.md` has all
/// keys with their ranges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// The model's name: one that a registry takes, for files are named after it, too.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What all that is random begins with: the same seed gives the same model.
    pub seed: u64,
    /// How often each photo that is learned from is varied, besides being used as it is.
    pub copies: u32,
    /// Into how many parts contributors and kinds of article are divided; each part is judged by a head that hasn't
    /// learned from it (its scenes stand behind cut-out articles in what every head learns). At least 2.
    pub folds: usize,
    /// The arithmetic of the backbone in the model that ships.
    pub precision: Precision,
    /// What tells how large the numbers within the backbone become, for INT8.
    pub calibration: Calibration,
    /// How photos are varied.
    pub augmentation: Augmentation,
    /// How much photos count.
    pub weights: Weights,
    /// How the head is fitted.
    pub head: Head,
    /// How the backbone is tuned, if it is.
    pub tuning: Tuning,
    /// What the thresholds are chosen for.
    pub targets: Targets,
}

/// The arithmetic of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Convolutions in 8-bit integers: faster, and less than a third of the size.
    Int8,
    /// All of it in 32-bit floats.
    Fp32,
}

/// How many photos of each kind are looked at before the backbone is quantized, at the most; they are drawn from those
/// that are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calibration {
    /// Of the classes, sent by nobody.
    pub studio: usize,
    /// Sent by contributors, of classes and other articles.
    pub contributed: usize,
    /// Of other articles, sent by nobody.
    pub other: usize,
    /// Of scenes, whoever has sent them.
    pub backgrounds: usize,
}

/// How photos are varied; the rest is in `augment.rs`. Chances are from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Width ÷ height that square photos had before they were squashed; 1 if square ones were taken so.
    pub square_was: f32,
    /// The chance that an article on white is cut out and pasted on something else.
    pub paste: f32,
    /// The chance that a cut-out loses its upper or lower end: the head or the legs of who wears it. One chance each.
    pub cut_off: f32,
    /// The pasted article's size as a share of the picture's, at the least.
    pub smallest: f32,
    /// And at the most.
    pub largest: f32,
    /// By how many degrees it is turned, at the most.
    pub turn: f32,
    /// The least share of each side that stays when a picture is cropped.
    pub crop: f32,
    /// How far brightness, contrast and saturation are from 1, at the most.
    pub light: f32,
    /// The worst JPEG quality.
    pub worst_jpeg: u8,
    /// The best one.
    pub best_jpeg: u8,
}

/// How much a photo counts, as a multiple of others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// A photo of a class that a contributor has sent: there are few, and they are what returned goods look like.
    pub contributed: f32,
    /// A contributor's photo of something else, maybe a scene.
    pub contributed_other: f32,
    /// A photo of another article that no contributor has sent.
    pub other: f32,
    /// A photo of a scene that no contributor has sent.
    pub background: f32,
    /// All copies of a photo together, of which the photo as it is counts 1.
    pub copies: f32,
}

/// How the head is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Head {
    /// The weight of the L2 penalty, on features of mean 0 and mean variance 1.
    pub l2: f64,
    /// The most iterations of L-BFGS.
    pub iterations: usize,
}

/// How the backbone is tuned: its weights and the head's learn together, from photos that are drawn as often as they count,
/// each time in another variation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// Steps; 0 leaves the backbone as it is.
    pub steps: u32,
    /// Photos a step.
    pub batch: usize,
    /// The backbone's rate, of AdamW.
    pub rate: f32,
    /// The head's.
    pub head_rate: f32,
    /// How strongly the head's weights decay.
    pub head_decay: f32,
    /// The steps after which rates are what they are; from there they fall to 0, as half a cosine.
    pub warm_up: u32,
    /// The share of a label that is spread over all kinds.
    pub smoothing: f32,
    /// The share of features that the head doesn't see.
    pub dropout: f32,
    /// The longest gradient.
    pub longest: f32,
    /// How much of the average of the parameters is kept at each step: it ships.
    pub average: f32,
    /// By how many of the folds a tuned backbone is judged, each by one that has learned without it. Each costs as much as
    /// what ships.
    pub judged: usize,
}

/// What the thresholds are chosen for, on photos that the heads which judge them have never seen. Shares from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Targets {
    /// The largest share of photos of the classes that may be called unknown, of those that no contributor has sent.
    pub refused: f64,
    /// The same of those that a contributor has sent.
    pub refused_contributed: f64,
    /// The largest share of accepted photos of the classes that may be wrong.
    pub wrong: f64,
}

impl Recipe {
    /// From the text of `train.toml`; what is wrong with it otherwise.
    pub fn parse(text: &str) -> Result<Self, String> {
        let recipe: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        match recipe.problem() {
            Some(problem) => Err(problem.into()),
            None => Ok(recipe),
        }
    }

    fn problem(&self) -> Option<&'static str> {
        let (varied, weights, tuning) = (&self.augmentation, &self.weights, &self.tuning);
        let within = |value: f32| (0.0..=1.0).contains(&value);
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let counts = |value: f32| value.is_finite() && value > 0.0;
        let targets = [self.targets.refused, self.targets.refused_contributed, self.targets.wrong];
        let Weights { contributed, contributed_other, other, background, copies } = *weights;
        let all = [contributed, contributed_other, other, background, copies];
        let drawn = self.calibration;
        let drawn = [drawn.studio, drawn.contributed, drawn.other, drawn.backgrounds];
        let rules = [
            (
                checked_name(&self.name).is_ok(),
                "name must be of letters, digits, '-', '_' and '.', at most 64, the first a letter or digit",
            ),
            (is_a_version(&self.version), "version may have 1,024 bytes, and no control characters"),
            ((2..=100).contains(&self.folds), "folds must be within 2..100"),
            (self.copies <= 1000, "copies must be at most 1000"),
            (
                drawn.iter().any(|photos| *photos > 0) && drawn.iter().all(|photos| *photos <= 10_000),
                "calibration must be of some photos, and of each kind at most 10000",
            ),
            ((0.2..=5.0).contains(&varied.square_was), "augmentation.square_was must be within 0.2..5"),
            (within(varied.paste), "augmentation.paste must be within 0..1"),
            (within(varied.cut_off), "augmentation.cut_off must be within 0..1"),
            (
                0.1 <= varied.smallest && varied.smallest <= varied.largest && varied.largest <= 2.0,
                "augmentation.smallest and augmentation.largest must be within 0.1..2, in this order",
            ),
            ((0.0..=180.0).contains(&varied.turn), "augmentation.turn must be within 0..180"),
            ((0.1..=1.0).contains(&varied.crop), "augmentation.crop must be within 0.1..1"),
            ((0.0..1.0).contains(&varied.light), "augmentation.light must be from 0 to below 1"),
            (
                1 <= varied.worst_jpeg && varied.worst_jpeg <= varied.best_jpeg && varied.best_jpeg <= 100,
                "augmentation.worst_jpeg and augmentation.best_jpeg must be within 1..100, in this order",
            ),
            (all.into_iter().all(counts), "weights must be above 0"),
            (self.head.l2.is_finite() && self.head.l2 > 0.0, "head.l2 must be above 0"),
            (self.head.iterations > 0, "head.iterations must be above 0"),
            ((1..=4096).contains(&tuning.batch), "tuning.batch must be within 1..4096"),
            (
                u64::from(tuning.steps) * tuning.batch as u64 <= 1 << 30,
                "tuning.steps times tuning.batch must be at most 2^30",
            ),
            (
                [tuning.rate, tuning.head_rate, tuning.longest].into_iter().all(counts),
                "tuning.rate, tuning.head_rate and tuning.longest must be above 0",
            ),
            (
                [tuning.head_decay, tuning.smoothing, tuning.dropout, tuning.average]
                    .iter()
                    .all(|it| (0.0..1.0).contains(it)),
                "tuning.head_decay, smoothing, dropout and average must be from 0 to below 1",
            ),
            ((1..=self.folds).contains(&tuning.judged), "tuning.judged must be within 1..folds"),
            (targets.into_iter().all(share), "targets must be within 0..1"),
        ];
        rules.iter().find(|(kept, _)| !kept).map(|(_, rule)| *rule)
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            name: "refund-classifier".into(),
            version: "1".into(),
            seed: 1,
            copies: 10,
            folds: 5,
            precision: Precision::Int8,
            calibration: Calibration::default(),
            augmentation: Augmentation::default(),
            weights: Weights::default(),
            head: Head::default(),
            tuning: Tuning::default(),
            targets: Targets::default(),
        }
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self { studio: 150, contributed: 150, other: 60, backgrounds: 40 }
    }
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            square_was: 0.75,
            paste: 0.5,
            cut_off: 0.25,
            smallest: 0.5,
            largest: 1.1,
            turn: 25.0,
            crop: 0.7,
            light: 0.35,
            worst_jpeg: 25,
            best_jpeg: 92,
        }
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self { contributed: 16.0, contributed_other: 1.5, other: 3.0, background: 1.5, copies: 2.0 }
    }
}

impl Default for Head {
    fn default() -> Self {
        Self { l2: 1e-2, iterations: 60 }
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            steps: 0,
            batch: 128,
            rate: 2.5e-4,
            head_rate: 7.5e-4,
            head_decay: 0.01,
            warm_up: 100,
            smoothing: 0.05,
            dropout: 0.2,
            longest: 2.0,
            average: 0.998,
            judged: 1,
        }
    }
}

impl Default for Targets {
    fn default() -> Self {
        Self { refused: 0.02, refused_contributed: 0.18, wrong: 0.005 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Precision, Recipe};

    #[test]
    fn what_is_left_out_has_its_default_and_what_is_wrong_is_said() {
        assert_eq!(Recipe::parse("").unwrap(), Recipe::default());
        let recipe = Recipe::parse("copies = 3\n[head]\nl2 = 0.5").unwrap();
        assert_eq!((recipe.copies, recipe.head.l2, recipe.head.iterations), (3, 0.5, 60));
        let written = toml::to_string(&recipe).unwrap();
        assert_eq!(Recipe::parse(&written).unwrap(), recipe);
        assert_eq!(recipe.precision, Precision::Int8);
        assert_eq!(Recipe::parse("precision = \"fp32\"").unwrap().precision, Precision::Fp32);
        assert!(Recipe::parse("precision = \"int4\"").unwrap_err().contains("int8"));
        let none = "[calibration]\nstudio = 0\ncontributed = 0\nother = 0\nbackgrounds = 0";
        assert!(Recipe::parse(none).unwrap_err().contains("calibration"));
        assert!(Recipe::parse("copys = 3").unwrap_err().contains("copys"));
        assert!(Recipe::parse("folds = 1").unwrap_err().contains("folds"));
        assert!(Recipe::parse("[weights]\ncopies = nan").unwrap_err().contains("weights"));
        assert!(Recipe::parse("[augmentation]\nworst_jpeg = 93").unwrap_err().contains("worst_jpeg"));
    }

    #[test]
    fn a_name_that_no_registry_takes_or_that_leads_out_of_the_folder_is_refused() {
        for name in ["", "my model", "a/b", "../x", "/x", ".x", "grün", &"x".repeat(65)] {
            let refused = Recipe::parse(&format!("name = {name:?}")).unwrap_err();
            assert!(refused.contains("name must be of letters"), "{name:?}: {refused}");
        }
        assert_eq!(Recipe::parse("name = \"Refunds_2.1-b\"").unwrap().name, "Refunds_2.1-b");
    }

    #[test]
    fn a_version_that_no_manifest_takes_is_refused_before_hours_of_training() {
        for version in ["1\\u0007", &"1".repeat(1025)] {
            let refused = Recipe::parse(&format!("version = \"{version}\"")).unwrap_err();
            assert!(refused.contains("version may have"), "{refused}");
        }
        assert_eq!(Recipe::parse("version = \"\"").unwrap().version, "");
    }

    #[test]
    fn the_page_about_the_recipe_has_each_key_in_its_section_with_its_default_and_no_other() {
        let page = include_str!("../../docs/recipe.md");
        let written = toml::to_string(&Recipe::default()).unwrap();
        let (mut section, mut keys) = (page, 0);
        for line in written.lines().filter(|line| !line.is_empty()) {
            match line.split_once(" = ") {
                None => section = page.split(&format!("## `{line}`")).nth(1).expect(line),
                Some((key, default)) => {
                    let section = section.split("\n## `").next().unwrap();
                    assert!(section.contains(&format!("\n| `{key}` | {default} | ")), "{line}");
                    keys += 1;
                }
            }
        }
        assert_eq!(page.matches("\n| `").count(), keys, "it names keys that aren't there");
    }
}
