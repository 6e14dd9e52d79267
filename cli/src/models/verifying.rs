use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use autorma_classifier::Config;
use autorma_models::registry::{Reference, Registry, RegistryError, Which};
use serde::Serialize;

use crate::configuration::Configuration;
use crate::output::tell;
use crate::table::Table;

/// Whether a version can serve.
#[derive(Debug, Serialize)]
struct Verified {
    /// The version; or the model, if its aliases can't be read.
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
    let try_out = |reference: &Reference| {
        let tried = serves(registry, &configuration.classifier, reference);
        Verified { reference: reference.to_string(), problem: tried.err().map(|error| format!("{error:#}")) }
    };
    let verified = match references.is_empty() {
        true => all(registry, try_out)?,
        false => references.iter().map(try_out).collect(),
    };
    let is_good = verified.iter().all(|it| it.problem.is_none());
    tell(json, verified, table)?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every version of every model, by its number, and the aliases of those that aren't there; also a model whose aliases can't
/// be read.
fn all(registry: &dyn Registry, try_out: impl Fn(&Reference) -> Verified) -> anyhow::Result<Vec<Verified>> {
    let mut all = Vec::new();
    for name in registry.names()? {
        let numbers = registry.numbers(&name)?;
        let aliases = registry.aliases(&name).unwrap_or_else(|error| {
            all.push(Verified { reference: name.clone(), problem: Some(error.to_string()) });
            BTreeMap::new()
        });
        let lost = aliases.into_iter().filter(|(_, number)| !numbers.contains(number));
        let lost = lost.map(|(alias, _)| Which::Alias(alias)).collect::<Vec<_>>();
        for which in numbers.into_iter().map(Which::Number).chain(lost) {
            let reference = Reference { name: name.clone(), which };
            let verified = try_out(&reference);
            // Collected since its number was seen.
            let is_gone = || matches!(registry.resolve(&reference), Err(RegistryError::NoVersion { .. }));
            if verified.problem.is_none() || !is_gone() {
                all.push(verified);
            }
        }
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
        // ONNX Runtime says some things in several lines.
        table.row([reference, problem.map_or_else(|| "yes".into(), |it| it.replace('\n', " "))]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use autorma_models::registry::FolderRegistry;

    use super::*;

    #[test]
    fn what_was_collected_meanwhile_is_no_problem() {
        let folder = tempfile::tempdir().unwrap();
        let registry = FolderRegistry::new(folder.path());
        for number in [1, 2] {
            std::fs::create_dir_all(registry.place("means", number)).unwrap();
        }
        let verified = all(&registry, |reference| {
            let reference = reference.to_string();
            if reference == "means/1" {
                std::fs::remove_dir(registry.place("means", 1)).unwrap();
            }
            Verified { reference, problem: Some("it can't be read".into()) }
        });
        let told: Vec<_> = verified.unwrap().into_iter().map(|it| it.reference).collect();
        assert_eq!(told, ["means/2"]);
    }
}
