//! The command line: every command, flag and help text. Flags that are settings end up in [`Cli::layer`].

mod dataset;
mod events;
mod flags;
mod looking;
mod models;
mod stages;
mod train;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::{Error, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use dataset::{CheckArgs, DatasetArgs, DatasetCommand, PrepareArgs};
pub(crate) use events::{
    Chosen, DeadLettersArgs, DeadLettersCommand, ProduceArgs, ReplayArgs, RetryArgs, TailArgs, Topic,
};
pub(crate) use looking::{RunsArgs, RunsCommand, ShowArgs, StatusArgs};
pub(crate) use models::{
    CompareLiveArgs, DiffArgs, EnsembleArgs, EvaluateArgs, GcArgs, ModelsArgs, ModelsCommand, MoveArgs,
    Photos, PromoteArgs, RegisterArgs, Signature, Versions, user,
};
pub(crate) use stages::{ClassifyArgs, IngestArgs, Output, RunArgs, SinkArgs, Whole};
pub(crate) use train::TrainArgs;

/// Turns photographs of returned goods into labels: a folder of photos in, durable predictions out, exactly once.
#[derive(Debug, Parser)]
#[command(name = "autorma", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
Settings come from, weakest first: defaults, autorma.toml, .env, environment (AUTORMA_…), flags.
`autorma config` lists all of them with their values and where each comes from.

Try it:  autorma samples photos && autorma run --input photos --output results --data state")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What every command understands.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Folder of the state of everything: the log, unless it is on Kafka, the locks, the model registry, unless
    /// `registry` names another one, and what was fetched from MLflow; by default data/autorma. Setting: data
    #[arg(long, global = true, value_name = "DIR", help_heading = "Settings")]
    pub(crate) data: Vec<PathBuf>,
    /// Configuration file, instead of ./autorma.toml if there is one; AUTORMA_CONFIG in the environment
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    pub(crate) config: Option<PathBuf>,
    /// Where the log is: embedded, in the data folder, or kafka; by default embedded. Setting: log.kind
    #[arg(long, global = true, value_name = "KIND", help_heading = "Settings")]
    pub(crate) log: Option<String>,
    /// Brokers of the Kafka cluster: HOST:PORT, separated by commas; the log is on it then. Setting: log.kafka.brokers
    #[arg(long, global = true, value_name = "HOST:PORT", help_heading = "Settings")]
    pub(crate) brokers: Option<String>,
    /// Any setting, for example --set classifier.max_wait=20ms; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = assignment, help_heading = "Settings")]
    pub(crate) set: Vec<(String, String)>,
    /// What is logged: error, warn, info, debug, trace, or a filter like autorma_sink=debug; by default info. Setting:
    /// logging.level
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Settings")]
    pub(crate) log_level: Option<String>,
    /// How it is logged, on standard error; by default text. Setting: logging.format
    #[arg(long, global = true, value_name = "FORMAT", value_parser = ["text", "json"], help_heading = "Settings")]
    pub(crate) log_format: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Classify a folder once: discover, classify, write the results, report
    ///
    /// Photos that were published before, by an earlier run or by ingest, are left out, dead letters among them, too:
    /// `autorma dead-letters retry` is for these. If an earlier run on the folder was interrupted, it is continued. Exit
    /// status: 0 everything is classified, or nothing was new; 2 finished, but some images are dead letters, of this run or
    /// of another one that was waiting and is finished by the way, or some files or folders can't be read; 1 not finished,
    /// or some files are still being written.
    Run(RunArgs),
    /// Watch a folder and classify what arrives, until SIGTERM or SIGINT
    ///
    /// All three stages in one process. Results are written at the end of each run, an hour by default
    /// (--set ingest.run_length=10m), and at the stop. A second signal ends it at once, without losing anything. On Kafka,
    /// whoever starts last is the cluster's ingest and sink: it ends another `autorma up`, or a run.
    Up(Whole),
    /// Run only the first stage: watch a folder and publish image events
    ///
    /// `autorma classify` and `autorma sink` do the rest, in any order of starting: with the same --data on the same
    /// machine, or on Kafka anywhere. Only one ingest runs on a log: in a data folder a second one is refused, on Kafka it
    /// takes over and ends the first. SIGTERM closes the run, so that the others can finish it.
    Ingest(IngestArgs),
    /// Run only the middle stage: classify image events; several share the work
    ///
    /// Start it as often as there are processors to spare, up to the number of partitions (log.partitions, 4 in a new
    /// log); each takes its share, and those of one that is killed go to the others within seconds. Photos are read from
    /// the folders that ingest has published from, or from below those of classifier.roots alone, if it is set. SIGTERM
    /// commits what is in hand.
    Classify(ClassifyArgs),
    /// Run only the last stage: write results and summaries
    ///
    /// A run's files are written when it is closed and each of its images has an outcome. Only one sink runs on a log (on
    /// Kafka a second one takes over and ends the first), and only one on an output folder. It may be killed at any time:
    /// the next one continues.
    Sink(SinkArgs),
    /// Publish photos as image events, from a script or another machine
    ///
    /// The stages that are running classify them, or else the next `autorma up` or `autorma run`. An event refers to its
    /// file, which must stay where it is: the classifier reads it, and only from below classifier.roots or a folder that
    /// ingest has published from; a photo from elsewhere would be a dead letter, forbidden-reference. Where the classifier
    /// can't read the file, --inline sends its content. A file that can't be read costs itself: it is reported and the
    /// others are published. With --run, an interrupted call is completed by the same command: photos that are published
    /// twice are counted as duplicates. Exit status: 0 all are published; 2 some files can't be; 1 anything else.
    Produce(ProduceArgs),
    /// Print predictions as they come, until Ctrl-C
    ///
    /// Lines for people, or with --json one object a line. What comes from now on, unless --from-beginning or --last says
    /// otherwise. Records of one partition are in order.
    Tail(TailArgs),
    /// Classify images of the log again, maybe with another model, and tell what changed
    ///
    /// Reads the image events that are chosen (all conditions must hold) and classifies them into a run replay_… of its
    /// own, with results and summary in the output folder, then compares with each event's newest outcome in the log.
    /// Nothing that is running notices: no offsets move, nothing is appended but the record of the finished run, and the
    /// topic predictions isn't written to. Only what the log still has (log.retention) can be chosen, and photos must be
    /// where they were. A replay that is interrupted leaves nothing; start it again. Exit status: 0 all are classified; 2
    /// some are dead letters; 1 not finished.
    Replay(ReplayArgs),
    /// Show topics, lag, runs, the configured model and which stages are alive
    Status(StatusArgs),
    /// List the runs, or show one
    Runs(RunsArgs),
    /// List the images that couldn't be classified, with the reasons; `retry` publishes them again
    DeadLetters(DeadLettersArgs),
    /// Keep versions of models, and let aliases name those that serve
    ///
    /// A version never changes. Aliases, such as production, move, and each move is remembered. Running classifiers whose
    /// model is NAME@ALIAS serve the version that it names within seconds, without a restart. The registry is a folder or
    /// an MLflow server; the setting is `registry`.
    Models(ModelsArgs),
    /// Say how good a model is, on photos whose labels are known
    ///
    /// Photos are decoded and computed as the classifier does it. Shares come with their 95 % intervals. With --against, two
    /// models are compared on the same photos; a quantized one is also compared with what it was quantized from, if that was
    /// kept. A photo that can't be decoded is in no figure, and reported. Here --data names photos; --set data=DIR names the
    /// data folder, in which the registry is unless the setting `registry` names another. Exit status: 0 all photos were
    /// judged; 2 some couldn't be, or what the model was quantized from can't be asked; 1 anything else.
    Evaluate(EvaluateArgs),
    /// Train a model on photos whose labels are known
    ///
    /// A backbone says numbers about each photo and its variations, and a linear head learns to tell the classes by them, and
    /// all that is none of them. The backbone stays as it is, unless the recipe has steps of tuning. How good it is is judged
    /// on contributors and kinds of article that were kept from learning, in turn. In the output folder are then: model/ (its
    /// manifest, ONNX file, reference in floats and card: what --model and `autorma models register` take), report.html,
    /// metrics.json, train.toml, and the features, from which an interrupted training goes on when the same command is given
    /// again. The same photos, recipe and seed give the same model on one kind of processor. Ctrl-C stops variations and
    /// tuning, and makes a model of what there is; a second one ends at once. Where the registry is an MLflow server, the
    /// training is then recorded there, as one run in the experiment that has the model's name: parameters, figures, the
    /// head's curve, and what is in the output folder but the features. If the server is away or refuses, that is a warning
    /// and changes no exit status: the same command, given again, records it, and what is recorded it leaves alone. Here
    /// --data names photos and --config the recipe; AUTORMA_CONFIG in the environment names the file of the settings. Exit
    /// status: 0 trained; 2 trained, but with fewer variations or without tuning, because it was stopped, or without some
    /// photos that couldn't be read; 1 not trained.
    Train(TrainArgs),
    /// Prepare data sets to train on, and check them
    Dataset(DatasetArgs),
    /// Create the topics of a Kafka cluster, or compare them with what they should be
    Topics(TopicsArgs),
    /// Tell what happened to a photo: by file name, path or event id
    Show(ShowArgs),
    /// Show the effective configuration and where each value comes from
    Config(ConfigArgs),
    /// Draw sample pictures of the five classes and a few broken files
    Samples(SamplesArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page (`autorma man | man -l -`)
    Man,
    /// Try the model that comes on standard input: autorma starts itself so, for models that nobody has tried
    #[command(hide = true)]
    TryModel {
        /// ONNX Runtime's shared library
        runtime: PathBuf,
    },
}

/// Tables for people or JSON for scripts.
#[derive(Debug, Args)]
pub(crate) struct Json {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TopicsArgs {
    #[command(subcommand)]
    pub(crate) command: TopicsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// Create the topics that are missing; those that exist stay as they are
    ///
    /// With log.partitions partitions each (runs and ingest-ledger have one), log.retention, compaction for runs and
    /// ingest-ledger, and log.kafka.replication copies. No stage creates topics by itself.
    Create(Json),
    /// Compare the topics with what they should be; exit status 1 if something would go wrong
    Check(Json),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Only check it: exit status 1 and all problems, if there are any
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct SamplesArgs {
    /// Folder to draw into; it is created
    pub(crate) folder: PathBuf,
    /// How many pictures, besides the broken files
    #[arg(long, default_value_t = 40)]
    pub(crate) count: usize,
}

impl Cli {
    /// What the words of a command line say, the program's name first.
    pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, Error> {
        let words: Vec<_> = words.into_iter().collect();
        let cli = Self::try_parse_from(&words)?;
        match cli.outdone(&words) {
            Some(problem) => Err(Self::command().error(ErrorKind::ArgumentConflict, problem)),
            None => Ok(cli.handed_down()),
        }
    }

    /// What is wrong, if a flag stands before a subcommand that has another of that name, or can't do anything with it: clap
    /// drops it then, and tells nobody.
    fn outdone(&self, words: &[OsString]) -> Option<&'static str> {
        let data = "--data names photos here, and none before the subcommand counts: name the data folder \
                    with --set data=DIR";
        let config = "--config names the recipe here, and none before the subcommand counts: name the file of \
                      the settings with AUTORMA_CONFIG in the environment";
        let set = "--set stands before a subcommand and behind it, and those before it wouldn't count: put all of \
                   them behind it";
        let last = "--last chooses among the runs that are listed, and `show` shows the one that is named";
        let is_training = matches!(self.command, Command::Train(_));
        let is_of_one =
            matches!(self.command, Command::Runs(RunsArgs { command: Some(_), last: Some(_), .. }));
        match self.photos() {
            _ if times(words, "--set") > self.common.set.len() => Some(set),
            Some(photos) if times(words, "--data") > photos.len() => Some(data),
            _ if is_training && times(words, "--config") > 1 => Some(config),
            _ if is_of_one => Some(last),
            _ => None,
        }
    }

    /// With the flags of commands that have subcommands where these look for them.
    fn handed_down(mut self) -> Self {
        match &mut self.command {
            Command::DeadLetters(args) => args.hand_down(),
            Command::Runs(args) => args.hand_down(),
            _ => {}
        }
        self
    }

    /// The configuration file, if one is named.
    pub(crate) fn configuration_file(&self) -> Option<PathBuf> {
        self.configuration_flag().or_else(|| std::env::var_os("AUTORMA_CONFIG").map(PathBuf::from))
    }

    /// The same, if a flag names it.
    pub(crate) fn configuration_flag(&self) -> Option<PathBuf> {
        self.common.config.clone().filter(|_| !matches!(self.command, Command::Train(_)))
    }

    /// The photos, where these are what `--data` names.
    fn photos(&self) -> Option<&[PathBuf]> {
        match &self.command {
            Command::Evaluate(args) => Some(&args.photos.data),
            Command::Train(args) => Some(&args.data),
            Command::Models(args) => match &args.command {
                ModelsCommand::Promote(args) => Some(&args.photos.data),
                ModelsCommand::Ensemble(args) => Some(&args.photos.data),
                _ => None,
            },
            _ => None,
        }
    }
}

/// How often a flag is said, wherever. What stands behind `--` is no flag.
fn times(words: &[OsString], flag: &str) -> usize {
    let is_it = |word: &OsString| {
        let rest = word.as_encoded_bytes().strip_prefix(flag.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
    };
    words.iter().take_while(|word| *word != "--").filter(|word| is_it(word)).count()
}

/// A folder that is there: who mistypes it is told at once, and of which flag.
fn folder() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|path| {
        let path = PathBuf::from(path);
        match path.metadata() {
            Ok(found) if found.is_dir() => Ok(path),
            Ok(_) => Err("it is no folder".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
}

/// `KEY=VALUE`.
fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests;
