mod stores;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use autorma_models::Model;
use autorma_models::registry::{Location, Source, checked_alias};
use autorma_service::Shutdown;
use autorma_service::settings::{Key, Settings, Table};

use crate::{Limits, LoadError, Split, Trial};

const MODEL: Key = Key::new(
    "classifier.model",
    "models/shipped",
    "the model: a folder with manifest.json and its ONNX files, or a version of the registry, NAME@ALIAS or NAME/NUMBER",
);
/// One setting an alias: `model.split.production`.
const SPLIT: Table = Table {
    prefix: "model.split.",
    rest: "ALIAS",
    about: "this alias's share of the images, of the sum of all shares; an image's arm follows from its content",
    // Aliases have underscores and no dots.
    dotted: false,
};
const SHADOW: Key = Key::new(
    "model.shadow",
    "",
    "alias of the model whose version computes along; what it says is compared and not published; empty: none",
);
const RUNTIME: Key =
    Key::new("classifier.runtime", "", "ONNX Runtime's shared library; empty: found beside the program");
const BATCH_SIZE: Key =
    Key::new("classifier.batch_size", "10", "images a micro-batch, at most").alias("BATCH_SIZE");
const MAX_WAIT: Key =
    Key::new("classifier.max_wait", "20ms", "how long the first image of a micro-batch waits for others");
const WORKERS: Key =
    Key::new("classifier.workers", "0", "threads that decode and run the model; 0: one a processor");
const MAX_IN_FLIGHT: Key =
    Key::new("classifier.max_in_flight", "128", "images between reading and commit, at most");
const MAX_MEGABYTES: Key = Key::new("classifier.max_megabytes", "64", "largest file, in MB");
const MAX_MEGAPIXELS: Key =
    Key::new("classifier.max_megapixels", "50", "largest picture, in millions of pixels");
const MAX_DECODE_MEGABYTES: Key =
    Key::new("classifier.max_decode_megabytes", "256", "most memory for decoding one picture, in MB");
const ROOTS: Key = Key::new(
    "classifier.roots",
    "",
    "folders that file:// references may point into, separated by ':'; empty: those that ingest has published from",
);
const DEAD_SHARE: Key = Key::new(
    "classifier.dead_share",
    "0.9",
    "the stage stops when more than this share of recent events are dead letters; 1: never",
);
const DEAD_WINDOW: Key = Key::new("classifier.dead_window", "200", "how many events are recent");
const SLOT: Key = Key::new(
    "classifier.slot",
    "0",
    "stable name of this classifier among several; where it isn't set, the first number that is free, on Kafka behind the \
     host's name",
);

/// What the program sets unless it is told otherwise.
const DRAIN: Duration = Duration::from_secs(20);

/// The settings of the stage.
#[derive(Debug, Clone)]
pub struct Config {
    /// The model.
    pub model: Source,
    /// The arms of the model, if its images are split among several versions.
    pub split: Split,
    /// The alias of the model whose version computes along.
    pub shadow: Option<String>,
    /// Where the registry is.
    pub registry: Location,
    /// ONNX Runtime's shared library.
    pub runtime: PathBuf,
    /// How models are tried before they are loaded; none: not at all.
    pub trial: Option<Trial>,
    /// Images a micro-batch, and of the contract's batch numbers.
    pub batch_size: usize,
    /// How long an image waits for others.
    pub max_wait: Duration,
    /// Threads that decode and run the model.
    pub workers: usize,
    /// Images between reading and commit.
    pub max_in_flight: usize,
    /// What one file may cost.
    pub limits: Limits,
    /// Folders that references may point into; empty: those that ingest has published from, as the log says.
    pub roots: Vec<PathBuf>,
    /// URLs that references to objects may begin with.
    pub stores: Vec<String>,
    /// The largest share of dead letters among recent events.
    pub dead_share: f64,
    /// How many events are recent.
    pub dead_window: usize,
    /// How long what is in hand may take to be committed after a shutdown was asked for.
    pub drain: Duration,
    /// The stable name of this classifier.
    pub slot: String,
}

impl Config {
    /// Reads the settings of the stage. The program says where the registry is, and how models are tried.
    pub fn read(settings: &mut Settings, registry: Location) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = |count: usize| if count == 0 { processors } else { count };
        let roots: String = settings.get(&ROOTS, ..);
        let stores = stores::read(settings);
        Self {
            model: Source::meant(
                &settings.get_if(&MODEL, not_empty("a folder or a version; . is the current folder")),
            ),
            split: split(settings),
            shadow: shadow(settings),
            registry,
            runtime: settings.get(&RUNTIME, ..),
            trial: None,
            batch_size: settings.get(&BATCH_SIZE, 1..=256),
            max_wait: settings.get(&MAX_WAIT, Duration::ZERO..=Duration::from_secs(60)),
            workers: threads(settings.get(&WORKERS, 0..=256)),
            max_in_flight: settings.get(&MAX_IN_FLIGHT, 1..=100_000),
            limits: Limits {
                bytes: settings.get(&MAX_MEGABYTES, 1..=2047_u64) * 1_000_000,
                pixels: settings.get(&MAX_MEGAPIXELS, 1..=10_000_u64) * 1_000_000,
                memory: settings.get(&MAX_DECODE_MEGABYTES, 1..=65_536_u64) * 1_000_000,
            },
            roots: std::env::split_paths(&roots).filter(|root| !root.as_os_str().is_empty()).collect(),
            stores,
            dead_share: settings.get(&DEAD_SHARE, 0.0..=1.0),
            dead_window: settings.get(&DEAD_WINDOW, 1..=1_000_000),
            drain: DRAIN,
            // On Kafka all that have none would be one, and fence each other.
            slot: settings.get_if(&SLOT, not_empty("a name; left out, it is the first number that is free")),
        }
    }
}

/// A check that a text says something; `wanted` is what it should be.
fn not_empty(wanted: &'static str) -> impl Fn(&String) -> Result<(), String> {
    move |text| match text.is_empty() {
        true => Err(wanted.into()),
        false => Ok(()),
    }
}

impl Config {
    /// Tries a model in a process of its own, where the program has said how: how many pictures go into one call, once that
    /// was tried. A shutdown ends it.
    pub fn try_out(&self, model: &Model, shutdown: Option<&Shutdown>) -> Result<Option<usize>, LoadError> {
        self.trial.as_ref().map(|trial| trial.passes(model, shutdown)).transpose()
    }
}

fn split(settings: &mut Settings) -> Split {
    let share = |value: &str| value.trim().parse::<u32>().ok().filter(|share| *share <= 1_000_000);
    let shares = settings.table(
        &SPLIT,
        |_| false,
        |alias, value| {
            checked_alias(alias).map_err(|error| error.to_string())?;
            share(value).map(drop).ok_or_else(|| "a share: a whole number from 0 to 1000000".into())
        },
    );
    let shares: BTreeMap<_, _> =
        shares.into_iter().filter_map(|(alias, value)| Some((alias, share(&value)?))).collect();
    Split::new(shares)
}

fn shadow(settings: &mut Settings) -> Option<String> {
    let alias: String = settings.get_if(&SHADOW, |alias: &String| match alias.is_empty() {
        true => Ok(()),
        false => checked_alias(alias).map(drop).map_err(|error| error.to_string()),
    });
    Some(alias).filter(|alias| !alias.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_service::settings::Layer;

    #[test]
    fn shares_come_from_everywhere_and_are_checked_together() {
        let file = "[model]\nshadow = 'next'\n[model.split]\nproduction = 90\nstaging = 10";
        let file = Layer::from_toml(file, "autorma.toml").unwrap();
        let environment = [("AUTORMA_MODEL_SPLIT_STAGING", "20"), ("AUTORMA_MODEL_SHADOW", "")];
        let environment =
            Layer::from_environment(environment.map(|(name, value)| (name.into(), value.into())).into_iter());
        let flags = Layer::new("flags").with("model.split.production", "0", "--set");
        let read = |layers: Vec<Layer>| {
            let mut settings = Settings::new(layers);
            let config = Config::read(&mut settings, Location::Folder("registry".into()));
            let arms: Vec<_> = config.split.arms().map(|(alias, share)| (alias.to_owned(), share)).collect();
            (arms, config.shadow, settings.finish().map_err(|error| error.to_string()))
        };
        let arm = |alias: &str, share: u32| (alias.to_owned(), share);
        let (arms, shadow, _) = read(vec![file.clone()]);
        assert_eq!(
            (arms, shadow.as_deref()),
            (vec![arm("production", 90), arm("staging", 10)], Some("next"))
        );
        let (arms, shadow, problems) = read(vec![file, environment, flags]);
        assert_eq!((arms, shadow, problems), (vec![arm("staging", 20)], None, Ok(())));
        let underscore = [("AUTORMA_MODEL_SPLIT_BLUE_GREEN".into(), "1".into())];
        let (arms, _, problems) = read(vec![Layer::from_environment(underscore.into_iter())]);
        assert_eq!((arms, problems), (vec![arm("blue_green", 1)], Ok(())));
        let wrong = Layer::new("flags")
            .with("model.split.latest", "1", "--set")
            .with("model.split.production", "many", "--set")
            .with("model.shadow", "../x", "--set");
        let (arms, _, problems) = read(vec![wrong]);
        let problems = problems.unwrap_err();
        assert!(
            arms.is_empty()
                && ["reserved", "a whole number", "can't be a name"].iter().all(|it| problems.contains(it)),
            "{problems}"
        );
    }
}
