//! What a model's numbers are divided by, and where its decisions change: chosen on photos that the heads which judge them
//! have never seen.

use std::collections::HashMap;

use autorma_evaluation::{Share, UnknownErrors as Errors};
use autorma_models::{Manifest, Thresholds};
use serde::Serialize;

use crate::Error;
use crate::recipe::Targets;

/// A photo and what a head that has never seen its like says of it.
#[derive(Debug, Clone)]
pub(crate) struct HeldOut {
    /// The photo's number.
    pub(crate) photo: usize,
    /// The number of its kind; classes come first.
    pub(crate) kind: usize,
    pub(crate) is_contributed: bool,
    pub(crate) logits: Vec<f32>,
}

/// What was said of photos by heads that had never seen them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unseen {
    /// By heads that hadn't learned from their groups. They choose thresholds.
    pub(crate) groups: Vec<HeldOut>,
    /// Of other articles, by heads that have learned others of their kinds; none from a tuned backbone.
    pub(crate) within_kinds: Vec<HeldOut>,
}

/// Both errors of a threshold for unknown, and the first of contributors' photos alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct UnknownErrors {
    /// The threshold.
    pub threshold: f64,
    /// The share of photos of the classes that are called unknown.
    pub refused: f64,
    /// The share of photos of none of the classes that are not; None if there are no such photos.
    pub missed: Option<f64>,
    /// The share of photos of the classes that a contributor has sent and that are called unknown; None if there are none.
    pub refused_contributed: Option<f64>,
}

/// Chooses what the logits are divided by, and where decisions change.
///
/// # Errors
/// [`Error::TooLittle`] if nothing was said of any photo of a class, or nothing but what is no number.
pub(crate) fn choose(manifest: &mut Manifest, held_out: &[HeldOut], targets: &Targets) -> Result<(), Error> {
    if !held_out.iter().any(|it| is_known(it, manifest.classes.len())) {
        return Err(Error::TooLittle(
            "no photo of a class could be judged: nothing says where decisions should change".into(),
        ));
    }
    manifest.temperature = temperature(held_out, manifest.classes.len());
    if [COLDEST, HOTTEST].map(thousandth).contains(&manifest.temperature) {
        tracing::warn!(
            held_out = held_out.len(),
            temperature = manifest.temperature,
            "nothing in its range makes the confidences fit: they mean little. Too few photos are taken for another class, or \
             nearly all are"
        );
    }
    manifest.thresholds = thresholds(held_out, manifest, targets);
    if !manifest.thresholds.accepts() {
        tracing::warn!(
            held_out = held_out.len(),
            "too few photos show that at most targets.wrong of the accepted are wrong: the model accepts nothing"
        );
    }
    if manifest.thresholds.unknown == 1.0 {
        let judged: Vec<_> = held_out.iter().filter_map(|it| Judged::of(it, manifest)).collect();
        tracing::warn!(
            held_out = held_out.len(),
            targets = unkept(&judged, LAST_STEP, targets).join(" and "),
            "only a model that calls next to nothing unknown keeps to these targets: raise them, or give it more photos \
             like those that it takes for unknown"
        );
    }
    Ok(())
}

/// How often the one and the other are right about the photos of classes that both have judged.
pub(crate) fn both_right(one: &[HeldOut], other: &[HeldOut], classes: usize) -> [Share; 2] {
    let others: HashMap<_, _> = other.iter().map(|it| (it.photo, it)).collect();
    let known = one.iter().filter(|it| it.kind < classes);
    let both: Vec<_> = known.filter_map(|it| Some([it, *others.get(&it.photo)?])).collect();
    let is_right = |it: &HeldOut| {
        (0..classes).max_by(|one, other| it.logits[*one].total_cmp(&it.logits[*other])) == Some(it.kind)
    };
    [0, 1].map(|whose| Share::count(&both, |pair| is_right(pair[whose])))
}

/// Whether it is of a class, and numbers are said of it.
fn is_known(held_out: &HeldOut, classes: usize) -> bool {
    held_out.kind < classes && held_out.logits.iter().all(|logit| logit.is_finite())
}

/// The highest threshold for unknown that isn't 1.
const LAST_STEP: f64 = 0.999;

/// The lowest and the highest temperature, in thousandths.
const COLDEST: u32 = 50;
const HOTTEST: u32 = 10_000;

/// What the logits are divided by: of 0.050 to 10.000, that which makes the right class most probable among the classes
/// (Guo et al. 2017). 1 if no photo is of a class.
fn temperature(held_out: &[HeldOut], classes: usize) -> f64 {
    let known: Vec<_> = held_out.iter().filter(|it| is_known(it, classes)).collect();
    if known.is_empty() {
        return 1.0;
    }
    let loss = |thousandths: u32| {
        let temperature = thousandth(thousandths);
        let loss = |it: &&HeldOut| {
            let scaled: Vec<_> = it.logits[..classes].iter().map(|it| f64::from(*it) / temperature).collect();
            let highest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scaled.iter().map(|it| (it - highest).exp()).sum();
            sum.ln() + highest - scaled[it.kind]
        };
        known.iter().map(loss).sum::<f64>()
    };
    // It falls and then rises.
    let (mut low, mut high) = (COLDEST, HOTTEST);
    while high - low > 2 {
        let third = (high - low) / 3;
        if loss(low + third) <= loss(high - third) { high -= third } else { low += third }
    }
    let best = (low..=high).min_by(|one, other| loss(*one).total_cmp(&loss(*other)));
    thousandth(best.unwrap_or(1000))
}

fn thousandth(number: u32) -> f64 {
    f64::from(number) / 1000.0
}

/// The lowest threshold for unknown that keeps to the targets, so that as few strangers as possible get past it; then the
/// lowest for acceptance that does, counting one error more than was seen. Both are in thousandths.
fn thresholds(held_out: &[HeldOut], manifest: &Manifest, targets: &Targets) -> Thresholds {
    let judged: Vec<_> = held_out.iter().filter_map(|it| Judged::of(it, manifest)).collect();
    let known: Vec<_> = judged.iter().filter(|it| it.right.is_some()).collect();
    let steps = || (1..=1000).map(|step| f64::from(step) / 1000.0);
    let unknown = steps().find(|step| unkept(&judged, *step, targets).is_empty()).unwrap_or(1.0);
    let is_trusted = |threshold: &f64| {
        let accepted: Vec<_> =
            known.iter().filter(|it| it.unknown < unknown && it.confidence >= *threshold).collect();
        let wrong = accepted.iter().filter(|it| it.right == Some(false)).count();
        (wrong + 1) as f64 <= targets.wrong * (accepted.len() + 1) as f64
    };
    let least = 1.0 / manifest.classes.len() as f64;
    let accept = steps().filter(|it| *it >= least).find(is_trusted).unwrap_or(1.0);
    Thresholds { accept, unknown }
}

/// The targets that a threshold for unknown doesn't keep to.
fn unkept(judged: &[Judged], threshold: f64, targets: &Targets) -> Vec<&'static str> {
    let refused = |is_contributed: bool| {
        let known = judged.iter().filter(|it| it.right.is_some() && it.is_contributed == is_contributed);
        share(known, |it| it.unknown >= threshold)
    };
    let all = [
        ("targets.refused", refused(false), targets.refused),
        ("targets.refused_contributed", refused(true), targets.refused_contributed),
    ];
    all.into_iter().filter(|(_, refused, most)| refused > most).map(|(name, ..)| name).collect()
}

/// Both errors at thresholds from 0 to 1, evenly.
pub(crate) fn curve(held_out: &[HeldOut], manifest: &Manifest) -> Vec<UnknownErrors> {
    let judged: Vec<_> = held_out.iter().filter_map(|it| Judged::of(it, manifest)).collect();
    let unknown = |wanted: fn(&Judged) -> bool| -> Vec<f64> {
        judged.iter().filter(|it| wanted(it)).map(|it| it.unknown).collect()
    };
    let (known, strangers) = (unknown(|it| it.right.is_some()), unknown(|it| it.right.is_none()));
    let contributed = unknown(|it| it.right.is_some() && it.is_contributed);
    let (all, of_contributed) = (Errors::curve(&known, &strangers), Errors::curve(&contributed, &[]));
    let errors = |(all, of_contributed): (Errors, Errors)| UnknownErrors {
        threshold: all.threshold,
        refused: all.refused,
        missed: (!strangers.is_empty()).then_some(all.missed),
        refused_contributed: (!contributed.is_empty()).then_some(of_contributed.refused),
    };
    all.into_iter().zip(of_contributed).map(errors).collect()
}

/// What is said of a photo, in the manifest's words.
struct Judged {
    /// Whether the best class is the right one; None for a photo of none.
    right: Option<bool>,
    confidence: f64,
    unknown: f64,
    is_contributed: bool,
}

impl Judged {
    fn of(held_out: &HeldOut, manifest: &Manifest) -> Option<Self> {
        let verdict = manifest.decide(&held_out.logits).ok()?;
        let right = manifest.classes.get(held_out.kind).map(|class| *class == verdict.predicted_class);
        Some(Self {
            right,
            confidence: verdict.confidence,
            unknown: verdict.unknown_probability,
            is_contributed: held_out.is_contributed,
        })
    }
}

/// 0 of nothing.
fn share<T>(all: impl Iterator<Item = T>, is_so: impl Fn(T) -> bool) -> f64 {
    Share::count(all, is_so).share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use autorma_models::Model;
    use std::path::Path;

    fn manifest() -> Manifest {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/shipped");
        let mut manifest = Model::manifest(&shipped).unwrap();
        manifest.classes.truncate(2);
        manifest.output.unknown.truncate(1);
        manifest.temperature = 1.0;
        manifest
    }

    fn held_out(kind: usize, logits: [f32; 3]) -> HeldOut {
        HeldOut { photo: 0, kind, is_contributed: false, logits: logits.into() }
    }

    #[test]
    fn the_temperature_undoes_what_makes_a_head_too_sure() {
        // Right with a probability of σ(2), and says 4 × the logit.
        let mut dice = Dice::new(1, b"", 0);
        let honest = 1.0 / (1.0 + (-2.0_f32).exp());
        let all: Vec<_> =
            (0..20_000).map(|_| held_out(usize::from(!dice.happens(honest)), [8.0, 0.0, 3.0])).collect();
        let temperature = temperature(&all, 2);
        assert!((temperature - 4.0).abs() < 0.15, "{temperature}");
        assert_eq!(super::temperature(&[], 2), 1.0);
    }

    #[test]
    fn a_head_that_says_no_numbers_chooses_nothing() {
        let (nan, targets) = (held_out(0, [f32::NAN; 3]), Targets::default());
        let stranger = held_out(2, [1.0, 0.0, 2.0]);
        for nothing in [vec![], vec![nan.clone()], vec![stranger]] {
            let refused = choose(&mut manifest(), &nothing, &targets);
            assert!(matches!(refused, Err(Error::TooLittle(_))), "{refused:?}");
        }
        let (mut with, mut without) = (manifest(), manifest());
        let all: Vec<_> = (0..9).map(|i| held_out(i % 2, [2.0, i as f32, 0.0])).collect();
        choose(&mut without, &all, &targets).unwrap();
        choose(&mut with, &[all, vec![nan]].concat(), &targets).unwrap();
        assert_eq!((with.temperature, with.thresholds), (without.temperature, without.thresholds));
    }

    #[test]
    fn thresholds_keep_to_their_targets_and_no_more_than_needed() {
        // Of a hundred photos of a class, each a little likelier to be unknown; the surest are right.
        let mut all: Vec<_> = (0..100).map(|i| held_out(0, [5.0, 0.0, i as f32 / 10.0])).collect();
        all.extend((0..5).map(|i| held_out(1, [0.5 + i as f32 / 10.0, 0.0, -9.0])));
        all.extend((0..50).map(|i| held_out(2, [1.0, 0.0, i as f32 / 5.0])));
        let manifest = manifest();
        let targets = Targets { refused: 0.1, refused_contributed: 0.0, wrong: 0.02 };
        let Thresholds { accept, unknown } = thresholds(&all, &manifest, &targets);
        let refused = |threshold: f64| {
            let judged = all.iter().filter(|it| it.kind < 2).map(|it| Judged::of(it, &manifest).unwrap());
            share(judged, |it| it.unknown >= threshold)
        };
        assert!(refused(unknown) <= 0.1 && refused(unknown - 0.001) > 0.1, "{unknown}");
        // All five wrong ones have a confidence of 0.71 at the most.
        assert!((0.7..0.75).contains(&accept), "{accept}");
        let of_all = curve(&all, &manifest);
        assert!(
            of_all.windows(2).all(|two| two[1].refused <= two[0].refused && two[1].missed >= two[0].missed)
        );
        assert_eq!((of_all[0].refused, of_all[0].missed), (1.0, Some(0.0)));
    }

    #[test]
    fn of_photos_that_there_are_none_of_no_error_is_said() {
        let manifest = manifest();
        let sent = |is_contributed| HeldOut { is_contributed, ..held_out(0, [5.0, 0.0, 0.0]) };
        let all = [sent(false), sent(true), held_out(2, [1.0, 0.0, 9.0])];
        let said = |held_out: &[HeldOut]| {
            let middle = curve(held_out, &manifest)[100];
            (middle.refused, middle.missed, middle.refused_contributed)
        };
        assert_eq!(said(&all), (0.0, Some(0.0), Some(0.0)));
        assert_eq!(said(&all[..1]), (0.0, None, None));
        assert_eq!(said(&all[1..2]), (0.0, None, Some(0.0)));
    }

    #[test]
    fn two_are_held_against_each_other_by_the_photos_of_classes_that_both_have_judged() {
        let of = |photo, kind, logits| HeldOut { photo, ..held_out(kind, logits) };
        let (wrong, right) = ([0.0, 1.0, 9.0], [1.0, 0.0, 9.0]);
        let one = [of(1, 0, wrong), of(2, 0, right), of(3, 2, right), of(5, 0, right)];
        let other = [of(1, 0, right), of(2, 0, right), of(3, 2, wrong), of(4, 0, wrong)];
        assert_eq!(both_right(&one, &other, 2), [Share::of(1, 2), Share::of(2, 2)]);
    }

    #[test]
    fn a_target_that_can_t_be_kept_accepts_and_refuses_next_to_nothing() {
        let all: Vec<_> = (0..10).map(|_| held_out(1, [5.0, 0.0, -5.0])).collect();
        let targets = Targets { refused: 0.0, refused_contributed: 0.0, wrong: 0.0 };
        assert_eq!(thresholds(&all, &manifest(), &targets).accept, 1.0);
    }

    #[test]
    fn a_target_for_which_nothing_may_be_unknown_is_named() {
        let mut all: Vec<_> = (0..10).map(|_| held_out(0, [5.0, 0.0, 0.0])).collect();
        all.push(HeldOut { is_contributed: true, ..held_out(0, [0.0, 0.0, 50.0]) });
        let (manifest, targets) =
            (manifest(), Targets { refused: 0.0, refused_contributed: 0.5, wrong: 0.5 });
        assert_eq!(thresholds(&all, &manifest, &targets).unknown, 1.0);
        let judged: Vec<_> = all.iter().map(|it| Judged::of(it, &manifest).unwrap()).collect();
        assert_eq!(unkept(&judged, LAST_STEP, &targets), ["targets.refused_contributed"]);
        let none = Targets { refused: -1.0, ..targets };
        assert_eq!(unkept(&judged, LAST_STEP, &none), ["targets.refused", "targets.refused_contributed"]);
        assert_eq!(unkept(&judged, LAST_STEP, &Targets { refused_contributed: 1.0, ..targets }), [""; 0]);
    }
}
