//! What a version must hold to be promoted.

use autorma_evaluation::{Figures, Share};
use autorma_models::{Manifest, Model};
use serde::Serialize;

use super::serving::Serving;
use crate::args::PromoteArgs;
use crate::configuration::Configuration;
use crate::evaluate::Examiner;

/// The largest expected calibration error where neither the command nor what serves allows for more.
const CALIBRATION_ERROR: f64 = 0.05;
const ACCURACY: &str = "accuracy";
const REFUSED: &str = "photos of the classes called unknown";
const ACCEPTED: &str = "photos of the classes accepted";
const FOUND: &str = "unknowns found";

/// What the gate has found.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) checks: Vec<Check>,
    /// How many photos the candidate was asked about.
    pub(super) photos: usize,
}

/// One condition of the gate.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) what: &'static str,
    pub(super) found: String,
    pub(super) wanted: String,
    pub(super) passed: bool,
}

/// Holds the candidate against what it was quantized from, and against what serves or, where nothing does, what anybody
/// would ask.
pub(super) fn examine(
    configuration: &Configuration,
    args: &PromoteArgs,
    candidate: &Model,
    reference: Option<&Model>,
    serving: Option<&Serving>,
) -> anyhow::Result<Findings> {
    let examiner = Examiner::new(configuration, &args.photos, candidate)?;
    let figures = examiner.figures(candidate)?;
    if figures.strangers.is_none() && knows_unknown(&candidate.manifest) {
        tracing::warn!(
            "there is no photo of none of the classes: nothing is found out about unknowns; --unknown names some"
        );
    }
    let mut checks = vec![judged(&figures), judged_of_each(&figures)];
    let floats = reference.map(|reference| examiner.figures(reference)).transpose()?;
    checks.extend(quantized(args, &candidate.manifest, &figures, floats.as_ref()));
    let former = serving.and_then(|serving| serving.manifest.as_ref());
    checks.extend(former.into_iter().flat_map(|former| alike(&candidate.manifest, former)));
    let beside = match serving.map(|serving| serving.model.as_ref()) {
        // The photos' folders are named by classes that one which knows others hasn't.
        Some(Ok(model)) if model.manifest.classes == candidate.manifest.classes => {
            match examiner.figures(model) {
                Ok(former) if former.accuracy.of > 0 => Some(Ok((model, former))),
                Ok(_) => Some(Err("it has no verdict on any photo of the classes")),
                Err(error) => {
                    crate::complain(&format!("what serves can't be asked: {error:#}"));
                    Some(Err("it can't be loaded"))
                }
            }
        }
        Some(Err(why)) => Some(Err(*why)),
        Some(Ok(_)) | None => None,
    };
    match beside {
        Some(Ok((model, former))) => {
            checks.extend(compared(args, &figures, &former));
            checks.push(fast(args, examiner.speed([candidate, model])?));
        }
        nothing => {
            checks.extend(nothing.and_then(Result::err).map(silent));
            checks.extend(alone(args, &figures));
        }
    }
    Ok(Findings { checks, photos: asked(&figures) })
}

/// Photos with a verdict, of the classes and of none of them, and photos without one.
fn asked(figures: &Figures) -> usize {
    let strangers = figures.strangers.as_ref().map_or(0, |it| it.decisions.unknown.of);
    figures.accuracy.of + strangers + figures.failed.len()
}

fn judged(figures: &Figures) -> Check {
    Check {
        what: "photos of the classes judged",
        found: figures.accuracy.of.to_string(),
        wanted: "at least 1".into(),
        passed: figures.accuracy.of > 0,
    }
}

/// Of a class that nothing was found out about, the version may have lost everything.
fn judged_of_each(figures: &Figures) -> Check {
    let without = figures.classes.iter().filter(|class| class.recall.of == 0).count();
    Check {
        what: "classes without a photo judged",
        found: without.to_string(),
        wanted: "0".into(),
        passed: without == 0,
    }
}

/// What the quantizing has cost, if the version was quantized. That nobody can tell is no pass.
fn quantized(
    args: &PromoteArgs,
    manifest: &Manifest,
    figures: &Figures,
    floats: Option<&Figures>,
) -> Option<Check> {
    let what = "accuracy, held against its reference";
    if manifest.lacks_reference() {
        return Some(Check {
            what,
            found: "int8 without a reference".into(),
            wanted: "a reference: register it with one, or --force it with a reason".into(),
            passed: false,
        });
    }
    let [now, before] = [figures.accuracy, floats?.accuracy];
    if before.of < now.of {
        return Some(Check {
            what,
            found: format!("a reference with a verdict on {} of the {} photos", before.of, now.of),
            wanted: "a verdict on each".into(),
            passed: false,
        });
    }
    Some(no_less(what, now, before, args.quantized))
}

/// Whether it can say that a photo is none of the classes: next to nothing reaches a threshold of 1.
fn knows_unknown(manifest: &Manifest) -> bool {
    !manifest.output.unknown.is_empty() && manifest.thresholds.unknown < 1.0
}

/// Whether a classifier could go on with it, and with what it says.
fn alike(candidate: &Manifest, serving: &Manifest) -> [Check; 3] {
    let same = |what, is_same: bool| Check {
        what,
        found: if is_same { "the same" } else { "others" }.into(),
        wanted: "the same".into(),
        passed: is_same,
    };
    let size = |manifest: &Manifest| (manifest.input.width, manifest.input.height);
    [
        same("size of its pictures", size(candidate) == size(serving)),
        same("classes it knows", candidate.classes == serving.classes),
        // Photos of the classes alone would show no harm in one that takes everything for one of them.
        Check {
            what: "can call a photo unknown",
            found: if knows_unknown(candidate) { "yes" } else { "no" }.into(),
            wanted: if knows_unknown(serving) { "yes, as what serves" } else { "whatever" }.into(),
            passed: knows_unknown(candidate) || !knows_unknown(serving),
        },
    ]
}

/// What serves can't be asked. That nobody can tell whether the candidate is worse is no pass.
fn silent(why: &str) -> Check {
    Check {
        what: "what serves can be asked",
        found: format!("no: {why}"),
        wanted: "yes, to compare with it".into(),
        passed: false,
    }
}

/// What is asked where there is nothing to compare with.
fn alone(args: &PromoteArgs, figures: &Figures) -> Vec<Check> {
    let [refused, accepted] = [figures.decisions.unknown, figures.decisions.accept];
    let mut checks = vec![
        calibrated(figures, args.calibration_error.unwrap_or(CALIBRATION_ERROR)),
        judged_all(figures, 0),
        Check {
            what: ACCURACY,
            found: percent(figures.accuracy),
            wanted: format!("at least {} %", args.accuracy),
            passed: figures.accuracy.share * 100.0 >= args.accuracy - 1e-9,
        },
        Check {
            what: REFUSED,
            found: percent(refused),
            wanted: format!("at most {} %", args.refused),
            passed: refused.share * 100.0 <= args.refused + 1e-9,
        },
        Check {
            what: ACCEPTED,
            found: percent(accepted),
            wanted: "some".into(),
            passed: accepted.share > 0.0,
        },
    ];
    // To call as many of them unknown as of the classes is chance.
    if let Some(strangers) = &figures.strangers {
        let found = strangers.decisions.unknown;
        checks.push(Check {
            what: FOUND,
            found: percent(found),
            wanted: format!("more than {}, as of the classes", percent(refused)),
            passed: found.share > refused.share,
        });
    }
    checks
}

/// What is asked beside what serves.
fn compared(args: &PromoteArgs, figures: &Figures, former: &Figures) -> Vec<Check> {
    let calibration_error = former.calibration_error.max(CALIBRATION_ERROR);
    let [now, before] = [figures.decisions, former.decisions];
    let mut checks = vec![
        calibrated(figures, args.calibration_error.unwrap_or(calibration_error)),
        judged_all(figures, former.failed.len()),
        no_less(ACCURACY, figures.accuracy, former.accuracy, args.margin),
        no_more(REFUSED, now.unknown, before.unknown, args.margin),
        no_less(ACCEPTED, now.accept, before.accept, args.margin),
        match former.accuracy_of_accepted {
            Share { of: 0, .. } => seldom_wrong(figures.accuracy_of_accepted, args.wrong),
            right => no_less("accuracy of the accepted", figures.accuracy_of_accepted, right, args.margin),
        },
    ];
    let found =
        |figures: &Figures| figures.strangers.as_ref().map_or(Share::of(0, 0), |it| it.decisions.unknown);
    if figures.strangers.is_some() || former.strangers.is_some() {
        checks.push(no_less(FOUND, found(figures), found(former), args.margin));
    }
    checks
}

/// What serves accepts nothing: that says nothing of how often the accepted may be wrong.
fn seldom_wrong(right: Share, most: f64) -> Check {
    let wrong = if right.of == 0 { 0.0 } else { 100.0 - right.share * 100.0 };
    Check {
        what: "wrong of the accepted",
        found: format!("{wrong:.2} %"),
        wanted: format!("at most {most} %, as what serves accepts none"),
        passed: wrong <= most + 1e-9,
    }
}

fn fast(args: &PromoteArgs, speed: f64) -> Check {
    Check {
        what: "speed",
        found: format!("{speed:.2} times"),
        wanted: format!("at least {:.2} times", args.speed),
        passed: speed >= args.speed,
    }
}

/// All but so many photos have a verdict.
fn judged_all(figures: &Figures, but: usize) -> Check {
    Check {
        what: "photos without a verdict",
        found: figures.failed.len().to_string(),
        wanted: format!("at most {but}"),
        passed: figures.failed.len() <= but,
    }
}

fn calibrated(figures: &Figures, most: f64) -> Check {
    Check {
        what: "expected calibration error",
        found: format!("{:.4}", figures.calibration_error),
        wanted: format!("at most {most:.4}"),
        passed: figures.calibration_error <= most,
    }
}

/// 0.3 points of 1,000 photos are three photos, whatever the last bits of the shares say.
fn no_less(what: &'static str, share: Share, former: Share, margin: f64) -> Check {
    Check {
        what,
        found: percent(share),
        wanted: format!("at least {} - {margin} points", percent(former)),
        passed: share.share * 100.0 >= former.share * 100.0 - margin - 1e-9,
    }
}

fn no_more(what: &'static str, share: Share, former: Share, margin: f64) -> Check {
    Check {
        what,
        found: percent(share),
        wanted: format!("at most {} + {margin} points", percent(former)),
        passed: share.share * 100.0 <= former.share * 100.0 + margin + 1e-9,
    }
}

fn percent(share: Share) -> String {
    format!("{:.2} %", share.share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_everything_for_a_class_is_not_promoted_over_what_knows_better() {
        let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/shipped");
        let knowing = Model::manifest(&shipped).unwrap();
        let passes = |candidate: &Manifest, serving: &Manifest| {
            alike(candidate, serving).iter().all(|check| check.passed)
        };
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
