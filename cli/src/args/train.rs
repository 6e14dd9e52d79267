//! The command that trains.

use std::path::PathBuf;

use clap::Args;

use super::{Json, folder};

/// `--data` and `--config` are the photos' and the recipe's here, instead of the log's folder and the settings' file:
/// [`super::Common`] has them under the same names, and leaves them alone.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Folder with a folder of photos for each class, or with nothing but such folders in train, val and test; `other`, `unknown`,
    /// `none`, `background` and `backgrounds` hold what is none of them, `other` maybe in a folder for each kind. manifest.csv may
    /// say in a column contributor who sent which path, and in a column group which look alike. What is hidden isn't looked at.
    /// May be repeated
    #[arg(long, value_name = "DIR", required = true, value_parser = folder())]
    pub(crate) data: Vec<PathBuf>,
    /// Folder of photos of other articles, with a folder for each kind, maybe in train, val and test; may be repeated
    #[arg(long, value_name = "DIR", value_parser = folder())]
    pub(crate) other: Vec<PathBuf>,
    /// Folder of photos of scenes, without articles, maybe in train, val and test; articles are pasted on them, too. May be
    /// repeated
    #[arg(long, value_name = "DIR", value_parser = folder())]
    pub(crate) backgrounds: Vec<PathBuf>,
    /// The recipe, in TOML; what it doesn't say has its default. train.toml in the output folder says all of it,
    /// and docs/recipe.md what each key means
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What chance begins with, instead of what the recipe says; less than 2^63, as a TOML file has it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,
    /// Folder of the model and all that is known of its training; it is created
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// The backbone, an ONNX file, instead of the one that `make backbone` makes
    #[arg(long, value_name = "FILE")]
    pub(crate) backbone: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: Json,
}
