//! The commands that work on single events: publishing, following, replaying, trying again.

use std::path::PathBuf;

use autorma_schemas::{Decision, Reason};
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::{Json, Output, assignment};

#[derive(Debug, Args)]
pub(crate) struct ProduceArgs {
    /// The photos; a shell expands folder/*.jpg
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// A fact about the photos that comes out again on their predictions, for example order=4711; may be repeated
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = assignment)]
    pub(crate) attributes: Vec<(String, String)>,
    /// Make them a run of this name, with results of its own; it is closed without files that can't be published. Without it
    /// the sink collects them in runs outside_…
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<String>,
    /// Send the files' content in the events, instead of saying where the files are
    #[arg(long)]
    pub(crate) inline: bool,
    /// The largest file that is sent inline, in MB; the log must take records that large
    // An embedded log takes none of 1 GB.
    #[arg(long, value_name = "MB", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=900))]
    pub(crate) inline_limit: u64,
    /// Who the events are from
    #[arg(long, value_name = "NAME", default_value = "produce")]
    pub(crate) source: String,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// What to print
    #[arg(long, value_enum, value_name = "TOPIC", default_value = "predictions")]
    pub(crate) topic: Topic,
    /// Everything that the log still has, before what comes
    #[arg(long, conflicts_with = "last")]
    pub(crate) from_beginning: bool,
    /// The newest N that the log has, before what comes
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<usize>,
    /// End after N records
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// The topics that people look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Topic {
    Predictions,
    DeadLetters,
    Images,
    Runs,
}

/// Which records.
#[derive(Debug, Args, Default)]
pub(crate) struct Chosen {
    /// Only what is of this run
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<String>,
    /// Only predictions of this class
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Only predictions with this decision
    #[arg(long, value_name = "DECISION", value_parser = decision())]
    pub(crate) decision: Option<Decision>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("events").required(true).multiple(true))]
pub(crate) struct ReplayArgs {
    /// Events that came into the log at this time or later: a date, or a time as in 2026-11-24T02:00:00Z; without a
    /// zone, local time
    #[arg(long, value_name = "TIME", group = "events")]
    pub(crate) from: Option<String>,
    /// Events that came into the log before this time; a date is its first moment
    #[arg(long, value_name = "TIME", group = "events")]
    pub(crate) to: Option<String>,
    /// Events of this run
    #[arg(long, value_name = "ID", group = "events")]
    pub(crate) run: Option<String>,
    /// Events at these places of the topic images, for example images-0:100..200,images-1:..
    #[arg(long, value_name = "RANGES", group = "events")]
    pub(crate) offsets: Option<String>,
    /// Events whose newest prediction is of this class
    #[arg(long, value_name = "CLASS", group = "events")]
    pub(crate) class: Option<String>,
    /// Events whose newest prediction has this decision
    #[arg(long, value_name = "DECISION", value_parser = decision(), group = "events")]
    pub(crate) decision: Option<Decision>,
    /// The model: its folder, a version of the registry (NAME@ALIAS, NAME/NUMBER), or the version of the configured model,
    /// in the registry or in a folder beside it
    #[arg(long, value_name = "DIR|REF|VERSION", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
    /// How many of the photos that changed the table lists; JSON has all of them
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) list: usize,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DeadLettersCommand>,
    /// Only those of this run
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<String>,
    /// Only those with this reason, for example missing; may be repeated
    #[arg(long = "reason", value_name = "REASON", value_parser = reason())]
    pub(crate) reasons: Vec<String>,
    #[command(flatten)]
    pub(crate) json: Json,
}

impl DeadLettersArgs {
    /// What stands before the subcommand is meant for it, too.
    pub(super) fn hand_down(&mut self) {
        if let Some(DeadLettersCommand::Retry(retry)) = &mut self.command {
            retry.run = retry.run.take().or_else(|| self.run.take());
            retry.reasons.append(&mut self.reasons);
            retry.json.json |= self.json.json;
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Publish dead letters again, once what was wrong is mended
    ///
    /// Each becomes an image event again, in a new run retry_… that has results of its own. This only publishes them:
    /// the stages that are running classify them, or else the next `autorma up` or `autorma run`. Images that were
    /// classified or published since are left out. A file that has other content by now is taken as it is now. Exit status: 0 all
    /// are published, or there was nothing to do; 2 some can't be; 1 anything else.
    Retry(RetryArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Only those of this run
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<String>,
    /// Only those whose newest dead letter has this reason, for example missing; may be repeated
    #[arg(long = "reason", value_name = "REASON", value_parser = reason())]
    pub(crate) reasons: Vec<String>,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// One of the decisions.
fn decision() -> impl TypedValueParser<Value = Decision> {
    let named = |name: String| {
        Decision::ALL.into_iter().find(|it| it.as_str() == name).expect("it is one of the possible values")
    };
    PossibleValuesParser::new(Decision::ALL.map(Decision::as_str)).map(named)
}

/// One of the reasons for dead letters.
fn reason() -> PossibleValuesParser {
    PossibleValuesParser::new(Reason::ALL.map(Reason::as_str))
}
