mod gate;
mod serving;

use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;

use super::signed;
use crate::args::PromoteArgs;
use crate::configuration::Configuration;
use crate::inspect::json_text;
use crate::table::Table;
use gate::{Check, checks};
use serving::Serving;

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

/// `autorma models promote`.
pub(super) fn promote(configuration: &Configuration, args: &PromoteArgs) -> anyhow::Result<ExitCode> {
    let registry = &*configuration.registry()?;
    let (name, version) = (&args.reference.name, registry.resolve(&args.reference)?);
    let candidate = registry.load(name, version)?;
    let former = registry.now(name, &args.to)?;
    let serving = former.filter(|former| *former != version);
    let serving = serving.map(|number| Serving::load(registry, name, number)).transpose()?;
    // What can't be loaded is no measure.
    let reference = registry.reference(name, version)?;
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
