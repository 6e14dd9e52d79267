use std::process::ExitCode;

use anyhow::Context;
use autorma_classifier::Config;
use autorma_models::registry::{Reference, Registry, Which};
use serde::Serialize;

use crate::configuration::Configuration;
use crate::output::tell;
use crate::table::Table;

/// Whether a version can serve.
#[derive(Debug, Serialize)]
struct Verified {
    reference: String,
    /// Why not, if it can't.
    problem: Option<String>,
}

/// `autorma models verify`.
pub(super) fn verify(
    configuration: &Configuration,
    references: &[Reference],
    json: bool,
) -> anyhow::Result<ExitCode> {
    let registry = &*configuration.registry()?;
    let references = if references.is_empty() { all(registry)? } else { references.to_vec() };
    let verified: Vec<_> = references
        .iter()
        .map(|reference| Verified {
            reference: reference.to_string(),
            problem: serves(registry, &configuration.classifier, reference)
                .err()
                .map(|error| format!("{error:#}")),
        })
        .collect();
    let is_good = verified.iter().all(|it| it.problem.is_none());
    tell(json, verified, table)?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every version of every model, by its number, and the aliases of those that aren't there.
fn all(registry: &dyn Registry) -> anyhow::Result<Vec<Reference>> {
    let mut all = Vec::new();
    for name in registry.names()? {
        let (numbers, aliases) = (registry.numbers(&name)?, registry.aliases(&name)?);
        let lost = aliases.into_iter().filter(|(_, number)| !numbers.contains(number));
        let lost = lost.map(|(alias, _)| Which::Alias(alias)).collect::<Vec<_>>();
        let each = numbers.into_iter().map(Which::Number).chain(lost);
        all.extend(each.map(|which| Reference { name: name.clone(), which }));
    }
    Ok(all)
}

/// As a classifier would try it, if the registry has it whole.
fn serves(registry: &dyn Registry, classifier: &Config, reference: &Reference) -> anyhow::Result<()> {
    let (model, reference) = registry.verify(&reference.name, registry.resolve(reference)?)?;
    classifier.try_out(&model, None)?;
    if let Some(reference) = reference {
        classifier.try_out(&reference, None).context("its reference")?;
    }
    Ok(())
}

fn table(verified: Vec<Verified>) -> String {
    if verified.is_empty() {
        return "No versions yet.\n".into();
    }
    let mut table = Table::new(["version", "can serve"]);
    for Verified { reference, problem } in verified {
        table.row([reference, problem.unwrap_or_else(|| "yes".into())]);
    }
    table.to_string()
}
