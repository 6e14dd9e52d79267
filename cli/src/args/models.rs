//! The commands about the registry.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use autorma_models::registry::{Reference, RegistryError, checked_alias, checked_name};
use clap::builder::{NonEmptyStringValueParser, StringValueParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::{Json, folder};

// What the gate of `promote` asks where nobody says otherwise.
const MARGIN: f64 = 0.5;
const QUANTIZED: f64 = 0.3;
const ACCURACY: f64 = 80.0;
const REFUSED: f64 = 20.0;
const WRONG: f64 = 2.0;
const SPEED: f64 = 0.8;

#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the versions, with the aliases that name them
    ///
    /// On an MLflow server, models of others that never had a manifest for autorma are left out.
    List(Json),
    /// Show a version: what it takes, what it says, what was measured on it, and the moves of the aliases
    Show {
        /// NAME@ALIAS or NAME/NUMBER
        reference: Reference,
        #[command(flatten)]
        json: Json,
    },
    /// Keep a model's folder as the next version; one that is kept already is found again
    Register(RegisterArgs),
    /// Put models together to one that is asked as a whole: the mean of their log-probabilities, an ensemble
    ///
    /// The models must take the same pictures and have the same outputs. Each photo goes through all of them, so the ensemble
    /// takes as long as they do together. It gets a temperature and thresholds of its own: on the photos of --data and
    /// --unknown they are chosen as `autorma train` chooses them. These must be photos that none of the models has learned
    /// from, or else the ensemble is too sure of itself; nobody can check that here. What was measured on the models isn't
    /// said of the ensemble: `autorma evaluate` measures it, on still other photos. Here --data names photos; --set data=DIR
    /// names the data folder. Exit status: 0 made; 2 made, but without some photos that couldn't be judged, or without a
    /// reference that can't be read; 1 not made.
    Ensemble(EnsembleArgs),
    /// Let an alias name a version
    Alias(MoveArgs),
    /// Let production name a version, if it passes the gate: no worse than the one that serves, on photos that are known
    ///
    /// Both are asked about the photos of --data, as the classifier would ask them. The version passes if it has a verdict on
    /// as many photos, and on one of each class; if it takes pictures of the same size, knows the same classes, and can call a
    /// photo unknown where what serves can; if its accuracy, the share of photos of the classes that it accepts, how often it
    /// is right about these, and the share of --unknown photos that it finds are at most --margin points lower; if the share of
    /// photos of the classes that it calls unknown, and that of --unknown photos that it accepts, are at most --margin points
    /// higher; if it finds no class more than --margin points less often, unless that may be chance (the share is within the
    /// 95 % interval of what serves); if its calibration error is at most --calibration-error; and if it is at least --speed
    /// times as fast. A quantized version, whether its manifest or its graph says so, must also be at most --quantized
    /// points less accurate than what it was quantized from, its reference, with which it must be registered. Where what
    /// serves accepts none of the photos, at most --wrong per cent of those that the version accepts may be wrong. Where
    /// nothing serves yet, that is asked, too; its accuracy must be at least --accuracy per cent, and so must be how often it
    /// finds each class, unless that may be chance (the 95 % interval reaches it); no photo may be without a verdict, it may
    /// call at most --refused per cent of the photos of the classes unknown, must accept some, must find a larger share of the
    /// --unknown photos than it calls unknown of the classes, and must accept a smaller one than of the classes, or none; of
    /// the rest, what needs no comparison is asked. The same is asked where what serves can't be loaded, and then only --force
    /// promotes. Here --data names photos; --set data=DIR names the data folder, in which the registry is unless the setting
    /// `registry` names another. A version that the alias names already is asked nothing: `autorma evaluate` says how good it
    /// is. Of a version that has passed, the alias's history has the photos' folders, how many photos there were, "no unknowns"
    /// if all were of the classes, and the options that aren't the defaults. Exit status: 0 promoted, or named already; 1 not.
    Promote(PromoteArgs),
    /// Let an alias name what it named before
    Rollback {
        /// NAME@ALIAS
        alias: Reference,
        #[command(flatten)]
        signature: Signature,
        #[command(flatten)]
        json: Json,
    },
    /// Compare what versions say of the photos that are classified: the shadow and what is published, and the arms of a split
    ///
    /// With the setting model.shadow an alias's version computes along and isn't published; with model.split.ALIAS images
    /// are split among aliases. This reads the predictions that the log still has. Of a shadow it tells how often it says
    /// the same (class and decision, or both unknown), with the 95 % interval, by class, and the photos of which it doesn't; of
    /// arms, their shares of decisions side by side. Pairs of versions are told one by one, the one that was compared last at the end.
    CompareLive(CompareLiveArgs),
    /// Compare two versions' manifests
    Diff(DiffArgs),
    /// Check the files of versions, and try each model on a picture
    ///
    /// What a version was quantized from, its reference, is checked, too: a problem of that alone counts, but such a version
    /// can serve (`can_serve` in the JSON). On an MLflow server, models of others that never had a manifest for autorma are
    /// left out, unless they are named. Exit status: 0 no problem; 1 at least one.
    Verify {
        /// NAME@ALIAS or NAME/NUMBER; NAME for all versions of a model; all of all models, if nothing is named
        #[arg(value_name = "NAME|REF")]
        versions: Vec<Versions>,
        #[command(flatten)]
        json: Json,
    },
    /// Remove old versions, but for those that an alias names or would go back to
    Gc(GcArgs),
}

/// One version, or all of a model's.
#[derive(Debug, Clone)]
pub(crate) enum Versions {
    One(Reference),
    All(String),
}

impl FromStr for Versions {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // No name has any of these.
        match text.contains(['@', '/']) {
            true => text.parse().map(Self::One),
            false => checked_name(text).map(Self::All),
        }
    }
}

/// Who does something, and why.
#[derive(Debug, Args)]
pub(crate) struct Signature {
    /// Why: it is remembered
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) why: Option<String>,
    /// Who; whom the variable USER names, if nothing is said
    #[arg(
        long,
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        default_value_t = user(),
        hide_default_value = true
    )]
    pub(crate) by: String,
}

/// Who calls autorma, as far as the environment says that.
pub(crate) fn user() -> String {
    let said = std::env::var("USER").ok();
    said.filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".into())
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// The folder: manifest.json, its ONNX file or its members', and the reference if it has one
    pub(crate) model: PathBuf,
    /// Let this alias name it, too
    #[arg(long, value_name = "ALIAS", value_parser = checked_alias)]
    pub(crate) alias: Option<String>,
    #[command(flatten)]
    pub(crate) signature: Signature,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct EnsembleArgs {
    /// The models: folders, or versions of the registry; two to eight. What comes out has the first one's name
    #[arg(value_name = "DIR|REF", num_args = 2..=8, required = true, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) models: Vec<String>,
    /// How much each counts, in their order; all the same, if nothing is said
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    pub(crate) weights: Vec<f64>,
    #[command(flatten)]
    pub(crate) photos: Photos,
    /// A recipe of `autorma train`, whose targets are kept to; its `refused` is for all photos of the classes here, as nobody
    /// knows whose they are
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,
    /// Folder of the ensemble, which --model and `autorma models register` take; it is created, or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// The version: NAME/NUMBER, or NAME@ALIAS for what another alias names now
    pub(crate) reference: Reference,
    /// The alias, for example production
    #[arg(value_parser = checked_alias)]
    pub(crate) alias: String,
    #[command(flatten)]
    pub(crate) signature: Signature,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// One version: NAME@ALIAS or NAME/NUMBER
    pub(crate) from: Reference,
    /// The other
    pub(crate) to: Reference,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct CompareLiveArgs {
    /// Only predictions of this run
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<String>,
    /// Only predictions made at this time or later: a date, a time, or how long ago, as in 2h or 7d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// How many of the photos that differ the table lists, of each pair of versions; JSON has all of them
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) list: usize,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// The model
    pub(crate) name: String,
    /// How many of the newest versions stay
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) keep: usize,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The version: NAME/NUMBER, or NAME@ALIAS, for example NAME@staging
    pub(crate) reference: Reference,
    /// The alias that is to name it
    #[arg(long, value_name = "ALIAS", default_value = "production", value_parser = checked_alias)]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) photos: Photos,
    /// How many points worse than what serves it may be
    #[arg(long, value_name = "POINTS", default_value_t = MARGIN, value_parser = percent())]
    pub(crate) margin: f64,
    /// How many points less accurate a quantized version may be than what it was quantized from, its reference
    #[arg(long, value_name = "POINTS", default_value_t = QUANTIZED, value_parser = percent())]
    pub(crate) quantized: f64,
    /// The least accuracy where nothing serves to compare with, which each class's 95 % interval must reach, too
    #[arg(long, value_name = "PERCENT", default_value_t = ACCURACY, value_parser = accuracy())]
    pub(crate) accuracy: f64,
    /// The largest share of photos of the classes that may be called unknown where nothing serves to compare with
    #[arg(long, value_name = "PERCENT", default_value_t = REFUSED, value_parser = percent())]
    pub(crate) refused: f64,
    /// The largest share of the accepted that may be wrong where nothing serves, or what serves accepts none
    #[arg(long, value_name = "PERCENT", default_value_t = WRONG, value_parser = percent())]
    pub(crate) wrong: f64,
    /// The largest expected calibration error; 0.05, if nothing is said, or what serves has, where that is more
    #[arg(long, value_name = "ERROR", value_parser = within(0.0..=1.0))]
    pub(crate) calibration_error: Option<f64>,
    /// The least speed, as a multiple of what serves
    #[arg(long, value_name = "RATIO", default_value_t = SPEED, value_parser = within(0.0..=1000.0))]
    pub(crate) speed: f64,
    /// Promote it although it doesn't pass; --why must say why, and both are remembered
    #[arg(long, requires = "why")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) signature: Signature,
    #[command(flatten)]
    pub(crate) json: Json,
}

impl PromoteArgs {
    /// The options of the gate that aren't the defaults.
    pub(crate) fn other_bounds(&self) -> Vec<String> {
        let bounds = [
            ("margin", self.margin, MARGIN),
            ("quantized", self.quantized, QUANTIZED),
            ("accuracy", self.accuracy, ACCURACY),
            ("refused", self.refused, REFUSED),
            ("wrong", self.wrong, WRONG),
            ("speed", self.speed, SPEED),
        ];
        let others = bounds.into_iter().filter(|(_, bound, default)| bound != default);
        let others = others.map(|(name, bound, _)| format!("--{name} {bound}"));
        others.chain(self.calibration_error.map(|error| format!("--calibration-error {error}"))).collect()
    }
}

/// Photos whose labels are known. `--data` is theirs here, instead of the folder of the log: [`super::Common`] has it under
/// the same name, and leaves it alone.
#[derive(Debug, Args)]
pub(crate) struct Photos {
    /// Folder with a folder of photos for each class; `other`, `unknown`, `none`, `background` and `backgrounds` hold what is
    /// none of them; may be repeated
    #[arg(long, value_name = "DIR", required = true, value_parser = folder())]
    pub(crate) data: Vec<PathBuf>,
    /// Folder of photos that are none of the classes; may be repeated
    #[arg(long, value_name = "DIR", value_parser = folder())]
    pub(crate) unknown: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// The model: its folder, or a version of the registry. Setting: classifier.model
    #[arg(long, value_name = "DIR|REF", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) photos: Photos,
    /// Another model, to compare with on the same photos
    #[arg(long, value_name = "DIR|REF", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) against: Option<String>,
    /// Also write the figures as one HTML page, with reliability diagrams and curves
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// A number within these bounds, which what is no number never is.
fn within(bounds: RangeInclusive<f64>) -> impl TypedValueParser<Value = f64> {
    StringValueParser::new().try_map(move |text| {
        let number = text.parse::<f64>().ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| format!("expected a number from {} to {}", bounds.start(), bounds.end()))
    })
}

fn percent() -> impl TypedValueParser<Value = f64> {
    within(0.0..=100.0)
}

/// Per cent, too, of what is often said as a share.
fn accuracy() -> impl TypedValueParser<Value = f64> {
    percent().try_map(|percent| match percent > 0.0 && percent < 1.0 {
        true => Err("it is in per cent: 95, not 0.95"),
        false => Ok(percent),
    })
}
