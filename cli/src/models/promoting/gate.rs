//! What a version must hold to be promoted.

use anyhow::bail;
use autorma_evaluation::{Figures, NotJudged, Share};
use autorma_models::registry::RegistryError;
use autorma_models::{Manifest, Model};
use serde::Serialize;

use super::check::{Check, Figure};
use super::classes::{hardly_found, judged_of_each, lost};
use super::serving::Serving;
use crate::args::PromoteArgs;
use crate::configuration::Configuration;
use crate::evaluate::Examiner;
use crate::output::complain;

/// The largest expected calibration error where neither the command nor what serves allows for more.
const CALIBRATION_ERROR: f64 = 0.05;
const ACCURACY: &str = "accuracy";
const HELD: &str = "accuracy, held against its reference";
const REFUSED: &str = "photos of the classes called unknown";
const ACCEPTED: &str = "photos of the classes accepted";
const FOUND: &str = "unknowns found";
const TAKEN: &str = "unknowns accepted";

/// What the gate has found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    pub(super) checks: Vec<Check>,
    /// How many photos the candidate was asked about.
    pub(super) photos: usize,
    /// How many of them are of none of the classes and have a verdict: without any, nothing is found out about unknowns.
    pub(super) unknowns: usize,
    /// Those that it says nothing of.
    pub(super) failed: Vec<NotJudged>,
}

/// Holds the candidate against what it was quantized from, and against what serves or, where nothing does, what anybody
/// would ask.
pub(super) fn examine(
    configuration: &Configuration,
    args: &PromoteArgs,
    candidate: &Model,
    reference: Result<Option<Model>, RegistryError>,
    serving: Option<&Serving>,
) -> anyhow::Result<Findings> {
    let examiner = Examiner::new(configuration, &args.photos, candidate)?;
    let judgement = examiner.ask(candidate)?;
    let figures = Figures::of(&candidate.manifest, &judgement);
    let unknowns = figures.strangers.as_ref().map_or(0, |it| it.decisions.unknown.of);
    if unknowns == 0 && knows_unknown(&candidate.manifest) {
        tracing::warn!(
            "there is no photo of none of the classes: nothing is found out about unknowns; --unknown names some"
        );
    }
    let mut checks = vec![judged(&figures), judged_of_each(&figures.classes)];
    checks.extend(quantized(args, &examiner, candidate, reference, &figures));
    let former = serving.and_then(|serving| serving.manifest.as_ref());
    checks.extend(former.into_iter().flat_map(|former| alike(&candidate.manifest, former)));
    let beside = match serving.map(|serving| serving.model.as_ref()) {
        // The photos' folders are named by classes that one which knows others hasn't.
        Some(Ok(model)) if model.manifest.classes == candidate.manifest.classes => {
            match examiner.ask(model).map(|said| (Figures::of(&model.manifest, &said), said)) {
                Ok((former, said)) if former.accuracy.of > 0 => Some(Ok((model, former, said))),
                Ok(_) => Some(Err("it has no verdict on any photo of the classes")),
                Err(error) => {
                    complain(&format!("what serves can't be asked: {error:#}"));
                    Some(Err("it can't be loaded"))
                }
            }
        }
        Some(Err(why)) => Some(Err(*why)),
        Some(Ok(_)) | None => None,
    };
    match beside {
        Some(Ok((model, former, said))) => {
            checks.extend(compared(args, &figures, &former));
            checks.push(fast(args, examiner.speed([(candidate, &judgement), (model, &said)])?));
        }
        nothing => {
            checks.extend(nothing.and_then(Result::err).map(silent));
            checks.extend(alone(args, &figures));
        }
    }
    let photos = figures.accuracy.of + unknowns + figures.failed.len();
    Ok(Findings { checks, photos, unknowns, failed: figures.failed })
}

fn judged(figures: &Figures) -> Check {
    Check::at_least("photos of the classes judged", Figure::count(figures.accuracy.of), 1.0, "at least 1")
}

/// What the quantizing has cost, if the version was quantized. That nobody can tell is no pass.
fn quantized(
    args: &PromoteArgs,
    examiner: &Examiner<'_>,
    candidate: &Model,
    reference: Result<Option<Model>, RegistryError>,
    figures: &Figures,
) -> Option<Check> {
    if let Some(sign) = candidate.quantized_without_reference() {
        let wanted = "a reference: register it with one, or --force it with a reason";
        return Some(Check::said(HELD, format!("{sign} without a reference"), wanted, false));
    }
    let reference = reference.map_err(anyhow::Error::from);
    let floats = match reference.and_then(|it| it.map(|it| in_floats(examiner, &it)).transpose()) {
        Ok(floats) => floats?,
        Err(error) => {
            complain(&format!("the version's reference can't be asked: {error:#}"));
            return Some(Check::said(HELD, "a reference that can't be asked", "a verdict on each", false));
        }
    };
    let [now, before] = [figures.accuracy, floats.accuracy];
    if before.of < now.of {
        let found = format!("a reference with a verdict on {} of the {} photos", before.of, now.of);
        return Some(Check::said(HELD, found, "a verdict on each", false));
    }
    Some(Check::no_less(HELD, now, before, args.quantized))
}

/// How good a reference is, which is no measure if it was quantized itself.
fn in_floats(examiner: &Examiner<'_>, reference: &Model) -> anyhow::Result<Figures> {
    match reference.quantized_without_reference() {
        Some(sign) => bail!("it has {sign}: register the version with the floats that it was quantized from"),
        None => examiner.figures(reference),
    }
}

/// Whether it can say that a photo is none of the classes: next to nothing reaches a threshold of 1.
fn knows_unknown(manifest: &Manifest) -> bool {
    !manifest.output.unknown.is_empty() && manifest.thresholds.unknown < 1.0
}

/// Whether a classifier could go on with it, and with what it says.
fn alike(candidate: &Manifest, serving: &Manifest) -> [Check; 3] {
    let same = |what, is_same: bool| {
        Check::said(what, if is_same { "the same" } else { "others" }, "the same", is_same)
    };
    let size = |manifest: &Manifest| (manifest.input.width, manifest.input.height);
    let [knows, must_know] = [candidate, serving].map(knows_unknown);
    [
        same("size of its pictures", size(candidate) == size(serving)),
        same("classes it knows", candidate.classes == serving.classes),
        // Photos of the classes alone would show no harm in one that takes everything for one of them.
        Check::said(
            "can call a photo unknown",
            if knows { "yes" } else { "no" },
            if must_know { "yes, as what serves" } else { "whatever" },
            knows || !must_know,
        ),
    ]
}

/// What serves can't be asked. That nobody can tell whether the candidate is worse is no pass.
fn silent(why: &str) -> Check {
    Check::said("what serves can be asked", format!("no: {why}"), "yes, to compare with it", false)
}

/// What is asked where there is nothing to compare with.
fn alone(args: &PromoteArgs, figures: &Figures) -> Vec<Check> {
    let [refused, accepted] = [figures.decisions.unknown, figures.decisions.accept];
    let least = format!("at least {} %", args.accuracy);
    let most = format!("at most {} %", args.refused);
    let mut checks = vec![
        calibrated(figures, args.calibration_error.unwrap_or(CALIBRATION_ERROR)),
        judged_all(figures, 0),
        Check::at_least(ACCURACY, Figure::percent(figures.accuracy), args.accuracy, least),
        hardly_found(&figures.classes, args.accuracy),
        Check::at_most(REFUSED, Figure::percent(refused), args.refused, most),
        Check::of(ACCEPTED, Figure::percent(accepted), Some(0.0), "some", accepted.share > 0.0),
        seldom_wrong(figures.accuracy_of_accepted, args.wrong),
    ];
    // To call as many of them unknown as of the classes is chance, and so it is to accept as many.
    if let Some(strangers) = &figures.strangers {
        let [found, taken] = [strangers.decisions.unknown, strangers.decisions.accept];
        let bound = Figure::percent(refused);
        let wanted = format!("more than {}, as of the classes", bound.words);
        let passed = found.share > refused.share;
        checks.push(Check::of(FOUND, Figure::percent(found), bound.number, wanted, passed));
        let bound = Figure::percent(accepted);
        let wanted = format!("none, or less than {}, as of the classes", bound.words);
        let passed = taken.share == 0.0 || taken.share < accepted.share;
        checks.push(Check::of(TAKEN, Figure::percent(taken), bound.number, wanted, passed));
    }
    checks
}

/// What is asked beside what serves.
fn compared(args: &PromoteArgs, figures: &Figures, former: &Figures) -> Vec<Check> {
    let calibration_error = former.calibration_error.unwrap_or_default().max(CALIBRATION_ERROR);
    let [now, before] = [figures.decisions, former.decisions];
    let mut checks = vec![
        calibrated(figures, args.calibration_error.unwrap_or(calibration_error)),
        judged_all(figures, former.failed.len()),
        Check::no_less(ACCURACY, figures.accuracy, former.accuracy, args.margin),
        lost(&figures.classes, &former.classes, args.margin),
        Check::no_more(REFUSED, now.unknown, before.unknown, args.margin),
        Check::no_less(ACCEPTED, now.accept, before.accept, args.margin),
        match former.accuracy_of_accepted {
            Share { of: 0, .. } => seldom_wrong(figures.accuracy_of_accepted, args.wrong),
            right => {
                Check::no_less("accuracy of the accepted", figures.accuracy_of_accepted, right, args.margin)
            }
        },
    ];
    // What serves may have no verdict on any of them, and is no measure then.
    if let Some(before) = &former.strangers {
        let found = figures.strangers.as_ref().map_or(Share::of(0, 0), |now| now.decisions.unknown);
        checks.push(Check::no_less(FOUND, found, before.decisions.unknown, args.margin));
    }
    if let (Some(now), Some(before)) = (&figures.strangers, &former.strangers) {
        checks.push(Check::no_more(TAKEN, now.decisions.accept, before.decisions.accept, args.margin));
    }
    checks
}

/// Nothing serves, or what serves accepts nothing: that says nothing of how often the accepted may be wrong.
fn seldom_wrong(right: Share, most: f64) -> Check {
    let wrong = 100.0 - right.share * 100.0;
    let wanted = format!("at most {most} %, as there is none to compare with");
    Check::at_most(
        "wrong of the accepted",
        Figure::of(right.of, wrong, format!("{wrong:.2} %")),
        most,
        wanted,
    )
}

fn fast(args: &PromoteArgs, speed: Option<f64>) -> Check {
    let wanted = format!("at least {:.2} times", args.speed);
    // There is none where no photo has a verdict of both.
    let photos = usize::from(speed.is_some());
    let speed = speed.unwrap_or_default();
    Check::at_least("speed", Figure::of(photos, speed, format!("{speed:.2} times")), args.speed, wanted)
}

/// All but so many photos have a verdict.
fn judged_all(figures: &Figures, but: usize) -> Check {
    let without = Figure::count(figures.failed.len());
    Check::at_most("photos without a verdict", without, but as f64, format!("at most {but}"))
}

fn calibrated(figures: &Figures, most: f64) -> Check {
    let error = figures.calibration_error.unwrap_or_default();
    let wanted = format!("at most {most:.4}");
    let error = Figure::of(figures.accuracy.of, error, format!("{error:.4}"));
    Check::at_most("expected calibration error", error, most, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Manifest {
        Model::manifest(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/shipped")).unwrap()
    }

    fn passes(candidate: &Manifest, serving: &Manifest) -> bool {
        alike(candidate, serving).iter().all(|check| check.passed)
    }

    #[test]
    fn what_running_classifiers_could_not_go_on_with_is_not_promoted() {
        let serving = shipped();
        let [mut wide, mut high, mut other] = std::array::from_fn(|_| serving.clone());
        wide.input.width += 1;
        high.input.height += 1;
        other.classes.swap(0, 1);
        assert!([wide, high, other].iter().all(|candidate| !passes(candidate, &serving)));
    }

    #[test]
    fn what_takes_everything_for_a_class_is_not_promoted_over_what_knows_better() {
        let knowing = shipped();
        let [mut nameless, mut boundless] = [knowing.clone(), knowing.clone()];
        nameless.output.unknown.clear();
        boundless.thresholds.unknown = 1.0;
        assert!(passes(&knowing, &knowing));
        for trusting in [nameless, boundless] {
            assert!(!passes(&trusting, &knowing));
            assert!(passes(&knowing, &trusting) && passes(&trusting, &trusting));
        }
    }
}
