//! `autorma models`: the registry from the command line.

mod difference;
mod ensemble;
mod listing;
mod live;
mod promoting;
mod verifying;

use std::process::ExitCode;

use anyhow::bail;
use autorma_models::Model;
use autorma_models::registry::{Move, Reference, Registry, Signed, Which};
use autorma_schemas::Micros;
use serde::Serialize;

use crate::args::{GcArgs, ModelsArgs, ModelsCommand, MoveArgs, RegisterArgs, Signature};
use crate::configuration::Configuration;
use crate::output::tell;

/// Where an alias has gone.
#[derive(Debug, Serialize)]
struct Moved {
    model: String,
    alias: String,
    version: u64,
    /// What it named before.
    former: Option<u64>,
}

impl Moved {
    fn text(&self) -> String {
        let Self { model, alias, version, former } = self;
        let before = former.map_or_else(String::new, |former| format!(", after {former}"));
        format!("{model}@{alias} names version {version}{before}\n")
    }
}

/// A version that was registered.
#[derive(Debug, Serialize)]
struct Registered {
    model: String,
    version: u64,
    sha256: String,
    alias: Option<String>,
    /// Whether it wasn't there before.
    is_new: bool,
}

impl Registered {
    fn text(&self) -> String {
        let Self { model, version, alias, is_new, .. } = self;
        let before = if *is_new { "" } else { ", which was there already" };
        let named = alias.as_ref().map_or_else(String::new, |alias| format!(", which {alias} names"));
        format!("{model}/{version}{before}{named}\n")
    }
}

/// Does what is asked of the registry.
pub(crate) fn run(configuration: &Configuration, args: &ModelsArgs) -> anyhow::Result<ExitCode> {
    let registry = &*configuration.registry()?;
    match &args.command {
        ModelsCommand::List(json) => listing::list(registry, json.json)?,
        ModelsCommand::Show { reference, json } => listing::show(registry, reference, json.json)?,
        ModelsCommand::Register(args) => register(registry, args)?,
        ModelsCommand::Alias(args) => point(registry, args)?,
        ModelsCommand::Rollback { alias, signature, json } => {
            roll_back(registry, alias, &signed(signature), json.json)?
        }
        ModelsCommand::Diff(args) => difference::diff(registry, args)?,
        ModelsCommand::Gc(args) => collect(registry, args)?,
        ModelsCommand::Ensemble(args) => return ensemble::make(configuration, registry, args),
        ModelsCommand::CompareLive(args) => return live::compare(configuration, args),
        ModelsCommand::Promote(args) => return promoting::promote(configuration, args),
        ModelsCommand::Verify { versions, json } => {
            return verifying::verify(configuration, versions, json.json);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn register(registry: &dyn Registry, args: &RegisterArgs) -> anyhow::Result<()> {
    let signed = signed(&args.signature);
    let there = registry.numbers(&Model::manifest(&args.model)?.name)?;
    let version = registry.register(&args.model, &signed)?;
    let (model, number, sha256) = (version.manifest.name.clone(), version.number, version.manifest.sha256());
    if let Some(alias) = &args.alias {
        registry.point(&model, alias, number, &signed)?;
    }
    // Who registers what is there is told who did before; where that was lost, too, it was they from then on.
    let is_new = version.signed == signed && !there.contains(&number);
    let done = Registered { model, version: number, sha256, alias: args.alias.clone(), is_new };
    tell(args.json.json, &done, Registered::text)
}

fn point(registry: &dyn Registry, args: &MoveArgs) -> anyhow::Result<()> {
    let (name, number) = (&args.reference.name, registry.resolve(&args.reference)?);
    let former = registry.now(name, &args.alias)?;
    let made = registry.point(name, &args.alias, number, &signed(&args.signature))?;
    moved(name, &args.alias, &made, former, args.json.json)
}

fn roll_back(
    registry: &dyn Registry,
    Reference { name, which }: &Reference,
    signed: &Signed,
    json: bool,
) -> anyhow::Result<()> {
    let Which::Alias(alias) = which else {
        bail!("only an alias can go back: {name}@production, for example")
    };
    let former = registry.now(name, alias)?;
    let made = registry.roll_back(name, alias, signed)?;
    moved(name, alias, &made, former, json)
}

fn moved(name: &str, alias: &str, made: &Move, former: Option<u64>, json: bool) -> anyhow::Result<()> {
    let (model, alias) = (name.to_owned(), alias.to_owned());
    tell(json, &Moved { model, alias, version: made.version, former }, Moved::text)
}

fn collect(registry: &dyn Registry, GcArgs { name, keep, json }: &GcArgs) -> anyhow::Result<()> {
    tell(json.json, registry.collect(name, *keep)?, |gone| {
        let gone: Vec<_> = gone.iter().map(u64::to_string).collect();
        match gone.is_empty() {
            true => "Nothing to remove.\n".into(),
            false => format!("Removed of {name}: {}\n", gone.join(", ")),
        }
    })
}

fn signed(signature: &Signature) -> Signed {
    let (by, why) = (signature.by.clone(), signature.why.clone().unwrap_or_default());
    Signed { at: Micros::now(), by, why }
}
