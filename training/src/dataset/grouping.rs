use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::path::Component;
use std::str::FromStr;

use autorma_schemas::readable;

use super::columns::Columns;
use super::found::STYLES;
use super::{Candidate, DatasetError, Found, MANIFEST};
use crate::photos::{CONTRIBUTOR, GROUP};

/// The column of Kaggle's list that has the product's name.
const PRODUCT: &str = "productDisplayName";

/// What photos have in common that must be on one side of a split, besides looking alike and having a contributor in
/// common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// Nothing else.
    None,
    /// The folder in which they are, below the folder of the class: `shirts/anna/1.jpg` and `tops/anna/2.jpg`.
    Folder,
    /// What their names begin with, up to the first `-` or `_`: `order17-1.jpg` and `order17-2.jpg`, and with them
    /// `order17.jpg`.
    Prefix,
    /// A column of `manifest.csv`, whose column `path` has the photos, or of Kaggle's `styles.csv`.
    Column(String),
}

impl GroupBy {
    /// What is usual: for Kaggle's photos, the product's name, which several photos of one product share, where the list has
    /// it; for others the look-alikes, where the list in the folder has them: in the column that `autorma train` reads.
    pub(super) fn usual(found: &Found) -> Self {
        if let Some(styles) = &found.styles {
            if styles.place(PRODUCT).is_some() {
                return GroupBy::Column(PRODUCT.to_owned());
            }
            tracing::warn!(
                list = %found.folder.join(STYLES).display(),
                "it has no column {PRODUCT}: only photos of a product that look alike are on one side"
            );
            return GroupBy::None;
        }
        let has = |name: &str| found.listed.as_ref().is_some_and(|it| it.place(name).is_some());
        if has("path") && has(GROUP) { GroupBy::Column(GROUP.to_owned()) } else { GroupBy::None }
    }

    /// Of each photo found, what it shares with others of its group; None for one that is on its own. Photos that
    /// `manifest.csv` doesn't have are on their own.
    pub(super) fn keys(&self, found: &Found) -> Result<Vec<Option<String>>, DatasetError> {
        let candidates = found.candidates.iter();
        Ok(match self {
            GroupBy::None => vec![None; found.candidates.len()],
            GroupBy::Folder => candidates.map(inner_folder).collect(),
            GroupBy::Prefix => prefixes(&found.candidates),
            GroupBy::Column(name) => {
                let values = column(found, name)?.into_iter();
                values.map(|it| it.filter(|it| !it.is_empty())).collect()
            }
        })
    }

    /// Whether it is who has sent a photo, which counts in any case.
    pub(super) fn is_contributor(&self) -> bool {
        matches!(self, GroupBy::Column(name) if name == CONTRIBUTOR)
    }
}

/// All that photos are grouped by where somebody has named `named`: contributors too, if any are known.
pub(super) fn grouped_by(named: &GroupBy, contributors: &[Option<String>]) -> String {
    let is_any_known = contributors.iter().any(Option::is_some);
    match named {
        _ if named.is_contributor() || !is_any_known => named.to_string(),
        GroupBy::None => CONTRIBUTOR.to_owned(),
        _ => format!("{named} and {CONTRIBUTOR}"),
    }
}

/// Who has sent each photo found, where the list in the folder says so: in the column that `autorma train` reads.
pub(super) fn contributors(found: &Found) -> Result<Vec<Option<String>>, DatasetError> {
    match GroupBy::Column(CONTRIBUTOR.to_owned()).keys(found) {
        Err(DatasetError::NoList { .. } | DatasetError::NoColumn { .. }) => {
            Ok(vec![None; found.candidates.len()])
        }
        contributors => contributors,
    }
}

/// How many rows of the folder's list name no photo there: what they say counts for nothing.
pub(super) fn strays(found: &Found) -> usize {
    let Some(columns) = found.listed.as_ref().filter(|_| found.styles.is_none()) else { return 0 };
    let Some(place) = columns.place("path") else { return columns.rows.len() };
    let names: HashSet<_> = found.candidates.iter().map(|photo| photo.name.as_str()).collect();
    let is_stray = |row: &&Vec<String>| row.get(place).is_none_or(|name| !names.contains(name.as_str()));
    columns.rows.iter().filter(is_stray).count()
}

fn inner_folder(photo: &Candidate) -> Option<String> {
    let folder = photo.rest.parent()?.components().next()?;
    matches!(folder, Component::Normal(_))
        .then(|| readable(photo.rest.parent().unwrap_or(&photo.rest).as_os_str()))
}

/// A name with nothing behind it is a prefix only of others that begin with it: where photos are just numbered, those of one
/// number in several folders have nothing in common.
fn prefixes(photos: &[Candidate]) -> Vec<Option<String>> {
    let names = photos.iter().map(|photo| readable(photo.rest.file_stem().unwrap_or_default()));
    let names: Vec<_> = names.collect();
    let begun: HashSet<_> = names.iter().filter_map(|name| Some(name.split_once(['-', '_'])?.0)).collect();
    let prefix = |name: &String| {
        let prefix = name.split(['-', '_']).next().filter(|it| !it.is_empty() && begun.contains(it));
        prefix.map(str::to_owned)
    };
    names.iter().map(prefix).collect()
}

/// What the column has for each photo.
fn column(found: &Found, name: &str) -> Result<Vec<Option<String>>, DatasetError> {
    let missing = |path, wanted: &str, columns: &Columns| DatasetError::NoColumn {
        path,
        column: wanted.to_owned(),
        columns: columns.names.join(", "),
    };
    if let Some(styles) = &found.styles {
        let place = styles.place(name).ok_or_else(|| missing(found.folder.join(STYLES), name, styles))?;
        let value = |photo: &Candidate| styles.rows.get(photo.row?)?.get(place).cloned();
        return Ok(found.candidates.iter().map(value).collect());
    }
    let path = found.folder.join(MANIFEST);
    let Some(columns) = &found.listed else {
        return Err(DatasetError::NoList { path, column: name.to_owned() });
    };
    let place = columns.place(name).ok_or_else(|| missing(path.clone(), name, columns))?;
    let photo = columns.place("path").ok_or_else(|| missing(path, "path", columns))?;
    let rows = columns.rows.iter().filter_map(|row| Some((row.get(photo)?, row.get(place)?)));
    // A row that says nothing takes nothing from another one about the photo.
    let values: HashMap<_, _> = rows.filter(|(_, value)| !value.is_empty()).collect();
    Ok(found.candidates.iter().map(|photo| values.get(&photo.name).map(|it| (*it).clone())).collect())
}

impl FromStr for GroupBy {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "none" => GroupBy::None,
            "folder" => GroupBy::Folder,
            "prefix" => GroupBy::Prefix,
            column => GroupBy::Column(column.to_owned()),
        })
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupBy::None => "none",
            GroupBy::Folder => "folder",
            GroupBy::Prefix => "prefix",
            GroupBy::Column(name) => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use std::fs;

    fn keys(folder: &Path, by: &str) -> Result<Vec<Option<String>>, DatasetError> {
        by.parse::<GroupBy>().unwrap().keys(&Found::read(folder).unwrap())
    }

    #[test]
    fn a_name_with_nothing_behind_it_is_a_prefix_of_others_only() {
        let root = tempfile::tempdir().unwrap();
        let numbered = ["shirts/1.jpg", "tops/1.jpg", "tops/anna/1.jpg"];
        let files = ["shirts/12345.jpg", "shirts/12345_1.jpg", "tops/12345-2.png", "tops/_1.jpg"];
        for file in numbered.into_iter().chain(files) {
            fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
            fs::write(root.path().join(file), "").unwrap();
        }
        let same = Some("12345".to_owned());
        let expected = [None, same.clone(), same.clone(), None, same, None, None];
        assert_eq!(keys(root.path(), "prefix").unwrap(), expected);
    }

    #[test]
    fn photos_are_grouped_as_people_keep_them() {
        let root = tempfile::tempdir().unwrap();
        for file in ["shirts/anna/17-1.jpg", "shirts/b.jpg", "tops/anna/17-2.jpg"] {
            fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
            fs::write(root.path().join(file), "").unwrap();
        }
        let some = |key: &str| Some(key.to_owned());
        assert_eq!(keys(root.path(), "folder").unwrap(), [some("anna"), None, some("anna")]);
        assert_eq!(keys(root.path(), "prefix").unwrap(), [some("17"), None, some("17")]);
        assert_eq!(keys(root.path(), "none").unwrap(), [None, None, None]);
        assert!(matches!(keys(root.path(), "who").unwrap_err(), DatasetError::NoList { .. }));
        fs::write(root.path().join(MANIFEST), "path,who\nshirts/b.jpg,anna\ntops/anna/17-2.jpg,\n").unwrap();
        assert_eq!(keys(root.path(), "who").unwrap(), [None, some("anna"), None]);
        let refused = keys(root.path(), "whom").unwrap_err().to_string();
        assert!(refused.ends_with("has no column whom to group by; it has path, who"), "{refused}");
        fs::write(root.path().join(MANIFEST), "file,who\nshirts/b.jpg,anna\n").unwrap();
        let refused = keys(root.path(), "who").unwrap_err().to_string();
        assert!(refused.ends_with("has no column path to group by; it has file, who"), "{refused}");
        let twice = "path,who\nshirts/b.jpg,ben\n./shirts/b.jpg,anna\nshirts/b.jpg,\n";
        fs::write(root.path().join(MANIFEST), twice).unwrap();
        assert_eq!(keys(root.path(), "who").unwrap(), [None, some("anna"), None]);
        fs::write(root.path().join(MANIFEST), "path,who\nshirts/b.jpg,anna\nb.jpg,anna\nshort\n").unwrap();
        assert_eq!(strays(&Found::read(root.path()).unwrap()), 2);
    }
}
