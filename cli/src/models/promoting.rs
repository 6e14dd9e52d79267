mod check;
mod classes;
mod gate;
mod serving;

use std::path::PathBuf;
use std::process::ExitCode;

use autorma_models::registry::reference_of;
use serde::Serialize;

use super::signed;
use crate::args::{Photos, PromoteArgs};
use crate::configuration::Configuration;
use crate::evaluate::not_judged;
use crate::output::tell;
use crate::table::Table;
use crate::words::counted;
use check::Check;
use gate::{Findings, examine};
use serving::Serving;

/// What came of a promotion.
#[derive(Debug, Serialize)]
struct Promotion {
    model: String,
    version: u64,
    alias: String,
    /// What the alias named before.
    former: Option<u64>,
    #[serde(flatten)]
    findings: Findings,
    promoted: bool,
    /// It doesn't pass, and is promoted all the same.
    forced: bool,
    /// It names the version already: nothing was asked, and nothing moved.
    already: bool,
    /// What the alias's history says of the move; None where it hasn't moved.
    why: Option<String>,
}

/// `autorma models promote`.
pub(super) fn promote(configuration: &Configuration, args: &PromoteArgs) -> anyhow::Result<ExitCode> {
    let registry = &*configuration.registry()?;
    let (name, version) = (&args.reference.name, registry.resolve(&args.reference)?);
    let candidate = registry.load(name, version)?;
    let former = registry.now(name, &args.to)?;
    let (model, alias) = (name.clone(), args.to.clone());
    let already = former == Some(version);
    let mut promotion = Promotion {
        model,
        version,
        alias,
        former,
        findings: Findings::default(),
        promoted: already,
        forced: false,
        already,
        why: None,
    };
    if already {
        return promotion.tell(args);
    }
    let serving = former.map(|number| Serving::load(registry, name, &args.to, number)).transpose()?;
    let reference = reference_of(registry, name, version)?;
    let findings = examine(configuration, args, &candidate, reference, serving.as_ref())?;
    let passed = findings.checks.iter().all(|check| check.passed);
    (promotion.promoted, promotion.forced) = (passed || args.force, args.force && !passed);
    if promotion.promoted {
        let mut signed = signed(&args.signature);
        let gate = if passed { passed_by(args, &findings) } else { "forced".into() };
        signed.why = if signed.why.is_empty() { gate } else { format!("{gate}: {}", signed.why) };
        registry.point_examined(former, &candidate.manifest, &args.to, version, &signed)?;
        promotion.why = Some(signed.why);
    }
    promotion.findings = findings;
    promotion.tell(args)
}

/// What the gate was: on other photos, or with other bounds, the same version may not pass.
fn passed_by(args: &PromoteArgs, findings: &Findings) -> String {
    let Photos { data, unknown } = &args.photos;
    // Whoever reads it is elsewhere.
    let named = |option: &str, folder: &PathBuf| {
        let whole = folder.canonicalize();
        format!("--{option} {}", whole.as_ref().unwrap_or(folder).display())
    };
    let data = data.iter().map(|folder| named("data", folder));
    let unknown = unknown.iter().map(|folder| named("unknown", folder));
    let options: Vec<_> = data.chain(unknown).chain(args.other_bounds()).collect();
    let photos = counted(findings.photos, "photo");
    let unknowns = if findings.unknowns == 0 { ", no unknowns" } else { "" };
    format!("passed the gate ({photos}{unknowns}, {})", options.join(" "))
}

impl Promotion {
    fn tell(&self, args: &PromoteArgs) -> anyhow::Result<ExitCode> {
        tell(args.json.json, self, Self::text)?;
        Ok(if self.promoted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn text(&self) -> String {
        let Self { model, version, alias, findings, promoted, forced, .. } = self;
        if self.already {
            return format!("{model}@{alias} names version {version} already: nothing was asked.\n");
        }
        let mut table = Table::new(["gate", "found", "wanted", "passed"]);
        for Check { what, found, wanted, passed, .. } in &findings.checks {
            let passed = if *passed { "yes" } else { "NO" };
            table.row([(*what).into(), found.clone(), wanted.clone(), passed.into()]);
        }
        let end = match (promoted, forced) {
            (true, true) => format!("{model}@{alias} names version {version}: forced."),
            (true, false) => format!("{model}@{alias} names version {version}."),
            (false, _) => format!("Version {version} isn't promoted: {model}@{alias} stays as it was."),
        };
        format!("{table}\n{}{end}\n", not_judged::lines(&findings.failed))
    }
}
