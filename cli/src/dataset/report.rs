//! What people are told of a data set.

use std::path::Path;

use autorma_training::dataset::{Across, Broken, Check, DatasetInfo, Near, SHEET, Split};

use crate::table::{Table, printable};
use crate::words::counted;

/// Of a kind of finding, at most so many are shown; `--json` has all.
const SHOWN: usize = 20;

/// What was prepared.
pub(crate) fn prepared(info: &DatasetInfo, to: &Path) -> String {
    let mut table = Table::new(["class", "found", "train", "val", "test"]);
    let mut warnings = Vec::new();
    for class in &info.classes {
        let of = |split| info.counts.get(&split).and_then(|counts| counts.get(class)).copied().unwrap_or(0);
        let [train, val, test] = Split::ALL.map(of);
        let found = info.found.get(class).copied().unwrap_or(0);
        table.row([class.clone(), found.to_string(), train.to_string(), val.to_string(), test.to_string()]);
        warnings.extend(empty_sides(info, class, [train, val, test]));
    }
    let largest = &info.largest_group;
    let mut text = format!(
        "{table}\n{} in {}; the largest has {}, among them {}\n",
        counted(info.files, "photo"),
        counted(info.groups, "group"),
        largest.files,
        printable(&largest.first)
    );
    text += &format!(
        "{}, {}: each on one side of the split\n",
        counted(info.exact_duplicates, "exact duplicate"),
        counted(info.near_duplicates, "look-alike pair")
    );
    text.extend(warnings);
    let conflict = |pair: &[String; 2]| format!("{} = {}", pair[0], pair[1]);
    text += &listed(
        "label conflicts, the same or nearly the same picture in two classes",
        &info.label_conflicts,
        conflict,
    );
    text += &listed("classes without a photo that can be decoded", &info.empty_classes, String::clone);
    text += &listed("broken or of no class, and left out", &info.broken, broken);
    text + &format!("\nLook at it: {}\n", printable(&to.join(SHEET).display().to_string()))
}

/// A class that has nothing on a side which was to have some.
fn empty_sides(info: &DatasetInfo, class: &str, counts: [usize; 3]) -> Vec<String> {
    let mut asked = info.split.split('/').map(|part| part != "0");
    let empty =
        Split::ALL.into_iter().zip(counts).filter(|(_, count)| asked.next() == Some(true) && *count == 0);
    let warn = |(split, _)| format!("{}: too few groups to have some in {split}\n", printable(class));
    empty.map(warn).collect()
}

/// What was found.
pub(crate) fn checked(check: &Check) -> String {
    let mut table = Table::new(["class", "train", "val", "test", "photos"]);
    for (class, counts) in &check.counts {
        let of = |split: Split| counts.get(split.as_str()).copied().unwrap_or(0).to_string();
        let [train, val, test] = Split::ALL.map(of);
        table.row([class.clone(), train, val, test, counts.values().sum::<usize>().to_string()]);
    }
    let mut text = format!(
        "{table}\n{} and {} in all\n",
        counted(check.exact_duplicates, "exact duplicate"),
        counted(check.near_duplicates, "look-alike pair")
    );
    text += &listed("the same photo on several sides", &check.exact_across_splits, |those| those.join(" = "));
    text += &listed("look alike, on two sides", &check.near_across_splits, near);
    text += &listed("groups on several sides", &check.groups_across_splits, across);
    text += &listed(
        "label conflicts, the same or nearly the same picture in two classes",
        &check.label_conflicts,
        near,
    );
    if let Some(it) = &check.imbalance {
        text += &format!(
            "\nimbalance: {} has {:.1} times as many photos as {}\n",
            printable(&it.most),
            it.ratio,
            printable(&it.fewest)
        );
    }
    text += &listed("classes without a photo that can be decoded", &check.empty_classes, String::clone);
    text +=
        &listed("classes without a photo in train to learn from", &check.unlearned_classes, String::clone);
    text += &listed("broken or of no class", &check.broken, broken);
    text += &listed("not in manifest.csv", &check.unknown, String::clone);
    text += &listed("in manifest.csv, and not there", &check.missing, String::clone);
    text += &listed("not the content that manifest.csv says", &check.changed, String::clone);
    if check.manifest_changed {
        text += "\nmanifest.csv isn't the one that dataset_info.json names\n";
    }
    text + if check.is_clean() { "clean\n" } else { "" }
}

fn listed<T>(what: &str, items: &[T], line: impl Fn(&T) -> String) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{what}: {}\n", items.len());
    text.extend(items.iter().take(SHOWN).map(|item| format!("  {}\n", printable(&line(item)))));
    if items.len() > SHOWN {
        text += &format!("  and {} more; --json has all\n", items.len() - SHOWN);
    }
    text
}

fn near(it: &Near) -> String {
    format!("{} ≈ {} ({} of 256 bits)", it.one, it.other, it.distance)
}

fn across(it: &Across) -> String {
    let sides = it.photos.iter().map(|(split, photos)| format!("{photos} in {split}"));
    format!("{}: {}", it.group, sides.collect::<Vec<_>>().join(", "))
}

fn broken(it: &Broken) -> String {
    format!("{}: {}: {}", it.path, it.reason, it.message)
}
