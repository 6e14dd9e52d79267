use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Broken, Kind, Split};

/// The file that says what a data set is.
pub(super) const INFO: &str = "dataset_info.json";
/// The list of its photos.
pub(crate) const MANIFEST: &str = "manifest.csv";
/// The page to look at.
pub const SHEET: &str = "contact_sheet.html";
/// What the info's `format` says.
pub(super) const FORMAT: &str = "autorma dataset 1";

/// `dataset_info.json`. It has no time and no path of a machine: the same photos and options give the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// That autorma has prepared it, and how it is to be read.
    pub format: String,
    /// The version of autorma that prepared it.
    pub autorma: String,
    /// The name of the folder that the photos came from.
    pub source: String,
    /// How photos were found there.
    pub kind: Kind,
    /// The seed of sampling and split.
    pub seed: u64,
    /// Photos of a class, at most; None: all.
    pub per_class: Option<usize>,
    /// The shares asked for, as in 70/15/15.
    pub split: String,
    /// What was grouped by: contributors too, if any are known.
    pub group_by: String,
    /// In how many of 256 bits hashes of photos that look alike differ at most.
    pub near: u32,
    /// What the perceptual hash is.
    pub perceptual_hash: String,
    /// The names of the classes' folders, in order.
    pub classes: Vec<String>,
    /// Folders of classes of which no photo can be decoded: most have none. They aren't among those.
    #[serde(default)]
    pub empty_classes: Vec<String>,
    /// Photos in the data set.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Photos of each class on each side of the split.
    pub counts: BTreeMap<Split, BTreeMap<String, usize>>,
    /// Photos of each class in the source, before some were chosen.
    pub found: BTreeMap<String, usize>,
    /// The mean over all photos.
    pub mean_size: MeanSize,
    /// Groups that were kept together, single photos among them.
    pub groups: usize,
    /// The group with the most photos.
    pub largest_group: Largest,
    /// Photos whose content another one before them has, byte by byte.
    pub exact_duplicates: usize,
    /// Pairs of photos that look alike, without those.
    pub near_duplicates: usize,
    /// Pairs of photos that are the same or look alike, of two classes.
    pub label_conflicts: Vec<[String; 2]>,
    /// Files that are no photos, and rows that are wrong.
    pub broken: Vec<Broken>,
    /// SHA-256 of `manifest.csv`, which has that of each photo: it names the data set's content.
    pub manifest_sha256: String,
}

/// Means of photos' sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanSize {
    /// Pixels, as the file has them.
    pub width: f64,
    /// Pixels, as the file has them.
    pub height: f64,
    /// Bytes of the file.
    pub bytes: f64,
}

/// The largest group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Largest {
    /// Photos in it.
    pub files: usize,
    /// The first of them, in the source.
    pub first: String,
}
