use std::process::ExitCode;

use anyhow::Context;
use autorma_classifier::Config;
use autorma_models::registry::{
    Aliases, Reference, Registry, RegistryError, Which, WithReference, unless_away,
};
use serde::Serialize;

use crate::args::Versions;
use crate::configuration::Configuration;
use crate::output::tell;
use crate::table::Table;

/// A version that was looked at.
#[derive(Debug, Serialize)]
struct Verified {
    /// The version, by its number or by an alias; or the model, if its aliases can't be read.
    reference: String,
    /// Whether it can serve: a problem of what it was quantized from keeps nobody from that.
    can_serve: bool,
    /// What is wrong with it.
    problem: Option<String>,
}

impl Verified {
    fn broken(reference: String, problem: String) -> Self {
        Self { reference, can_serve: false, problem: Some(problem) }
    }
}

/// `autorma models verify`.
pub(super) fn verify(
    configuration: &Configuration,
    asked: &[Versions],
    json: bool,
) -> anyhow::Result<ExitCode> {
    let registry = &*configuration.registry()?;
    let try_out = |reference: &Reference| {
        let found = registry.resolve(reference).and_then(|number| registry.verify(&reference.name, number));
        // A registry that has gone away says nothing of the version.
        let found = unless_away(found, || registry.numbers(&reference.name).map(drop))?;
        let tried = found.map_err(anyhow::Error::from).and_then(|it| tried(&configuration.classifier, it));
        Ok(match tried {
            Ok(problem) => Verified { reference: reference.to_string(), can_serve: true, problem },
            Err(error) => Verified::broken(reference.to_string(), format!("{error:#}")),
        })
    };
    let mut verified = Vec::new();
    for versions in asked {
        match versions {
            Versions::One(reference) => verified.push(try_out(reference)?),
            Versions::All(name) => verified.extend(all_of(registry, name, try_out)?),
        }
    }
    if asked.is_empty() {
        for name in registry.names()? {
            verified.extend(all_of(registry, &name, try_out)?);
        }
    }
    let is_good = verified.iter().all(|it| it.problem.is_none());
    tell(json, verified, table)?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every version of a model, by its number, and the aliases that name none that is there, or nobody can say which; also the
/// model, if its versions or its aliases can't be asked for.
fn all_of(
    registry: &dyn Registry,
    name: &str,
    try_out: impl Fn(&Reference) -> Result<Verified, RegistryError>,
) -> Result<Vec<Verified>, RegistryError> {
    let broken = |error: RegistryError| vec![Verified::broken(name.to_owned(), error.to_string())];
    let numbers = registry.numbers(name)?;
    if numbers.is_empty() {
        return Ok(broken(RegistryError::NoModel(name.to_owned())));
    }
    let (mut all, aliases) = match registry.aliases(name) {
        Ok(aliases) => (Vec::new(), aliases),
        Err(error) => (broken(error), Aliases::new()),
    };
    let is_lost = |now: &Result<u64, _>| !now.as_ref().is_ok_and(|number| numbers.contains(number));
    let lost = aliases.into_iter().filter(|(_, now)| is_lost(now));
    let lost = lost.map(|(alias, _)| Which::Alias(alias)).collect::<Vec<_>>();
    for which in numbers.into_iter().map(Which::Number).chain(lost) {
        let reference = Reference { name: name.to_owned(), which };
        // Collected since its number was seen.
        let is_gone = || matches!(registry.resolve(&reference), Err(RegistryError::NoVersion { .. }));
        all.extend(Some(try_out(&reference)?).filter(|tried| tried.problem.is_none() || !is_gone()));
    }
    Ok(all)
}

/// As a classifier would try it: what is wrong with its reference, or an error if it can't serve.
fn tried(classifier: &Config, (model, floats): WithReference) -> anyhow::Result<Option<String>> {
    classifier.try_out(&model, None)?;
    let floats = floats.map_err(anyhow::Error::from);
    let floats = floats.and_then(|it| Ok(it.map(|it| classifier.try_out(&it, None)).transpose()?));
    Ok(floats.context("its reference").err().map(|error| format!("{error:#}")))
}

fn table(verified: Vec<Verified>) -> String {
    if verified.is_empty() {
        return "No versions yet.\n".into();
    }
    let mut table = Table::new(["version", "can serve"]);
    for Verified { reference, can_serve, problem } in verified {
        let told = can_serve.then(|| "yes".to_owned()).into_iter().chain(problem);
        // ONNX Runtime says some things in several lines.
        table.row([reference, told.collect::<Vec<_>>().join("; ").replace('\n', " ")]);
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
        let verified = all_of(&registry, "means", |reference| {
            let reference = reference.to_string();
            if reference == "means/1" {
                std::fs::remove_dir(registry.place("means", 1)).unwrap();
            }
            Ok(Verified::broken(reference, "it can't be read".into()))
        });
        let told: Vec<_> = verified.unwrap().into_iter().map(|it| it.reference).collect();
        assert_eq!(told, ["means/2"]);
    }
}
