//! Data sets that are prepared: groups stay together, sides are near the ratio, the same gives the same, and what is broken
//! costs nobody else anything.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use autorma_training::dataset::{DatasetError, DatasetInfo, GroupBy, Split};
use autorma_training::{Progress, What};
use common::{COST, check, contents, draw, jpeg, options, picture, prepare, put, rows};
use proptest::prelude::*;

/// Who sent a photo, whether another photo looks like it, and the class.
type Photo = (Option<u8>, Option<u8>, bool);

fn photos() -> impl Strategy<Value = Vec<Photo>> {
    let contributor = proptest::option::of(0_u8..5);
    let copied_from = proptest::option::weighted(0.3, 0_u8..24);
    proptest::collection::vec((contributor, copied_from, any::<bool>()), 2..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_group_straddles_and_the_same_gives_the_same(photos in photos(), seed in 0_u64..4) {
        let root = tempfile::tempdir().unwrap();
        let from = root.path().join("from");
        let mut drawn: Vec<u64> = Vec::new();
        for (number, (contributor, copied_from, is_top)) in photos.iter().enumerate() {
            let original = copied_from.and_then(|it| drawn.get(usize::from(it)).copied());
            drawn.push(original.unwrap_or(number as u64));
            let class = if *is_top { "tops" } else { "shirts" };
            let folder = contributor.map_or(String::new(), |it| format!("person{it}/"));
            // A copy is compressed in another way.
            let file = jpeg(&picture(drawn[number]), if original.is_some() { 60 } else { 90 });
            put(&from, &format!("{class}/{folder}{number:02}.jpg"), &file);
        }
        let before = contents(&from);
        let options = autorma_training::dataset::Options { seed, group_by: Some(GroupBy::Folder), ..options() };
        let to = root.path().join("to");
        let info = prepare(&from, &to, &options).unwrap();
        prop_assert_eq!(info.files, photos.len());
        let mut sides: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for [_, _, split, group, source] in rows(&to) {
            let number: usize = source[source.len() - 6..source.len() - 4].parse().unwrap();
            sides.entry(format!("picture {}", drawn[number])).or_default().insert(split.clone());
            sides.entry(format!("group {group}")).or_default().insert(split.clone());
            if let Some(contributor) = photos[number].0 {
                sides.entry(format!("person {contributor}")).or_default().insert(split);
            }
        }
        prop_assert!(sides.values().all(|it| it.len() == 1), "{sides:?}");
        let again = root.path().join("again");
        prepare(&from, &again, &options).unwrap();
        prop_assert_eq!(contents(&to), contents(&again));
        prop_assert_eq!(before, contents(&from));
        let found = check(&to);
        prop_assert!(found.exact_across_splits.is_empty() && found.near_across_splits.is_empty());
        prop_assert!(found.groups_across_splits.is_empty() && found.unknown.is_empty() && found.changed.is_empty());
    }
}

#[test]
fn a_contributor_is_on_one_side_whatever_is_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    let mut list = "path,contributor\n".to_owned();
    for (class, first) in [("shirts", 0), ("tops", 100)] {
        draw(&from, (0..20).map(|number| format!("{class}/{number}.jpg")), first);
        list.extend((0..20).map(|number| format!("{class}/{number}.jpg,person {}\n", number % 5)));
    }
    put(&from, "manifest.csv", list.as_bytes());
    for (asked, said) in [
        (None, "contributor"),
        (Some(GroupBy::None), "contributor"),
        (Some(GroupBy::Folder), "folder and contributor"),
        (Some(GroupBy::Column("contributor".to_owned())), "contributor"),
    ] {
        let options = autorma_training::dataset::Options { group_by: asked, ..options() };
        let info = prepare(&from, &to, &options).unwrap();
        assert_eq!((info.group_by.as_str(), info.groups), (said, 5));
        let mut sides: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for [_, _, split, _, source] in rows(&to) {
            let number: u32 = source.split(['/', '.']).nth(1).unwrap().parse().unwrap();
            sides.entry(number % 5).or_default().insert(split);
        }
        assert!(sides.len() == 5 && sides.values().all(|it| it.len() == 1), "{sides:?}");
        assert!(check(&to).is_clean());
    }
}

#[test]
fn kaggles_download_is_understood_row_by_row() {
    let root = tempfile::tempdir().unwrap();
    let from = root.path().join("fashion-dataset");
    let mut styles =
        "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName\n"
            .to_owned();
    let articles = ["Casual Shoes", "Handbags", "Shirts", "Tops", "Watches", "Jeans"];
    for id in 0..120_u64 {
        let article = articles[id as usize % 6];
        // Names with commas that nobody has quoted; two products of a name.
        styles += &format!(
            "{id},Men,Apparel,Topwear,{article},Blue,Fall,2011,Casual,{article}, model {}, \"new\n",
            id / 12
        );
        put(&from, &format!("images/{id}.jpg"), &jpeg(&picture(id), 90));
    }
    styles += "500,Men,Apparel,Topwear,Shirts,Blue,Fall,2011,Casual,Gone\n501,Men\n../7,Men,Apparel,Topwear,Shirts,Blue,Fall,2011,Casual,Out\n";
    put(&from, "styles.csv", styles.as_bytes());
    let to = root.path().join("to");
    let info = prepare(&from, &to, &options()).unwrap();
    assert_eq!(info.classes, ["casual_shoes", "handbags", "shirts", "tops", "watches"]);
    assert_eq!((info.files, info.group_by.as_str(), info.groups), (100, "productDisplayName", 50));
    assert_eq!(info.source, "fashion-dataset");
    for class in &info.classes {
        assert_eq!(
            Split::ALL.map(|split| info.counts[&split][class]),
            [14, 4, 2],
            "{class}: pairs, near to 14, 3 and 3"
        );
    }
    let mut broken: Vec<_> = info.broken.iter().map(|it| (it.path.as_str(), it.reason.as_str())).collect();
    broken.sort();
    assert_eq!(
        broken,
        [
            ("images/500.jpg", "missing"),
            ("styles.csv, row 123", "bad_row"),
            ("styles.csv, row 124", "bad_row")
        ]
    );
    let mean = info.mean_size;
    assert_eq!((mean.width, mean.height), (96.0, 128.0));
    assert!(check(&to).is_clean());
}

#[test]
fn a_list_without_names_of_products_is_taken_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    draw(&from, (0..10).map(|id| format!("images/{id}.jpg")), 0);
    let rows = (0..10).map(|id| format!("{id},\"Shirts\"\n"));
    put(&from, "styles.csv", format!("\"id\",\"articleType\"\n{}", rows.collect::<String>()).as_bytes());
    let info = prepare(&from, &to, &options()).unwrap();
    assert_eq!((info.group_by.as_str(), info.groups, info.files), ("none", 10, 10));
    let asked = GroupBy::Column("productDisplayName".to_owned());
    let options = autorma_training::dataset::Options { group_by: Some(asked), ..options() };
    let refused = prepare(&from, &to, &options).unwrap_err();
    assert!(matches!(&refused, DatasetError::NoColumn { .. }), "{refused}");
}

/// The info on the disk, apart from what every test has.
fn info(folder: &std::path::Path) -> DatasetInfo {
    serde_json::from_slice(&fs::read(folder.join("dataset_info.json")).unwrap()).unwrap()
}

#[test]
fn a_broken_file_costs_no_other_its_place() {
    let root = tempfile::tempdir().unwrap();
    let from = root.path().join("from");
    draw(&from, (0..20).map(|number| format!("shirts/{number}.jpg")), 0);
    draw(&from, (0..20).map(|number| format!("tops/{number}.jpg")), 100);
    for number in 20..40 {
        put(&from, &format!("shirts/{number}.jpg"), b"<html>404</html>");
    }
    std::os::unix::fs::symlink("/dev/zero", from.join("tops/endless.jpg")).unwrap();
    let to = root.path().join("to");
    let options = autorma_training::dataset::Options { per_class: Some(20), ..options() };
    let said = prepare(&from, &to, &options).unwrap();
    assert_eq!(info(&to), said);
    let of = |class: &str| Split::ALL.map(|split| said.counts[&split][class]);
    assert_eq!((of("shirts"), of("tops")), ([14, 3, 3], [14, 3, 3]));
    assert_eq!((said.found["shirts"], said.found["tops"]), (40, 21));
    let endless = said.broken.iter().find(|it| it.path == "tops/endless.jpg").unwrap();
    assert_eq!(endless.reason, "unreadable");
    assert!((2..=21).contains(&said.broken.len()), "those in the draw before the last that was taken");
    let sheet = fs::read_to_string(to.join("contact_sheet.html")).unwrap();
    assert_eq!(sheet.matches("<img src=\"data:image/jpeg;base64,").count(), 2 * (12 + 3 + 3));
    let other = autorma_training::dataset::Options { seed: 1, ..options };
    prepare(&from, &root.path().join("other"), &other).unwrap();
    assert_ne!(rows(&to), rows(&root.path().join("other")), "another seed, another split");
}

#[test]
fn a_class_without_photos_is_told() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    draw(&from, (0..10).map(|number| format!("shirts/{number}.jpg")), 0);
    for empty in ["hats", "other"] {
        fs::create_dir(from.join(empty)).unwrap();
    }
    let said = prepare(&from, &to, &options()).unwrap();
    assert_eq!(said.classes, ["shirts"]);
    assert_eq!(said.empty_classes, ["hats"]);
    assert_eq!(info(&to), said);
}

#[test]
fn a_contributor_is_known_however_the_list_writes_a_path() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    draw(&from, (0..10).map(|number| format!("shirts/{number}.jpg")), 0);
    let whole = from.canonicalize().unwrap();
    let list = (0..10).map(|number| {
        let folder = if number < 5 { std::path::Path::new(".") } else { whole.as_path() };
        format!("{}/shirts/{number}.jpg,person {}\n", folder.display(), number % 5)
    });
    put(&from, "manifest.csv", format!("path,contributor\n{}", list.collect::<String>()).as_bytes());
    let info = prepare(&from, &to, &options()).unwrap();
    assert_eq!((info.group_by.as_str(), info.groups), ("contributor", 5));
}

#[test]
fn look_alikes_that_the_list_names_are_on_one_side_as_check_and_train_have_it() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    draw(&from, (0..20).map(|number| format!("shirts/{number}.jpg")), 0);
    let list = (0..20).map(|number| format!("shirts/{number}.jpg,{}\n", number % 5));
    put(&from, "manifest.csv", format!("path,group\n{}", list.collect::<String>()).as_bytes());
    let info = prepare(&from, &to, &options()).unwrap();
    assert_eq!((info.group_by.as_str(), info.groups), ("group", 5));
    let asked = autorma_training::dataset::Options { group_by: Some(GroupBy::None), ..options() };
    let info = prepare(&from, &to, &asked).unwrap();
    assert_eq!((info.group_by.as_str(), info.groups), ("none", 20));
}

#[test]
fn a_class_is_one_however_its_folders_write_its_name() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    for (folder, first) in [("Shirts", 0), ("shirts", 100), ("tops", 200)] {
        draw(&from, (0..10).map(|number| format!("{folder}/{number}.jpg")), first);
    }
    let info = prepare(&from, &to, &options()).unwrap();
    assert_eq!((info.classes, info.files), (["Shirts", "tops"].map(str::to_owned).to_vec(), 30));
    assert_eq!((info.found["Shirts"], info.empty_classes.len()), (20, 0));
}

#[cfg(target_os = "linux")]
#[test]
fn where_a_file_system_is_mounted_nothing_is_begun() {
    let root = tempfile::tempdir().unwrap();
    draw(root.path(), ["shirts/1.jpg".to_owned()], 0);
    let refused = prepare(root.path(), "/proc".as_ref(), &options()).unwrap_err();
    assert!(matches!(&refused, DatasetError::Mounted(_)), "{refused}");
}

#[test]
fn nothing_that_is_somebody_elses_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    draw(&from, (0..10).map(|number| format!("shirts/{number}.jpg")), 0);
    put(&to, "novel.txt", b"my novel");
    let refused = prepare(&from, &to, &options()).unwrap_err();
    assert!(matches!(refused, DatasetError::NotOurs { .. }), "{refused}");
    assert_eq!(contents(&to).len(), 1);
    let force = autorma_training::dataset::Options { force: true, ..options() };
    prepare(&from, &to, &force).unwrap();
    let first = contents(&to);
    prepare(&from, &to, &options()).unwrap();
    assert_eq!(first, contents(&to), "one of ours is replaced, by the same");
    put(&to, "train/shirts/mine.jpg", b"added by hand");
    let refused = prepare(&from, &to, &options()).unwrap_err().to_string();
    assert!(refused.contains("its manifest doesn't have train/shirts/mine.jpg"), "{refused}");
    for within in [from.clone(), from.join("set"), from.join("a/b/set"), root.path().to_owned()] {
        let refused = prepare(&from, &within, &force).unwrap_err();
        assert!(matches!(refused, DatasetError::Within { .. }), "{refused}");
    }
    assert_eq!(contents(&from).len(), 10);
    assert!(!from.join("a").exists(), "it is only read");
    let names: BTreeSet<_> = fs::read_dir(root.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["from", "to"].map(Into::into).into(), "nothing is left beside them");
}

#[test]
fn who_stops_it_finds_everything_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    draw(&from, (0..10).map(|number| format!("shirts/{number}.jpg")), 0);
    for (step, at) in [(What::Read, 0), (What::Copied, 0), (What::Copied, 3), (What::Copied, 10)] {
        let mut until = |now: Progress| now != Progress::Count { what: step, done: at, of: 10 };
        let stopped = autorma_training::dataset::prepare(&from, &to, &options(), COST, &mut until);
        let stopped = stopped.unwrap_err();
        assert!(matches!(stopped, DatasetError::Stopped), "{step:?} {at}: {stopped}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "{step:?} {at}");
    }
}

#[test]
fn hostile_files_are_refused_with_a_reason() {
    let Some(data) = common::data() else { return };
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    draw(&from, (0..4).map(|number| format!("shirts/{number}.jpg")), 0);
    let manifest = fs::read_to_string(data.join("hostile/manifest.jsonl")).unwrap();
    let (mut refused, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for line in manifest.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let path = entry["path"].as_str().unwrap();
        let (folder, name) = path.split_once('/').unwrap();
        let is_photo = autorma_schemas::is_photo(name.as_ref());
        if !["bad", "valid"].contains(&folder) || !is_photo || entry["expect"] == "either" {
            continue;
        }
        let kept = if entry["expect"] == "reject" { &mut refused } else { &mut taken };
        kept.insert(format!("shirts/{path}"));
        put(&from, &format!("shirts/{path}"), &fs::read(data.join("hostile").join(path)).unwrap());
    }
    let info = prepare(&from, &to, &options()).unwrap();
    assert!(refused.len() > 15 && taken.len() > 20, "{refused:?} {taken:?}");
    assert_eq!(info.broken.iter().map(|it| it.path.clone()).collect::<BTreeSet<_>>(), refused);
    assert!(info.broken.iter().all(|it| !it.message.is_empty()));
    assert_eq!(info.files, taken.len() + 4);
}
