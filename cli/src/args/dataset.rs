//! The commands about data sets.

use std::path::PathBuf;

use autorma_training::dataset::{GroupBy, IMBALANCE, NEAR, Ratio};
use clap::{Args, Subcommand};

use super::{Json, folder};

#[derive(Debug, Args)]
pub(crate) struct DatasetArgs {
    #[command(subcommand)]
    pub(crate) command: DatasetCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Make a split data set from a folder of photos
    ///
    /// Reads a folder that has a folder of photos for each class (below train, val and test, if it is split already), or
    /// Kaggle's Fashion Product Images as it is downloaded (styles.csv and images/), of which casual shoes, handbags,
    /// shirts, tops and watches are taken. Writes copies as train/CLASS/…, val/CLASS/… and test/CLASS/…, with
    /// dataset_info.json, manifest.csv and contact_sheet.html to look at. Photos that are the same or look alike, and
    /// those of one group, are on one side. Files that can't be decoded are left out and listed. The data set appears when
    /// it is whole; the same photos, options and seed give the same bytes. Exit status: 0 prepared; 2 prepared, but some
    /// files are broken or in no folder of a class, a class has no photo, or two classes have the same picture; 1 not
    /// prepared.
    Prepare(PrepareArgs),
    /// Say what is wrong with a data set: duplicates across the split, label conflicts, imbalance, classes that can't be
    /// learned, broken and changed files
    ///
    /// Takes any folder of class folders, split or not; manifest.csv and dataset_info.json are held against the files, if
    /// they are there, and what is found for which `train` would refuse the list or the folder: rows, and classes beside
    /// train, val and test that it isn't named. Each folder is checked alone, whatever it is trained with. Classes without
    /// photos are found, and those without any in train where others have some. Photos that are the same or look alike on one
    /// side of the split are counted, and no finding. Exit status: 0 clean; 2 something was found; 1 anything else.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PrepareArgs {
    /// Folder of the photos; it is only read
    #[arg(long, value_name = "DIR", value_parser = folder())]
    pub(crate) from: PathBuf,
    /// Folder of the data set. One that was prepared before is replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Photos of a class, at most, drawn by lot; or `all`
    #[arg(long, value_name = "N", default_value = "500", value_parser = most)]
    pub(crate) per_class: Most,
    /// Shares of train, val and test
    #[arg(long, value_name = "RATIO", default_value = "70/15/15")]
    pub(crate) split: Ratio,
    #[command(flatten)]
    pub(crate) alike: Alike,
    /// Another seed, another draw and another split
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Replace the folder even if it is no data set, or has other files in it
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// What must be on one side of a split.
#[derive(Debug, Args)]
pub(crate) struct Alike {
    /// What else must be on one side: `folder` (shirts/anna/1.jpg and tops/anna/2.jpg), `prefix` (order17-1.jpg and
    /// order17-2.jpg, up to the first - or _, and order17.jpg with them), `none`, or a column of manifest.csv or styles.csv.
    /// Without it, productDisplayName of Kaggle's photos, and of others the column group of manifest.csv, if there is one
    #[arg(long, value_name = "WHAT")]
    pub(crate) group_by: Option<GroupBy>,
    /// Photos look alike whose perceptual hashes differ in at most so many of 256 bits
    #[arg(long, value_name = "BITS", default_value_t = NEAR, value_parser = clap::value_parser!(u32).range(0..=255))]
    pub(crate) near: u32,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Folder of the data set
    #[arg(value_parser = folder())]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) alike: Alike,
    /// How many times as many photos as the smallest class the largest may have
    #[arg(long, value_name = "RATIO", default_value_t = IMBALANCE, value_parser = ratio)]
    pub(crate) imbalance: f64,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// So many, or all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most(pub(crate) Option<usize>);

/// How many times as many one may have as another: never below 1.
fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse::<f64>().ok().filter(|ratio| *ratio >= 1.0);
    ratio.ok_or_else(|| "expected a number, at least 1".to_owned())
}

fn most(text: &str) -> Result<Most, String> {
    match text.parse() {
        Ok(0) | Err(_) if text != "all" => Err("expected a number of photos above 0, or all".to_owned()),
        number => Ok(Most(number.ok())),
    }
}
