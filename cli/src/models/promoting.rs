use std::process::ExitCode;

use anyhow::bail;
use autorma_evaluation::{Figures, Share};
use autorma_models::Model;
use serde::Serialize;

use super::signed;
use crate::args::PromoteArgs;
use crate::configuration::Configuration;
use crate::evaluate::Examiner;
use crate::inspect::json_text;
use crate::table::Table;

/// What came of a promotion.
#[derive(Debug, Serialize)]
struct Promotion {
    model: String,
    version: u64,
    alias: String,
    /// What the alias named before.
    former: Option<u64>,
    checks: Vec<Check>,
    promoted: bool,
}

/// One condition of the gate.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    found: String,
    wanted: String,
    passed: bool,
}

/// `autorma models promote`.
pub(super) fn promote(configuration: &Configuration, args: &PromoteArgs) -> anyhow::Result<ExitCode> {
    let registry = &*configuration.registry()?;
    let (name, version) = (&args.reference.name, registry.resolve(&args.reference)?);
    let candidate = registry.load(name, version)?;
    let former = registry.now(name, &args.to)?;
    let serving = former.filter(|former| *former != version).map(|number| registry.load(name, number));
    if let Some(Err(error)) = &serving {
        eprintln!("autorma: the version that {} names can't be compared with: {error}", args.to);
    }
    // What can't be loaded is no measure.
    let reference = registry.reference(name, version)?;
    let serving = serving.and_then(Result::ok);
    let checks = checks(configuration, args, &candidate, reference.as_ref(), serving.as_ref())?;
    let passed = checks.iter().all(|check| check.passed);
    let promoted = passed || args.force;
    if promoted {
        if registry.now(name, &args.to)? != former {
            bail!(
                "{name}@{} has moved meanwhile: promote again, to be compared with what it names now",
                args.to
            );
        }
        let mut signed = signed(&args.signature);
        let (gate, reason) = (if passed { "passed the gate" } else { "forced" }, signed.why);
        signed.why = if reason.is_empty() { gate.into() } else { format!("{gate}: {reason}") };
        registry.point(name, &args.to, version, &signed)?;
    }
    let (model, alias) = (name.clone(), args.to.clone());
    let promotion = Promotion { model, version, alias, former, checks, promoted };
    crate::print(&if args.json.json { json_text(&promotion)? } else { promotion.text() })?;
    Ok(if promoted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn checks(
    configuration: &Configuration,
    args: &PromoteArgs,
    candidate: &Model,
    reference: Option<&Model>,
    serving: Option<&Model>,
) -> anyhow::Result<Vec<Check>> {
    let examiner = Examiner::new(configuration, &args.photos, candidate)?;
    let ask = |model: &Model| anyhow::Ok(Figures::of(&model.manifest, &examiner.ask(model)?));
    let figures = ask(candidate)?;
    let mut checks = vec![
        Check {
            what: "photos of the classes judged",
            found: figures.accuracy.of.to_string(),
            wanted: "at least 1".into(),
            passed: figures.accuracy.of > 0,
        },
        Check {
            what: "expected calibration error",
            found: format!("{:.4}", figures.calibration_error),
            wanted: format!("at most {:.4}", args.calibration_error),
            passed: figures.calibration_error <= args.calibration_error,
        },
    ];
    let no_worse = |what, share: Share, former: Share, margin: f64| Check {
        what,
        found: format!("{:.2} %", share.share * 100.0),
        wanted: format!("at least {:.2} % - {margin} points", former.share * 100.0),
        // 0.3 points of 1,000 photos are three photos, whatever the last bits of the shares say.
        passed: share.share * 100.0 >= former.share * 100.0 - margin - 1e-9,
    };
    if let Some(reference) = reference {
        let floats = ask(reference)?.accuracy;
        checks.push(no_worse(
            "accuracy, held against its reference",
            figures.accuracy,
            floats,
            args.quantized,
        ));
    }
    let Some(serving) = serving else { return Ok(checks) };
    let same = |what, is_same: bool| Check {
        what,
        found: if is_same { "the same" } else { "others" }.into(),
        wanted: "the same".into(),
        passed: is_same,
    };
    let size = |model: &Model| (model.manifest.input.width, model.manifest.input.height);
    checks.push(same("size of its pictures", size(candidate) == size(serving)));
    let knows_the_same = candidate.manifest.classes == serving.manifest.classes;
    checks.push(same("classes it knows", knows_the_same));
    if !knows_the_same {
        // The photos' folders are named by classes that the serving one hasn't.
        return Ok(checks);
    }
    let former = ask(serving)?;
    checks.push(Check {
        what: "photos without a verdict",
        found: figures.failed.len().to_string(),
        wanted: format!("at most {}", former.failed.len()),
        passed: figures.failed.len() <= former.failed.len(),
    });
    checks.push(no_worse("accuracy", figures.accuracy, former.accuracy, args.margin));
    let found = |figures: &Figures| figures.strangers.map_or(Share::of(0, 0), |it| it.decisions.unknown);
    if figures.strangers.is_some() || former.strangers.is_some() {
        checks.push(no_worse("unknowns found", found(&figures), found(&former), args.margin));
    }
    let speed = figures.photos_per_second / former.photos_per_second;
    checks.push(Check {
        what: "speed",
        found: format!("{speed:.2} times"),
        wanted: format!("at least {:.2} times", args.speed),
        passed: speed >= args.speed,
    });
    Ok(checks)
}

impl Promotion {
    fn text(&self) -> String {
        let mut table = Table::new(["gate", "found", "wanted", "passed"]);
        for Check { what, found, wanted, passed } in &self.checks {
            let passed = if *passed { "yes" } else { "NO" };
            table.row([(*what).into(), found.clone(), wanted.clone(), passed.into()]);
        }
        let Self { model, version, alias, promoted, .. } = self;
        let is_forced = *promoted && self.checks.iter().any(|check| !check.passed);
        let end = match (promoted, is_forced) {
            (true, true) => format!("{model}@{alias} names version {version}: forced."),
            (true, false) => format!("{model}@{alias} names version {version}."),
            (false, _) => format!("Version {version} isn't promoted: {model}@{alias} stays as it was."),
        };
        format!("{table}\n{end}\n")
    }
}
