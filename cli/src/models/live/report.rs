//! What `autorma models compare-live` says.

use std::collections::BTreeMap;
use std::fmt;

use autorma_evaluation::Share;
use autorma_schemas::{Agreement, Decision, ModelVersion};
use serde::Serialize;

use super::tally::{Difference, Pair, Side, Tally, Verdict};
use crate::table::Table;
use crate::words::{counted, model_name};

/// One JSON object, or tables.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// All that were chosen.
    predictions: usize,
    /// Each published version with each version that computed along, the pair that was compared last at the end.
    shadows: Vec<Compared>,
    arms: Vec<Arm>,
    /// How many photos a table lists.
    #[serde(skip)]
    list: usize,
}

#[derive(Debug, Serialize)]
struct Compared {
    published: Figures,
    shadow: Figures,
    photos: usize,
    /// Of which they say the same: class and decision, or unknown.
    same: Share,
    /// The same class, or unknown both.
    same_class: Share,
    classes: Vec<Class>,
    differences: Vec<Difference>,
}

/// Photos that one class is published of.
#[derive(Debug, Serialize)]
struct Class {
    predicted_class: String,
    /// Of which the shadow says it too.
    same_class: Share,
    /// How often it says which other one.
    instead: BTreeMap<String, usize>,
}

#[derive(Debug, Serialize)]
struct Arm {
    arm: String,
    #[serde(flatten)]
    figures: Figures,
    /// Of all photos that were split.
    share: Share,
}

/// What a version says of photos.
#[derive(Debug, Serialize)]
struct Figures {
    model: ModelVersion,
    photos: usize,
    accept: Share,
    review: Share,
    unknown: Share,
    mean_confidence: f64,
}

impl Report {
    pub(super) fn of(tally: Tally, list: usize) -> Self {
        let mut pairs: Vec<_> = tally.pairs.into_iter().collect();
        pairs.sort_by_key(|(_, pair)| pair.last);
        let split = tally.arms.values().map(|side| side.photos).sum();
        let arm = |((arm, model), side): ((String, ModelVersion), Side)| Arm {
            arm,
            share: Share::of(side.photos, split),
            figures: Figures::of(model, &side),
        };
        Self {
            predictions: tally.predictions,
            shadows: pairs.into_iter().map(|(models, pair)| Compared::of(models, pair)).collect(),
            arms: tally.arms.into_iter().map(arm).collect(),
            list,
        }
    }
}

impl Compared {
    fn of((published, shadow): (ModelVersion, ModelVersion), pair: Pair) -> Self {
        let photos = pair.published.photos;
        let count = |agreement| pair.agreements.get(&agreement).copied().unwrap_or(0);
        let same = count(Agreement::Same);
        let class = |(predicted_class, mut said): (String, BTreeMap<String, usize>)| {
            let of = said.values().sum();
            let same_class = Share::of(said.remove(&predicted_class).unwrap_or(0), of);
            Class { predicted_class, same_class, instead: said }
        };
        let mut differences = pair.differences;
        // Those that matter most first: another class, and then where both are surest.
        let sureness = |it: &Difference| it.published.confidence.min(it.shadow.confidence);
        differences.sort_by(|one, other| {
            other.agreement.cmp(&one.agreement).then_with(|| sureness(other).total_cmp(&sureness(one)))
        });
        Self {
            published: Figures::of(published, &pair.published),
            shadow: Figures::of(shadow, &pair.shadow),
            photos,
            same: Share::of(same, photos),
            same_class: Share::of(same + count(Agreement::OtherDecision), photos),
            classes: pair.classes.into_iter().map(class).collect(),
            differences,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, list: usize) -> fmt::Result {
        let (published, shadow) = (model_name(&self.published.model), model_name(&self.shadow.model));
        writeln!(f, "{shadow} as the shadow of {published}, {}:\n", counted(self.photos, "photo"))?;
        let mut main = Table::new(["", "per cent"]);
        main.row(["the same class and decision, or unknown".into(), self.same.to_string()]);
        main.row(["the same class, or unknown".into(), self.same_class.to_string()]);
        writeln!(f, "{main}")?;
        let mut sides = Table::new(["", "accepted", "to review", "unknown", "mean confidence"]);
        for (who, it) in [("published", &self.published), ("shadow", &self.shadow)] {
            let [accept, review, unknown, mean] = it.cells();
            sides.row([who.into(), accept, review, unknown, mean]);
        }
        writeln!(f, "{sides}")?;
        let mut classes = Table::new(["published class", "photos", "the shadow too", "and instead"]);
        for it in &self.classes {
            let instead: Vec<_> =
                it.instead.iter().map(|(class, count)| format!("{class} {count}")).collect();
            let photos = it.same_class.of.to_string();
            classes.row([it.predicted_class.clone(), photos, it.same_class.to_string(), instead.join(", ")]);
        }
        writeln!(f, "{classes}")?;
        let listed = self.differences.len().min(list);
        if listed > 0 {
            let mut photos = Table::new(["photo", "published", "shadow"]);
            for it in &self.differences[..listed] {
                let photo = it.path.clone().unwrap_or_else(|| it.name.clone());
                photos.row([photo, it.published.to_string(), it.shadow.to_string()]);
            }
            writeln!(f, "{photos}")?;
        }
        match self.differences.len() - listed {
            0 => Ok(()),
            more => writeln!(f, "{more} more differ: --list N lists them here, --json all.\n"),
        }
    }
}

impl Figures {
    fn of(model: ModelVersion, side: &Side) -> Self {
        let share = |decision| Share::of(side.decisions.get(&decision).copied().unwrap_or(0), side.photos);
        let [accept, review, unknown] = Decision::ALL.map(share);
        let mean_confidence = (side.confidence / side.photos.max(1) as f64 * 1e6).round() / 1e6;
        Self { model, photos: side.photos, accept, review, unknown, mean_confidence }
    }

    fn cells(&self) -> [String; 4] {
        let [accept, review, unknown] =
            [self.accept, self.review, self.unknown].map(|share| share.to_string());
        [accept, review, unknown, format!("{:.4}", self.mean_confidence)]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for compared in &self.shadows {
            compared.write(f, self.list)?;
        }
        if !self.arms.is_empty() {
            let names =
                ["arm", "version", "photos", "of all", "accepted", "to review", "unknown", "mean confidence"];
            let mut arms = Table::new(names);
            for it in &self.arms {
                let [accept, review, unknown, mean] = it.figures.cells();
                let (version, photos) = (model_name(&it.figures.model), it.figures.photos.to_string());
                let (arm, share) = (it.arm.clone(), it.share.to_string());
                arms.row([arm, version, photos, share, accept, review, unknown, mean]);
            }
            writeln!(f, "{arms}")?;
        }
        let predictions = counted(self.predictions, "prediction");
        writeln!(f, "Shares in per cent, with their 95 % intervals, of {predictions}.")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {:.4}", self.predicted_class, self.decision, self.confidence)
    }
}
