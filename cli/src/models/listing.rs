use std::collections::{BTreeMap, BTreeSet};

use autorma_models::Manifest;
use autorma_models::registry::{Move, Reference, Registry, Version};
use autorma_schemas::Micros;
use serde::Serialize;

use crate::inspect::json_text;
use crate::table::{Table, flattened};

/// A version as it is listed.
#[derive(Debug, Default, Serialize)]
struct Listed {
    model: String,
    version: u64,
    aliases: Vec<String>,
    precision: String,
    megabytes: f64,
    sha256: String,
    registered_at: String,
    registered_by: String,
    why: String,
    /// Why it can't be read, if it can't.
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
pub(super) fn list(registry: &dyn Registry, json: bool) -> anyhow::Result<String> {
    let mut all = Vec::new();
    for name in registry.names()? {
        let (numbers, aliases) = (registry.numbers(&name)?, registry.aliases(&name)?);
        // What an alias names and isn't there is no less to be told.
        for number in numbers.into_iter().chain(aliases.values().copied()).collect::<BTreeSet<_>>() {
            all.push(match registry.version(&name, number) {
                Ok(version) => Listed::of(version, &aliases),
                Err(error) => Listed::broken(&name, number, &aliases, error.to_string()),
            });
        }
    }
    if json {
        return json_text(&all);
    }
    Ok(match all.is_empty() {
        true => "No versions yet; `autorma models register DIR` keeps one.\n".into(),
        false => table(all),
    })
}

/// `autorma models show`.
pub(super) fn show(registry: &dyn Registry, reference: &Reference, json: bool) -> anyhow::Result<String> {
    let version = registry.find(reference)?;
    let (name, aliases) = (&reference.name, registry.aliases(&reference.name)?);
    let mut moves = BTreeMap::new();
    for alias in aliases.keys() {
        let made = registry.moves(name, alias)?.into_iter().map(Moved::from);
        moves.insert(alias.clone(), made.collect::<Vec<_>>());
    }
    let shown = Shown { manifest: version.manifest.clone(), listed: Listed::of(version, &aliases), moves };
    if json {
        return json_text(&shown);
    }
    let mut manifest = Table::new(["manifest", ""]);
    let values = flattened(&serde_json::to_value(&shown.manifest)?);
    values.into_iter().for_each(|(name, value)| manifest.row([name, value]));
    let mut history = Table::new(["alias", "named", "since", "by", "why"]);
    for (alias, moves) in shown.moves {
        for Moved { version, at, by, why } in moves {
            history.row([alias.clone(), version.to_string(), at, by, why]);
        }
    }
    let history = if history.is_empty() { "No alias yet.\n".into() } else { history.to_string() };
    Ok(format!("{}\n{manifest}\n{history}", table(vec![shown.listed])))
}

fn table(listed: Vec<Listed>) -> String {
    let mut table = Table::new(["model", "version", "aliases", "precision", "MB", "registered", "by", "why"]);
    for it in listed {
        table.row([
            it.model,
            it.version.to_string(),
            it.aliases.join(" "),
            it.precision,
            format!("{:.1}", it.megabytes),
            it.registered_at,
            it.registered_by,
            it.problem.unwrap_or(it.why),
        ]);
    }
    table.to_string()
}

impl Listed {
    fn of(Version { number, manifest, signed }: Version, aliases: &BTreeMap<String, u64>) -> Self {
        Self {
            version: number,
            aliases: naming(number, aliases),
            precision: manifest.precision(),
            megabytes: manifest.bytes() as f64 / 1e6,
            sha256: manifest.sha256(),
            model: manifest.name,
            registered_at: when(signed.at),
            registered_by: signed.by,
            why: signed.why,
            problem: None,
        }
    }

    fn broken(model: &str, version: u64, aliases: &BTreeMap<String, u64>, problem: String) -> Self {
        let (model, aliases) = (model.to_owned(), naming(version, aliases));
        Self { model, version, aliases, problem: Some(problem), ..Self::default() }
    }
}

fn naming(number: u64, aliases: &BTreeMap<String, u64>) -> Vec<String> {
    let names = aliases.iter().filter(|(_, named)| **named == number);
    names.map(|(alias, _)| alias.clone()).collect()
}

/// To the second.
fn when(at: Micros) -> String {
    at.iso().chars().take(19).collect()
}

impl From<Move> for Moved {
    fn from(Move { version, signed }: Move) -> Self {
        Self { version, at: when(signed.at), by: signed.by, why: signed.why }
    }
}
