//! `autorma dataset`: data sets prepared and checked.

mod report;

use std::process::ExitCode;

use autorma_training::dataset::{Cost, Options, check, prepare};

use crate::args::{CheckArgs, DatasetArgs, DatasetCommand, PrepareArgs};
use crate::configuration::Configuration;
use crate::exit;
use crate::output::tell;
use crate::progress::Listener;

/// `autorma dataset …`.
pub(crate) fn run(configuration: &Configuration, args: &DatasetArgs) -> anyhow::Result<ExitCode> {
    let classifier = &configuration.classifier;
    let cost = Cost { limits: classifier.limits, threads: classifier.workers };
    let mut listener = Listener::new(exit::stop_at_signals()?);
    let is_clean = match &args.command {
        DatasetCommand::Prepare(args) => prepared(args, cost, &mut listener)?,
        DatasetCommand::Check(args) => checked(args, cost, &mut listener)?,
    };
    Ok(exit::all_or_not(is_clean))
}

/// Prepares one and tells; whether nothing was left out and nothing contradicts itself.
fn prepared(args: &PrepareArgs, cost: Cost, listener: &mut Listener) -> anyhow::Result<bool> {
    let options = Options {
        per_class: args.per_class.0,
        ratio: args.split,
        group_by: args.alike.group_by.clone(),
        near: args.alike.near,
        seed: args.seed,
        force: args.force,
    };
    let info = prepare(&args.from, &args.to, &options, cost, &mut |now| listener.hears(now));
    listener.clear();
    let info = info?;
    tell(args.json.json, &info, |info| report::prepared(info, &args.to))?;
    Ok(info.broken.is_empty() && info.label_conflicts.is_empty() && info.empty_classes.is_empty())
}

/// Checks one and tells; whether nothing is wrong with it.
fn checked(args: &CheckArgs, cost: Cost, listener: &mut Listener) -> anyhow::Result<bool> {
    let (group_by, near) = (args.alike.group_by.as_ref(), args.alike.near);
    let checked = check(&args.folder, group_by, near, args.imbalance, cost, &mut |now| listener.hears(now));
    listener.clear();
    let checked = checked?;
    tell(args.json.json, &checked, report::checked)?;
    Ok(checked.is_clean())
}
