use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use autorma_evaluation::is_stranger;
use autorma_schemas::sha256;
use serde::Serialize;

use super::columns::{Columns, refused};
use super::grouping::contributors;
use super::reading::{Photo, read};
use super::{Alike, Broken, Cost, DatasetError, Found, GroupBy, INFO, MANIFEST, Split, pairs};
use crate::Progress;
use crate::photos::CONTRIBUTOR;

/// The class with the most photos may have so many times as many as the one with the fewest.
pub const IMBALANCE: f64 = 3.0;

/// What is wrong with a data set, and what it has. Photos are named by their paths in it.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Photos that can be decoded.
    pub photos: usize,
    /// Of each class on each side of the split; `all` where the folder isn't split.
    pub counts: BTreeMap<String, BTreeMap<String, usize>>,
    /// The same content on several sides: all photos that have it.
    pub exact_across_splits: Vec<Vec<String>>,
    /// Pairs that look alike, on two sides; not the same content.
    pub near_across_splits: Vec<Near>,
    /// Groups on several sides.
    pub groups_across_splits: Vec<Across>,
    /// Pairs that are the same or look alike, of two classes.
    pub label_conflicts: Vec<Near>,
    /// Classes of which no photo can be decoded: most have none.
    pub empty_classes: Vec<String>,
    /// Classes of which a split has photos, but none to learn from, as it has of others.
    pub unlearned_classes: Vec<String>,
    /// Classes of too different sizes.
    pub imbalance: Option<Imbalance>,
    /// Files that can't be decoded, and what `autorma train` refuses: rows of `manifest.csv`, and folders of classes beside the
    /// sides of a split.
    pub broken: Vec<Broken>,
    /// Photos that `manifest.csv` doesn't have.
    pub unknown: Vec<String>,
    /// What `manifest.csv` has, and isn't there.
    pub missing: Vec<String>,
    /// Photos whose SHA-256 isn't that of `manifest.csv`.
    pub changed: Vec<String>,
    /// Whether `manifest.csv` isn't there with the SHA-256 that `dataset_info.json` has.
    pub manifest_changed: bool,
    /// Photos whose content another one before them has. No finding where both are on one side.
    pub exact_duplicates: usize,
    /// Pairs that look alike, without those. No finding where both are on one side.
    pub near_duplicates: usize,
}

/// Two photos that look alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Near {
    /// The first.
    pub one: String,
    /// The second.
    pub other: String,
    /// In how many of 256 bits their hashes differ.
    pub distance: u32,
}

/// A group that isn't on one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Across {
    /// What its photos have in common; a contributor whom nobody asked for has that word before his name.
    pub group: String,
    /// How many of them are on each side.
    pub photos: BTreeMap<Split, usize>,
}

/// The classes with the most and the fewest photos.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Imbalance {
    /// The class with the most.
    pub most: String,
    /// The class with the fewest.
    pub fewest: String,
    /// How many times as many it has.
    pub ratio: f64,
}

/// Looks at the data set in `folder`: class folders, split or not, or Kaggle's. `group_by` says what must be on one
/// side besides a contributor's photos; None: the column `group` of `manifest.csv`, if there is one. Classes may
/// differ in size by `imbalance`, and hashes of photos that look alike in `near` bits. `progress` hears how many are read; when
/// it says false, the check ends with [`DatasetError::Unchecked`].
pub fn check(
    folder: &Path,
    group_by: Option<&GroupBy>,
    near: u32,
    imbalance: f64,
    cost: Cost,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<Check, DatasetError> {
    let found = Found::read(folder)?;
    let by = match group_by {
        Some(asked) => asked.clone(),
        // Kaggle's photos are on no side.
        None if found.styles.is_some() => GroupBy::None,
        None => GroupBy::usual(&found),
    };
    let mut keys = vec![by.keys(&found)?];
    if !by.is_contributor() {
        let contributors = contributors(&found)?.into_iter();
        keys.push(contributors.map(|it| it.map(|name| format!("{CONTRIBUTOR} {name}"))).collect());
    }
    let (mut photos, mut broken) = (Vec::new(), found.broken.clone());
    broken.extend(found.beside.iter().map(|class| beside(class)));
    if found.listed.is_some() {
        broken.extend(refused(&folder.join(MANIFEST))?);
    }
    for photo in read(&found.candidates, cost, progress).ok_or(DatasetError::Unchecked)? {
        match photo {
            Ok(photo) => photos.push(photo),
            Err(file) => broken.push(file),
        }
    }
    let hashes: Vec<_> = photos.iter().map(|photo| photo.hash).collect();
    let mut check = Check::of(&photos, &pairs(&hashes, near), imbalance);
    check.broken = broken;
    [check.empty_classes, check.unlearned_classes] = unlearned(&found.classes, &photos);
    check.groups_across_splits = keys.into_iter().flat_map(|keys| groups_across(&found, keys)).collect();
    if let Some(listed) = &found.listed {
        check.hold_against(listed, &found, &photos);
    }
    check.manifest_changed = manifest_changed(folder);
    Ok(check)
}

fn beside(class: &str) -> Broken {
    let why = "it lies beside train, val and test, which `autorma train` refuses unless --other or --backgrounds names it: move \
               it into one of them";
    Broken::new(class.to_owned(), "beside", why)
}

impl Check {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.exact_across_splits.is_empty()
            && self.near_across_splits.is_empty()
            && self.groups_across_splits.is_empty()
            && self.label_conflicts.is_empty()
            && self.imbalance.is_none()
            && self.broken.is_empty()
            && [&self.empty_classes, &self.unlearned_classes].iter().all(|classes| classes.is_empty())
            && [&self.unknown, &self.missing, &self.changed].iter().all(|paths| paths.is_empty())
            && !self.manifest_changed
    }

    /// What the photos themselves tell.
    fn of(photos: &[Photo], alike: &[Alike], imbalance: f64) -> Self {
        let mut counts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        let mut contents: BTreeMap<&str, Vec<&Photo>> = BTreeMap::new();
        for photo in photos {
            let side = photo.candidate.split.map_or("all", Split::as_str);
            *counts.entry(photo.candidate.class.clone()).or_default().entry(side.to_owned()).or_default() +=
                1;
            contents.entry(&photo.sha256).or_default().push(photo);
        }
        let exact_duplicates = photos.len() - contents.len();
        let across = contents
            .into_values()
            .filter(|those| those.iter().any(|photo| photo.candidate.split != those[0].candidate.split));
        let names =
            |those: Vec<&Photo>| those.iter().map(|photo| photo.candidate.name.clone()).collect::<Vec<_>>();
        let mut exact_across_splits: Vec<_> = across.map(names).collect();
        exact_across_splits.sort();
        let pair = |pair: &Alike| (&photos[pair.one], &photos[pair.other]);
        let those = |wanted: &dyn Fn(&Photo, &Photo) -> bool| {
            let wanted = alike.iter().filter(|alike| wanted(pair(alike).0, pair(alike).1));
            let mut near: Vec<_> = wanted.map(|alike| named(pair(alike), alike.distance)).collect();
            near.sort_by(|one, other| {
                (one.distance, &one.one, &one.other).cmp(&(other.distance, &other.one, &other.other))
            });
            near
        };
        let near = |one: &Photo, other: &Photo| one.sha256 != other.sha256;
        Self {
            photos: photos.len(),
            imbalance: imbalance_of(&counts, imbalance),
            counts,
            exact_across_splits,
            near_across_splits: those(&|one, other| {
                near(one, other) && one.candidate.split != other.candidate.split
            }),
            groups_across_splits: Vec::new(),
            label_conflicts: those(&|one, other| one.candidate.class != other.candidate.class),
            empty_classes: Vec::new(),
            unlearned_classes: Vec::new(),
            broken: Vec::new(),
            unknown: Vec::new(),
            missing: Vec::new(),
            changed: Vec::new(),
            manifest_changed: false,
            exact_duplicates,
            near_duplicates: those(&near).len(),
        }
    }

    /// What `manifest.csv` says otherwise.
    fn hold_against(&mut self, listed: &Columns, found: &Found, photos: &[Photo]) {
        let Some(path) = listed.place("path") else { return };
        let sha256 = listed.place("sha256");
        let entry =
            |row: &Vec<String>| Some((row.get(path)?.clone(), sha256.and_then(|it| row.get(it).cloned())));
        let listed: BTreeMap<_, _> = listed.rows.iter().filter_map(entry).collect();
        let there: BTreeSet<_> = found.candidates.iter().map(|photo| &photo.name).collect();
        self.unknown =
            there.iter().filter(|name| !listed.contains_key(**name)).map(|it| (*it).clone()).collect();
        self.missing = listed.keys().filter(|name| !there.contains(name)).cloned().collect();
        let is_changed = |photo: &&Photo| match listed.get(&photo.candidate.name) {
            Some(Some(sha256)) => !sha256.eq_ignore_ascii_case(&photo.sha256),
            _ => false,
        };
        self.changed = photos.iter().filter(is_changed).map(|photo| photo.candidate.name.clone()).collect();
    }
}

fn named((one, other): (&Photo, &Photo), distance: u32) -> Near {
    Near { one: one.candidate.name.clone(), other: other.candidate.name.clone(), distance }
}

fn groups_across(found: &Found, keys: Vec<Option<String>>) -> Vec<Across> {
    let mut groups: HashMap<String, BTreeMap<Split, usize>> = HashMap::new();
    for (photo, key) in found.candidates.iter().zip(keys) {
        if let (Some(split), Some(key)) = (photo.split, key) {
            *groups.entry(key).or_default().entry(split).or_default() += 1;
        }
    }
    let across = groups.into_iter().filter(|(_, photos)| photos.len() > 1);
    let mut across: Vec<_> = across.map(|(group, photos)| Across { group, photos }).collect();
    across.sort_by(|one, other| one.group.cmp(&other.group));
    across
}

/// The classes that nothing can be trained with: those without photos, and those of which none is to learn from. The
/// latter are no finding in a set of which no photo is: it is only to judge by.
pub(super) fn unlearned(classes: &BTreeSet<String>, photos: &[Photo]) -> [Vec<String>; 2] {
    let is_learned = |photo: &&Photo| photo.candidate.split.is_none_or(|split| split == Split::Train);
    let there: BTreeSet<_> = photos.iter().map(|photo| &photo.candidate.class).collect();
    let learned: BTreeSet<_> = photos.iter().filter(is_learned).map(|photo| &photo.candidate.class).collect();
    let unlearned = classes.iter().filter(|class| !is_stranger(class) && !learned.contains(class));
    let (some, none): (Vec<_>, Vec<_>) = unlearned.cloned().partition(|class| there.contains(class));
    [none, if learned.is_empty() { Vec::new() } else { some }]
}

/// What is none of the classes needn't be as much as they are.
fn imbalance_of(counts: &BTreeMap<String, BTreeMap<String, usize>>, most: f64) -> Option<Imbalance> {
    let classes = counts.iter().filter(|(class, _)| !is_stranger(class));
    let totals: Vec<_> = classes.map(|(class, sides)| (sides.values().sum::<usize>(), class)).collect();
    let (largest, smallest) = (totals.iter().max()?, totals.iter().min()?);
    let ratio = largest.0 as f64 / smallest.0 as f64;
    (ratio > most).then(|| Imbalance { most: largest.1.clone(), fewest: smallest.1.clone(), ratio })
}

/// Whether `dataset_info.json` names another `manifest.csv`. One that names none says nothing.
fn manifest_changed(folder: &Path) -> bool {
    let info = fs::read(folder.join(INFO)).ok();
    let info = info.and_then(|info| serde_json::from_slice::<serde_json::Value>(&info).ok());
    let said = info.as_ref().and_then(|info| info.get("manifest_sha256")?.as_str());
    let is_it = |said: &str| fs::read(folder.join(MANIFEST)).is_ok_and(|manifest| sha256(&manifest) == said);
    said.is_some_and(|said| !is_it(said))
}
