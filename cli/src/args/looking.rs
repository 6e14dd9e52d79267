//! The commands that look at what the stages have done.

use std::ffi::OsString;

use clap::builder::{NonEmptyStringValueParser, RangedU64ValueParser};
use clap::{Args, Subcommand};

use super::{Json, Output};

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The model that classifiers were started with, if the settings here don't say it. Setting: classifier.model
    #[arg(long, value_name = "DIR|REF", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
    /// Only the newest N
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) last: Option<usize>,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) json: Json,
}

impl RunsArgs {
    /// What stands before the subcommand is meant for it, too.
    pub(super) fn hand_down(&mut self) {
        if let Some(RunsCommand::Show { output, json, .. }) = &mut self.command {
            output.output = output.output.take().or_else(|| self.output.output.take());
            json.json |= self.json.json;
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Show one run with its summary
    Show {
        /// The run's id, as `autorma runs` lists it
        id: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A file's name or path, or an event's id
    pub(crate) image: OsString,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) json: Json,
}
