use std::collections::BTreeMap;
use std::collections::HashSet;
use std::iter::repeat_n;
use std::path::{Path, PathBuf};

use autorma_classifier::{Limits, read_file};
use autorma_evaluation::parallel::hand_over;
use autorma_schemas::{readable, sha256};

use super::checking::unlearned;
use super::error::{at, list};
use super::grouping::{contributors, grouped_by, strays};
use super::groups::Groups;
use super::manifest::{Row, csv};
use super::place::Place;
use super::reading::Photo;
use super::sampling::{draw, lot};
use super::{
    Alike, DatasetError, DatasetInfo, FORMAT, Found, GroupBy, INFO, Largest, MANIFEST, MeanSize, Ratio,
    SHEET, Split, assign, pairs, sheet,
};
use crate::{Progress, What};

/// How a data set is prepared.
#[derive(Debug, Clone)]
pub struct Options {
    /// Photos of a class, at most; None: all.
    pub per_class: Option<usize>,
    /// The shares of train, val and test.
    pub ratio: Ratio,
    /// What photos have in common that must be on one side, besides their contributor; None: what is usual.
    pub group_by: Option<GroupBy>,
    /// In how many of 256 bits hashes of photos that look alike differ at most.
    pub near: u32,
    /// Of sampling and split.
    pub seed: u64,
    /// Whether a folder that isn't a data set is replaced.
    pub force: bool,
}

/// What reading photos may cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// What one file may cost.
    pub limits: Limits,
    /// Threads that decode.
    pub threads: usize,
}

/// Prepares a split data set in the folder `to` from the photos in `from`, which stays as it is. It appears when it is
/// whole: by one rename, or, where a former one is replaced, by two. `progress` hears how many are read and copied; when it
/// says false, nothing appears.
pub fn prepare(
    from: &Path,
    to: &Path,
    options: &Options,
    cost: Cost,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<DatasetInfo, DatasetError> {
    let from = at(from, from.canonicalize())?;
    let found = Found::read(&from)?;
    let group_by = match &options.group_by {
        Some(asked) => asked.clone(),
        None => GroupBy::usual(&found),
    };
    let [keys, contributors] = [group_by.keys(&found)?, contributors(&found)?];
    let grouped_by = grouped_by(&group_by, &contributors);
    let strays = strays(&found);
    if strays > 0 {
        let list = from.join(MANIFEST);
        tracing::warn!(list = %list.display(), rows = strays, "rows that name no photo there count for nothing");
    }
    let place = Place::take(&from, to, options.force)?;
    let (photos, broken) = draw(&found.candidates, options.per_class, options.seed, cost, progress)?;
    if let (true, Some(first)) = (photos.is_empty(), broken.first()) {
        return Err(DatasetError::all_broken(&from, broken.len(), first));
    }
    let by_name = |values: Vec<Option<String>>| -> BTreeMap<_, _> {
        found.candidates.iter().map(|it| it.name.as_str()).zip(values).collect()
    };
    let [keys, contributors] = [keys, contributors].map(by_name);
    let hashes: Vec<_> = photos.iter().map(|photo| photo.hash).collect();
    let alike = pairs(&hashes, options.near);
    let groups = together(&photos, [&keys, &contributors], &alike);
    let set = Set::split(photos, &groups, &contributors, options);
    let mut info = set.info(&alike, &groups);
    info.source = readable(from.file_name().unwrap_or_default());
    info.kind = found.kind;
    info.group_by = grouped_by;
    [info.empty_classes, _] = unlearned(&found.classes, &set.photos);
    info.broken = found.broken.into_iter().chain(broken).collect();
    found.candidates.iter().for_each(|it| *info.found.entry(it.class.clone()).or_default() += 1);
    set.write(&place, &mut info, options.seed, cost, progress)?;
    place.finish()?;
    Ok(info)
}

/// What each photo found shares with others of its group, by its name.
type Keys<'a> = BTreeMap<&'a str, Option<String>>;

/// The photos that must be on one side.
fn together(photos: &[Photo], keys: [&Keys<'_>; 2], alike: &[Alike]) -> Vec<Vec<usize>> {
    let mut groups = Groups::new(photos.len());
    groups.join_by(photos.iter().map(|photo| Some(&photo.sha256)));
    for keys in keys {
        groups.join_by(photos.iter().map(|photo| keys.get(photo.candidate.name.as_str())?.as_ref()));
    }
    alike.iter().for_each(|pair| groups.join(pair.one, pair.other));
    groups.all()
}

/// A data set that is ready to be written.
struct Set<'a> {
    options: &'a Options,
    photos: Vec<Photo>,
    classes: Vec<String>,
    /// One a photo.
    rows: Vec<Row>,
    /// Where each photo goes.
    paths: Vec<PathBuf>,
}

impl<'a> Set<'a> {
    fn split(
        photos: Vec<Photo>,
        groups: &[Vec<usize>],
        contributors: &Keys<'_>,
        options: &'a Options,
    ) -> Self {
        let mut classes: Vec<_> = photos.iter().map(|photo| photo.candidate.class.clone()).collect();
        classes.sort();
        classes.dedup();
        // Groups of the same size are in the order of their lots: chance, but the same chance with the same seed.
        let mut order: Vec<_> = groups.iter().enumerate().collect();
        order.sort_by_key(|(_, group)| lot(options.seed, &photos[group[0]].candidate.name));
        let count = |group: &Vec<usize>| {
            let mut counts = vec![0; classes.len()];
            for class in
                group.iter().filter_map(|photo| classes.binary_search(&photos[*photo].candidate.class).ok())
            {
                counts[class] += 1;
            }
            counts
        };
        let counts: Vec<_> = order.iter().map(|(_, group)| count(group)).collect();
        let mut of_photo = vec![(0, Split::Train); photos.len()];
        for ((number, group), split) in order.into_iter().zip(assign(&counts, options.ratio)) {
            group.iter().for_each(|photo| of_photo[*photo] = (number, split));
        }
        let (mut rows, mut paths, mut taken) = (Vec::new(), Vec::new(), HashSet::new());
        for (photo, (group, split)) in photos.iter().zip(of_photo) {
            let path = free(photo, split, &mut taken);
            rows.push(Row {
                path: readable(path.as_os_str()),
                class: photo.candidate.class.clone(),
                split,
                sha256: photo.sha256.clone(),
                perceptual_hash: photo.hash.to_string(),
                group,
                contributor: contributors.get(photo.candidate.name.as_str()).cloned().flatten(),
                source: photo.candidate.name.clone(),
                bytes: photo.bytes,
                width: photo.size.map(|(width, _)| width),
                height: photo.size.map(|(_, height)| height),
            });
            paths.push(path);
        }
        Self { options, photos, classes, rows, paths }
    }

    /// What is known of it so far.
    fn info(&self, alike: &[Alike], groups: &[Vec<usize>]) -> DatasetInfo {
        let mut counts: BTreeMap<Split, BTreeMap<String, usize>> = BTreeMap::new();
        for split in Split::ALL {
            counts.insert(split, self.classes.iter().map(|class| (class.clone(), 0)).collect());
        }
        for row in &self.rows {
            *counts.entry(row.split).or_default().entry(row.class.clone()).or_default() += 1;
        }
        let mean = |values: &mut dyn Iterator<Item = u64>| {
            let (number, sum) = values.fold((0_u64, 0), |(number, sum), value| (number + 1, sum + value));
            (10.0 * sum as f64 / number.max(1) as f64).round() / 10.0
        };
        let sizes = || self.photos.iter().filter_map(|photo| photo.size);
        let same = |pair: &&Alike| self.photos[pair.one].sha256 == self.photos[pair.other].sha256;
        let contents: HashSet<_> = self.photos.iter().map(|photo| &photo.sha256).collect();
        let name = |photo: usize| self.photos[photo].candidate.name.clone();
        let conflicts = alike.iter().filter(|pair| self.rows[pair.one].class != self.rows[pair.other].class);
        let largest = groups.iter().max_by_key(|group| (group.len(), std::cmp::Reverse(group[0])));
        DatasetInfo {
            format: FORMAT.to_owned(),
            autorma: env!("CARGO_PKG_VERSION").to_owned(),
            source: String::new(),
            kind: super::Kind::ClassFolders,
            seed: self.options.seed,
            per_class: self.options.per_class,
            split: self.options.ratio.to_string(),
            group_by: String::new(),
            near: self.options.near,
            perceptual_hash: "DCT, 16 × 16 coefficients of 64 × 64 grey pixels, 256 bits".to_owned(),
            classes: self.classes.clone(),
            empty_classes: Vec::new(),
            files: self.photos.len(),
            bytes: self.photos.iter().map(|photo| photo.bytes).sum(),
            counts,
            found: BTreeMap::new(),
            mean_size: MeanSize {
                width: mean(&mut sizes().map(|(width, _)| width.into())),
                height: mean(&mut sizes().map(|(_, height)| height.into())),
                bytes: mean(&mut self.photos.iter().map(|photo| photo.bytes)),
            },
            groups: groups.len(),
            largest_group: Largest {
                files: largest.map_or(0, Vec::len),
                first: largest.map_or_else(String::new, |group| name(group[0])),
            },
            exact_duplicates: self.photos.len() - contents.len(),
            near_duplicates: alike.iter().filter(|pair| !same(pair)).count(),
            label_conflicts: conflicts.map(|pair| [name(pair.one), name(pair.other)]).collect(),
            broken: Vec::new(),
            manifest_sha256: String::new(),
        }
    }

    /// Writes photos, list, page and, when all of that is there, the info.
    fn write(
        &self,
        place: &Place,
        info: &mut DatasetInfo,
        seed: u64,
        cost: Cost,
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<(), DatasetError> {
        self.copy(place, cost, progress)?;
        let mut rows: Vec<_> = self.rows.iter().zip(self.paths.iter().map(PathBuf::as_path)).collect();
        rows.sort_by_key(|(row, _)| lot(seed, &row.source));
        place.write(Path::new(SHEET), sheet::html(place.folder(), &self.classes, &rows, cost).as_bytes())?;
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by(|one, other| one.path.cmp(&other.path));
        let failed = |cause| DatasetError::List { path: MANIFEST.into(), cause };
        let manifest = csv(&rows).map_err(failed)?;
        info.manifest_sha256 = sha256(&manifest);
        place.write(Path::new(MANIFEST), &manifest)?;
        let info = serde_json::to_vec_pretty(info).map_err(|error| failed(error.to_string()))?;
        place.write(Path::new(INFO), &[info, b"\n".to_vec()].concat())
    }

    /// A copy and not a hard link: who edits a photo of the data set must not edit the source.
    fn copy(
        &self,
        place: &Place,
        cost: Cost,
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<(), DatasetError> {
        let copy = |(): &mut (), number: usize| {
            let photo = &self.photos[number];
            let path = &photo.candidate.path;
            let content = read_file(path, cost.limits.bytes).map_err(|failure| list(path, &failure))?;
            if sha256(&content) != photo.sha256 {
                return Err(DatasetError::Changed(path.clone()));
            }
            place.write(&self.paths[number], &content)
        };
        let (of, mut done) = (self.photos.len(), 0);
        let mut goes_on = |done| match progress(Progress::Count { what: What::Copied, done, of }) {
            true => Ok(true),
            false => Err(DatasetError::Stopped),
        };
        goes_on(0)?;
        hand_over(of, repeat_n((), cost.threads), copy, |_, copied| {
            copied?;
            done += 1;
            goes_on(done)
        })?;
        Ok(())
    }
}

/// Where a photo goes: as it is called in its class, with a number where two sides of a former split have the same name.
fn free(photo: &Photo, split: Split, taken: &mut HashSet<PathBuf>) -> PathBuf {
    let candidate = &photo.candidate;
    let mut path = Path::new(split.as_str()).join(&candidate.class).join(&candidate.rest);
    let mut number = 1;
    while !taken.insert(path.clone()) {
        number += 1;
        let mut name = std::ffi::OsString::from(format!("{number}-"));
        name.push(candidate.rest.file_name().unwrap_or_default());
        path.set_file_name(name);
    }
    path
}
