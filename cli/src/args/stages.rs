//! The commands that classify: all stages together, or one by one.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::flags::Flags;

/// What is read.
#[derive(Debug, Args, Default)]
pub(crate) struct Input {
    /// Folder of the photos; by default data/inference/input. Setting: ingest.input
    #[arg(long, value_name = "DIR")]
    pub(crate) input: Option<PathBuf>,
    /// Folders in the folder too. Setting: ingest.recursive
    #[arg(long)]
    pub(crate) recursive: bool,
}

impl Input {
    pub(super) fn flags(&self, flags: &mut Flags) {
        flags.path("ingest.input", self.input.as_ref(), "--input");
        flags.switch("ingest.recursive", self.recursive, "--recursive");
    }
}

/// What is written.
#[derive(Debug, Args, Default)]
pub(crate) struct Output {
    /// Folder of the results; by default data/inference/output. Setting: sink.output
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

impl Output {
    pub(super) fn flags(&self, flags: &mut Flags) {
        flags.path("sink.output", self.output.as_ref(), "--output");
    }
}

/// How it is classified.
#[derive(Debug, Args, Default)]
pub(crate) struct Model {
    /// The model: its folder, or a version of the registry, NAME@ALIAS or NAME/NUMBER. An alias is followed when it moves.
    /// What it is by default: models/shipped, here or beside the program. Setting: classifier.model
    #[arg(long, value_name = "DIR|REF", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model: Option<String>,
    /// Images a micro-batch; by default 10. Setting: classifier.batch_size
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<usize>,
}

impl Model {
    pub(super) fn flags(&self, flags: &mut Flags) {
        flags.value("classifier.model", self.model.as_ref(), "--model");
        flags.value("classifier.batch_size", self.batch_size.as_ref(), "--batch-size");
    }
}

/// Where metrics and health are served.
#[derive(Debug, Args, Default)]
pub(crate) struct Http {
    /// Address of /metrics, /health/live and /health/ready; `off` for none. What it is by default: 127.0.0.1:9464 or, if
    /// that is taken, another free port, and none for `autorma run`. Setting: http.address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<String>,
}

impl Http {
    pub(super) fn flags(&self, flags: &mut Flags) {
        flags.value("http.address", self.http.as_ref(), "--http");
    }
}

/// What all three stages together need.
#[derive(Debug, Args)]
pub(crate) struct Whole {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) model: Model,
    #[command(flatten)]
    pub(crate) http: Http,
}

impl Whole {
    pub(super) fn flags(&self, flags: &mut Flags) {
        self.input.flags(flags);
        self.output.flags(flags);
        self.model.flags(flags);
        self.http.flags(flags);
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) whole: Whole,
    /// Classify again what was published before
    #[arg(long)]
    pub(crate) reprocess: bool,
    /// Print the report as one JSON object on standard output; everything else goes to standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) http: Http,
}

#[derive(Debug, Args)]
pub(crate) struct ClassifyArgs {
    #[command(flatten)]
    pub(crate) model: Model,
    #[command(flatten)]
    pub(crate) http: Http,
    /// Stable name among several classifiers; by default the first free number. Setting: classifier.slot
    #[arg(long, value_name = "NAME")]
    pub(crate) slot: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SinkArgs {
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) http: Http,
}
