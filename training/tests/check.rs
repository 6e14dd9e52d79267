//! What is planted is found, and nothing else.

mod common;

use std::fs;

use autorma_training::dataset::{GroupBy, NEAR};
use common::{COST, check, data, draw, jpeg, options, picture, prepare, put};

#[test]
fn what_is_planted_is_found_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    for (number, side) in ["train", "test"].into_iter().enumerate() {
        for (class, name) in ["shirts", "tops"].into_iter().enumerate() {
            let names = (0..10).map(|photo| format!("{side}/{name}/{photo}.jpg"));
            draw(root.path(), names, (number * 2 + class) as u64 * 100);
        }
    }
    let clean = check(root.path());
    assert!(clean.is_clean(), "{clean:?}");
    assert_eq!((clean.photos, clean.exact_duplicates, clean.near_duplicates), (40, 0, 0));
    // The same on one side is no finding; on another it is, byte by byte or smaller and brighter; so is another class.
    put(root.path(), "train/shirts/same.jpg", &jpeg(&picture(0), 90));
    assert!(check(root.path()).is_clean());
    put(root.path(), "test/shirts/same.jpg", &jpeg(&picture(1), 90));
    let mut small = image::imageops::resize(&picture(2), 48, 64, image::imageops::FilterType::Triangle);
    small.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|value| value.saturating_add(10)));
    put(root.path(), "test/shirts/small.jpg", &jpeg(&small, 70));
    put(root.path(), "train/tops/conflict.jpg", &jpeg(&picture(3), 70));
    put(root.path(), "test/tops/broken.jpg", &jpeg(&picture(4), 70)[..300]);
    put(root.path(), "test/tops/text.jpg", b"no picture");
    let found = check(root.path());
    assert_eq!(found.exact_across_splits, [["test/shirts/same.jpg", "train/shirts/1.jpg"]]);
    let near: Vec<_> = found.near_across_splits.iter().map(|it| (&*it.one, &*it.other)).collect();
    assert_eq!(near, [("test/shirts/small.jpg", "train/shirts/2.jpg")]);
    let conflicts: Vec<_> = found.label_conflicts.iter().map(|it| (&*it.one, &*it.other)).collect();
    assert_eq!(conflicts, [("train/shirts/3.jpg", "train/tops/conflict.jpg")]);
    assert!(
        found.broken.iter().any(|it| it.path == "test/tops/text.jpg" && it.reason == "unknown-format"),
        "{:?}",
        found.broken
    );
    assert_eq!(found.exact_duplicates, 2);
    assert!(found.groups_across_splits.is_empty() && found.imbalance.is_none() && found.unknown.is_empty());
}

#[test]
fn what_doesnt_agree_with_the_list_is_found() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    draw(&from, (0..10).map(|number| format!("shirts/{number}.jpg")), 0);
    draw(&from, (0..10).map(|number| format!("tops/{number}.jpg")), 100);
    let options = autorma_training::dataset::Options { ratio: "1/0/0".parse().unwrap(), ..options() };
    prepare(&from, &to, &options).unwrap();
    assert!(check(&to).is_clean());
    put(&to, "train/shirts/0.jpg", &jpeg(&picture(50), 90));
    fs::remove_file(to.join("train/shirts/1.jpg")).unwrap();
    fs::create_dir_all(to.join("test/shirts")).unwrap();
    fs::rename(to.join("train/shirts/2.jpg"), to.join("test/shirts/2.jpg")).unwrap();
    let found = check(&to);
    assert_eq!(found.changed, ["train/shirts/0.jpg"]);
    assert_eq!(found.missing, ["train/shirts/1.jpg", "train/shirts/2.jpg"]);
    assert_eq!(found.unknown, ["test/shirts/2.jpg"]);
    assert!(!found.manifest_changed);
    let manifest = fs::read_to_string(to.join("manifest.csv")).unwrap();
    fs::write(to.join("manifest.csv"), manifest.replace("train/shirts/2.jpg", "test/shirts/2.jpg")).unwrap();
    let found = check(&to);
    assert!(found.unknown.is_empty() && found.manifest_changed, "{found:?}");
    fs::remove_file(to.join("manifest.csv")).unwrap();
    let found = check(&to);
    assert!(found.manifest_changed && !found.is_clean(), "it is gone: {found:?}");
}

#[test]
fn a_contributor_on_two_sides_is_found_whatever_is_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let names = ["train/shirts/0.jpg", "test/shirts/1.jpg", "train/tops/2.jpg", "test/tops/3.jpg"];
    draw(root.path(), names.map(str::to_owned), 0);
    let list = "path,contributor,group\ntrain/shirts/0.jpg,Anna,1\ntest/shirts/1.jpg,Anna,2\n\
                train/tops/2.jpg,Ben,3\ntest/tops/3.jpg,,3\n";
    put(root.path(), "manifest.csv", list.as_bytes());
    let across = |group_by: Option<&GroupBy>| -> Vec<String> {
        let found = autorma_training::dataset::check(root.path(), group_by, NEAR, 3.0, COST, &mut |_| true);
        found.unwrap().groups_across_splits.into_iter().map(|it| it.group).collect()
    };
    assert_eq!(across(None), ["3", "contributor Anna"]);
    assert_eq!(across(Some(&GroupBy::None)), ["contributor Anna"]);
    assert_eq!(across(Some(&GroupBy::Column("contributor".to_owned()))), ["Anna"]);
}

#[test]
fn who_stops_it_isn_t_told_of_what_it_never_writes() {
    let root = tempfile::tempdir().unwrap();
    draw(root.path(), ["shirts/0.jpg".to_owned()], 0);
    let stopped = autorma_training::dataset::check(root.path(), None, NEAR, 3.0, COST, &mut |_| false);
    assert_eq!(stopped.unwrap_err().to_string(), "stopped");
}

#[test]
fn a_list_is_clean_that_train_takes_and_no_other() {
    let root = tempfile::tempdir().unwrap();
    draw(root.path(), ["shirts/0.jpg", "tops/1.jpg"].map(str::to_owned), 0);
    put(root.path(), "manifest.csv", b"path,contributor\n./shirts/0.jpg,Anna\ntops/./1.jpg,Ben\n");
    let clean = check(root.path());
    assert!(clean.is_clean(), "{clean:?}");
    let whole = root.path().canonicalize().unwrap().join("shirts/0.jpg");
    let list = format!("path,contributor\n{},Anna\ntops/1.jpg,Ben\n", whole.display());
    put(root.path(), "manifest.csv", list.as_bytes());
    let clean = check(root.path());
    assert!(clean.is_clean(), "{clean:?}");
    put(root.path(), "manifest.csv", b"path,contributor\nshirts/0.jpg\ntops/1.jpg,Andr\xe9\n");
    let found = check(root.path());
    let broken: Vec<_> = found.broken.iter().map(|it| (&*it.path, &*it.reason)).collect();
    assert_eq!(broken, [("manifest.csv", "bad_row"); 2], "{found:?}");
    assert!(found.unknown.is_empty() && found.missing.is_empty(), "{found:?}");
    put(root.path(), "manifest.csv", b"path,shelf\nshirts/0.jpg\ntops/1.jpg,7\n");
    assert!(check(root.path()).broken.is_empty(), "nothing is read of it");
    for column in ["contributor", "group"] {
        put(root.path(), "manifest.csv", format!("file,{column}\nshirts/0.jpg,7\n").as_bytes());
        let found = check(root.path());
        let [broken] = &*found.broken else { panic!("{found:?}") };
        assert_eq!((&*broken.path, &*broken.reason), ("manifest.csv", "bad_row"), "{found:?}");
        assert!(broken.message.contains("no column path"), "{found:?}");
    }
}

#[test]
fn a_class_beside_the_sides_of_a_split_is_found_as_train_refuses_it() {
    let root = tempfile::tempdir().unwrap();
    let names = ["train/shirts/0.jpg", "val/shirts/1.jpg", "train/tops/2.jpg", "other/caps/3.jpg"];
    draw(root.path(), names.map(str::to_owned), 0);
    let clean = check(root.path());
    assert!(clean.is_clean(), "what is none of the classes may be named for it: {clean:?}");
    draw(root.path(), ["tops/4.jpg".to_owned()], 100);
    let found = check(root.path());
    let broken: Vec<_> = found.broken.iter().map(|it| (&*it.path, &*it.reason)).collect();
    assert_eq!(broken, [("tops", "beside")], "{found:?}");
    fs::remove_file(root.path().join("tops/4.jpg")).unwrap();
    fs::rename(root.path().join("train"), root.path().join("other/away")).unwrap();
    fs::create_dir(root.path().join("train")).unwrap();
    assert_eq!(check(root.path()).broken.len(), 1, "whatever is in them");
}

#[test]
fn a_class_is_one_however_its_folders_write_its_name() {
    let root = tempfile::tempdir().unwrap();
    let names = ["Dress_Shirts/0.jpg", "dress-shirts/1.jpg", "tops/2.jpg", "tops/3.jpg"];
    draw(root.path(), names.map(|name| format!("train/{name}")), 0);
    put(root.path(), "train/dress-shirts/same.jpg", &jpeg(&picture(0), 90));
    let found = check(root.path());
    assert!(found.is_clean(), "{found:?}");
    let counts: Vec<_> = found.counts.iter().map(|(class, sides)| (&**class, sides["train"])).collect();
    assert_eq!(counts, [("Dress_Shirts", 3), ("tops", 2)]);
}

#[test]
fn classes_of_too_different_sizes_are_found_but_not_those_of_strangers() {
    let root = tempfile::tempdir().unwrap();
    draw(root.path(), (0..12).map(|number| format!("shirts/{number}.jpg")), 0);
    draw(root.path(), (0..4).map(|number| format!("tops/{number}.jpg")), 100);
    draw(root.path(), ["other/cap/1.jpg".to_owned()], 200);
    assert!(check(root.path()).is_clean(), "three times as many are not too many");
    fs::remove_file(root.path().join("tops/3.jpg")).unwrap();
    let imbalance = check(root.path()).imbalance.unwrap();
    assert_eq!((&*imbalance.most, &*imbalance.fewest, imbalance.ratio), ("shirts", "tops", 4.0));
}

#[test]
fn classes_that_nothing_can_be_trained_with_are_found() {
    let root = tempfile::tempdir().unwrap();
    for (number, class) in ["shirts", "tops", "belts"].into_iter().enumerate() {
        let names = [format!("train/{class}/1.jpg"), format!("val/{class}/2.jpg")];
        draw(root.path(), names, number as u64 * 100);
    }
    fs::create_dir_all(root.path().join("test/shirts")).unwrap();
    fs::create_dir_all(root.path().join("train/other")).unwrap();
    assert!(check(root.path()).is_clean(), "a side may be empty, and what is none of the classes too");
    fs::remove_file(root.path().join("train/belts/1.jpg")).unwrap();
    let found = check(root.path());
    assert!(!found.is_clean() && found.empty_classes.is_empty(), "{found:?}");
    assert_eq!(found.unlearned_classes, ["belts"]);
    fs::remove_file(root.path().join("val/belts/2.jpg")).unwrap();
    let found = check(root.path());
    assert!(!found.is_clean() && found.unlearned_classes.is_empty(), "{found:?}");
    assert_eq!(found.empty_classes, ["belts"]);
    let unsplit = tempfile::tempdir().unwrap();
    draw(unsplit.path(), ["shirts/1.jpg".to_owned(), "tops/2.jpg".to_owned()], 300);
    fs::create_dir(unsplit.path().join("hats")).unwrap();
    assert_eq!(check(unsplit.path()).empty_classes, ["hats"]);
}

#[test]
fn a_data_set_that_is_only_to_judge_by_has_nothing_to_learn_from_and_that_is_right() {
    let root = tempfile::tempdir().unwrap();
    for (number, class) in ["shirts", "tops"].into_iter().enumerate() {
        let names = [format!("val/{class}/1.jpg"), format!("test/{class}/2.jpg")];
        draw(root.path(), names, number as u64 * 100);
    }
    assert!(check(root.path()).is_clean());
    fs::create_dir(root.path().join("test/hats")).unwrap();
    let found = check(root.path());
    assert!(!found.is_clean() && found.unlearned_classes.is_empty(), "{found:?}");
    assert_eq!(found.empty_classes, ["hats"]);
}

/// Nothing but five pairs, most of them one article in two colours, is on two sides of the shared photos.
#[test]
fn of_the_shared_studio_photos_the_truth_is_told() {
    let Some(data) = data() else { return };
    let found = check(&data.join("fashion"));
    println!("{found:#?}");
    assert_eq!(found.photos, 2357);
    assert!(found.exact_across_splits.is_empty() && found.groups_across_splits.is_empty());
    assert!(found.label_conflicts.is_empty() && found.broken.is_empty() && found.imbalance.is_none());
    assert!(found.unknown.is_empty() && found.missing.is_empty() && found.changed.is_empty());
    let near: Vec<_> = found.near_across_splits.iter().map(|it| format!("{} {}", it.one, it.other)).collect();
    assert!(near.contains(&"train/casual_shoes/15872.jpg val/casual_shoes/15899.jpg".to_owned()), "{near:?}");
    assert!(near.len() < 10, "{near:?}");
}
