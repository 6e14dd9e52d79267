//! `autorma dataset`: data sets prepared and checked.

mod report;
mod watching;

use std::process::ExitCode;

use autorma_training::dataset::{Cost, Options, check, prepare};

use crate::args::{CheckArgs, DatasetArgs, DatasetCommand, PrepareArgs};
use crate::configuration::Configuration;
use crate::exit;
use crate::output::tell;
use watching::Watching;

/// `autorma dataset …`.
pub(crate) fn run(configuration: &Configuration, args: &DatasetArgs) -> anyhow::Result<ExitCode> {
    let classifier = &configuration.classifier;
    let cost = Cost { limits: classifier.limits, threads: classifier.workers };
    let watching = Watching::new()?;
    let is_clean = match &args.command {
        DatasetCommand::Prepare(args) => prepared(args, cost, &watching)?,
        DatasetCommand::Check(args) => checked(args, cost, &watching)?,
    };
    Ok(exit::all_or_not(is_clean))
}

/// Prepares one and tells; whether nothing was left out and nothing contradicts itself.
fn prepared(args: &PrepareArgs, cost: Cost, watching: &Watching) -> anyhow::Result<bool> {
    let options = Options {
        per_class: args.per_class.0,
        ratio: args.split,
        group_by: args.alike.group_by.clone(),
        near: args.alike.near,
        seed: args.seed,
        force: args.force,
    };
    let info = prepare(&args.from, &args.to, &options, cost, watching);
    watching.clear();
    let info = info?;
    tell(args.json.json, &info, |info| report::prepared(info, &args.to))?;
    Ok(info.broken.is_empty() && info.label_conflicts.is_empty() && info.empty_classes.is_empty())
}

/// Checks one and tells; whether nothing is wrong with it.
fn checked(args: &CheckArgs, cost: Cost, watching: &Watching) -> anyhow::Result<bool> {
    let group_by = args.alike.group_by.as_ref();
    let checked = check(&args.folder, group_by, args.alike.near, args.imbalance, cost, watching);
    watching.clear();
    let checked = checked?;
    tell(args.json.json, &checked, report::checked)?;
    Ok(checked.is_clean())
}
