use std::collections::{BTreeMap, BTreeSet};

use autorma_models::Manifest;
use autorma_models::registry::{Aliases, Move, Reference, Registry, Version};
use serde::Serialize;

use crate::output::tell;
use crate::table::{Table, flattened};
use crate::when::{to_the_second, with_offset};

/// A version as it is listed. Of one that can't be read next to nothing is known; of an alias of which nobody can say what
/// it names, not even that.
#[derive(Debug, Default, Serialize)]
struct Listed {
    model: String,
    version: Option<u64>,
    aliases: Vec<String>,
    precision: Option<String>,
    megabytes: Option<f64>,
    sha256: Option<String>,
    registered_at: Option<String>,
    registered_by: Option<String>,
    why: Option<String>,
    /// Why it can't be read.
    problem: Option<String>,
}

/// Everything about a version.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    manifest: Manifest,
    /// The moves of each alias of the model, oldest first.
    moves: BTreeMap<String, Vec<Moved>>,
    /// Why those of an alias can't be read.
    problems: BTreeMap<String, String>,
}

/// A move as it is shown.
#[derive(Debug, Serialize)]
struct Moved {
    version: u64,
    at: String,
    by: String,
    why: String,
}

/// `autorma models list`.
pub(super) fn list(registry: &dyn Registry, json: bool) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for name in registry.names()? {
        let numbers = registry.numbers(&name)?;
        // The versions are there, whatever has become of the aliases.
        let aliases = registry.aliases(&name).unwrap_or_else(|error| {
            all.push(Listed::broken(&name, None, Vec::new(), error.to_string()));
            Aliases::new()
        });
        // What an alias names and isn't there is no less to be told.
        let numbers: BTreeSet<_> = numbers.into_iter().chain(aliases.values().flatten().copied()).collect();
        all.extend(numbers.into_iter().filter_map(|number| Listed::find(registry, &name, number, &aliases)));
        let lost = aliases.into_iter().filter_map(|(alias, now)| Some((alias, now.err()?)));
        all.extend(lost.map(|(alias, error)| Listed::broken(&name, None, vec![alias], error.to_string())));
    }
    tell(json, all, |all| match all.is_empty() {
        true => "No versions yet; `autorma models register DIR` keeps one.\n".into(),
        false => table(all),
    })
}

/// `autorma models show`.
pub(super) fn show(registry: &dyn Registry, reference: &Reference, json: bool) -> anyhow::Result<()> {
    let version = registry.find(reference)?;
    let (name, aliases) = (&reference.name, registry.aliases(&reference.name)?);
    let (mut moves, mut problems) = (BTreeMap::new(), BTreeMap::new());
    for alias in aliases.keys().cloned() {
        match registry.moves(name, &alias) {
            Ok(made) => drop(moves.insert(alias, made.into_iter().map(Moved::from).collect())),
            Err(error) => drop(problems.insert(alias, error.to_string())),
        }
    }
    let values = flattened(&serde_json::to_value(&version.manifest)?);
    let (manifest, listed) = (version.manifest.clone(), Listed::of(version, &aliases));
    let shown = Shown { listed, manifest, moves, problems };
    tell(json, shown, |shown| text(shown, values))
}

/// Of a version whose manifest has these values.
fn text(shown: Shown, values: Vec<(String, String)>) -> String {
    let mut manifest = Table::new(["manifest", ""]);
    values.into_iter().for_each(|(name, value)| manifest.row([name, value]));
    let mut history = Table::new(["alias", "named", "since", "by", "why"]);
    for (alias, moves) in shown.moves {
        for Moved { version, at, by, why } in moves {
            history.row([alias.clone(), version.to_string(), to_the_second(&at), by, why]);
        }
    }
    for (alias, problem) in shown.problems {
        history.row([alias, "-".into(), "-".into(), "-".into(), problem]);
    }
    let history = if history.is_empty() { "No alias yet.\n".into() } else { history.to_string() };
    format!("{}\n{manifest}\n{history}", table(vec![shown.listed]))
}

fn table(listed: Vec<Listed>) -> String {
    let mut table = Table::new(["model", "version", "aliases", "precision", "MB", "registered", "by", "why"]);
    let known = |cell: Option<String>| cell.unwrap_or_else(|| "-".into());
    for it in listed {
        table.row([
            it.model,
            known(it.version.map(|version| version.to_string())),
            it.aliases.join(" "),
            known(it.precision),
            known(it.megabytes.map(|megabytes| format!("{megabytes:.1}"))),
            known(it.registered_at.as_deref().map(to_the_second)),
            known(it.registered_by),
            known(it.problem.or(it.why)),
        ]);
    }
    table.to_string()
}

impl Listed {
    /// The version, in whatever state; None if it was collected since somebody saw its number.
    fn find(registry: &dyn Registry, name: &str, number: u64, aliases: &Aliases) -> Option<Self> {
        let error = match registry.version(name, number) {
            Ok(version) => return Some(Self::of(version, aliases)),
            Err(error) => error,
        };
        let broken = Self::broken(name, Some(number), naming(number, aliases), error.to_string());
        let is_gone = || registry.numbers(name).is_ok_and(|numbers| !numbers.contains(&number));
        (!broken.aliases.is_empty() || !is_gone()).then_some(broken)
    }

    fn of(Version { number, manifest, signed }: Version, aliases: &Aliases) -> Self {
        Self {
            version: Some(number),
            aliases: naming(number, aliases),
            precision: Some(manifest.precision()),
            megabytes: Some(manifest.bytes() as f64 / 1e6),
            sha256: Some(manifest.sha256()),
            model: manifest.name,
            registered_at: Some(with_offset(signed.at)),
            registered_by: Some(signed.by),
            why: Some(signed.why),
            problem: None,
        }
    }

    fn broken(model: &str, version: Option<u64>, aliases: Vec<String>, problem: String) -> Self {
        Self { model: model.to_owned(), version, aliases, problem: Some(problem), ..Self::default() }
    }
}

fn naming(number: u64, aliases: &Aliases) -> Vec<String> {
    let names = aliases.iter().filter(|(_, now)| matches!(now, Ok(named) if *named == number));
    names.map(|(alias, _)| alias.clone()).collect()
}

impl From<Move> for Moved {
    fn from(Move { version, signed }: Move) -> Self {
        Self { version, at: with_offset(signed.at), by: signed.by, why: signed.why }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use autorma_models::Model;
    use autorma_models::registry::{FolderRegistry, Signed};
    use autorma_schemas::Micros;
    use serde_json::Value;

    use super::*;
    use crate::when::instant;

    #[test]
    fn a_time_is_an_instant_for_scripts_and_short_for_people() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/shipped");
        let (manifest, at) = (Model::manifest(&shipped).unwrap(), Micros(1_795_000_000_012_345));
        let signed = Signed { at, by: "Ada".into(), why: "better".into() };
        let listed = Listed::of(Version { number: 1, manifest, signed }, &Aliases::new());
        assert_eq!(instant("--since", listed.registered_at.as_deref().unwrap()).unwrap(), at);
        let (text, local) = (table(vec![listed]), at.iso());
        assert!(text.contains(&local[..19]) && !text.contains(&local), "{text}");
    }

    #[test]
    fn what_was_collected_meanwhile_is_not_listed() {
        let folder = tempfile::tempdir().unwrap();
        let registry = FolderRegistry::new(folder.path());
        std::fs::create_dir_all(registry.place("means", 2)).unwrap();
        let aliases = Aliases::from([("production".to_owned(), Ok(3))]);
        let listed = [1, 2, 3].map(|number| Listed::find(&registry, "means", number, &aliases).is_some());
        assert_eq!(listed, [false, true, true], "what is broken is, and what an alias names");
    }

    #[test]
    fn what_nobody_knows_of_a_broken_version_is_null() {
        let broken = Listed::broken("means", Some(3), Vec::new(), "the manifest is broken".into());
        let told = serde_json::to_value(&broken).unwrap();
        for field in ["precision", "megabytes", "sha256", "registered_at", "registered_by", "why"] {
            assert_eq!(told.get(field), Some(&Value::Null), "{field}: {told}");
        }
        assert_eq!(told["problem"], "the manifest is broken");
        let text = table(vec![broken]);
        assert!(text.contains("the manifest is broken") && !text.contains("0.0"), "{text}");
    }
}
