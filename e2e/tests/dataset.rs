//! `autorma dataset`: prepared whole or not at all, whenever it is killed, and checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use autorma_e2e::{Sandbox, eventually, shared};
use autorma_models::handmade::picture;

/// Every file below the folder with its content, by its path.
fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut folders, mut all) = (vec![root.to_owned()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(all.insert(path.strip_prefix(root).unwrap().into(), fs::read(&path).unwrap())),
            }
        }
    }
    all
}

fn prepare<'a>(from: &'a Path, to: &'a str, seed: &'a str) -> [&'a str; 9] {
    let from = from.to_str().unwrap();
    ["dataset", "prepare", "--from", from, "--to", to, "--per-class=40", "--seed", seed]
}

#[test]
fn a_kill_leaves_a_whole_data_set_or_none() {
    let Some(shared) = shared() else { return };
    let (sandbox, from) = (Sandbox::new(), shared.join("data/fashion"));
    let place = sandbox.path().join("sets");
    let begun = Instant::now();
    sandbox.run(&prepare(&from, "sets/one", "1")).expect(0);
    let whole = begun.elapsed();
    sandbox.run(&prepare(&from, "sets/two", "2")).expect(0);
    let [one, two] = ["one", "two"].map(|name| contents(&place.join(name)));
    assert_ne!(one, two);
    for folder in ["one", "two"] {
        fs::remove_dir_all(place.join(folder)).unwrap();
    }
    let (rounds, mut none, mut former, mut on_the_way) = (24, 0, 0, 0);
    for round in 0..rounds {
        // First where there is nothing, then where there is another one.
        let seed = if round < rounds / 2 { "1" } else { "2" };
        let process = sandbox.start(&prepare(&from, "sets/set", seed));
        let tenths = round % (rounds / 2);
        std::thread::sleep(whole.mul_f64(f64::from(tenths) / 10.0));
        on_the_way += u32::from(process.kill_or_wait().code.is_none() && tenths > 0);
        let set = place.join("set");
        if set.exists() {
            let there = contents(&set);
            assert!(there == one || there == two, "what is there is whole");
            former += u32::from(there == one);
        } else {
            none += 1;
        }
        if round == rounds / 2 - 1 {
            sandbox.run(&prepare(&from, "sets/set", "1")).expect(0);
        }
    }
    assert!(none > 0 && former > 0 && on_the_way > 3, "killed on the way: {on_the_way}, {none} {former}");
    sandbox.run(&prepare(&from, "sets/set", "2")).expect(0);
    assert_eq!(contents(&place.join("set")), two);
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn control_c_leaves_nothing_and_another_waits_for_its_turn() {
    let Some(shared) = shared() else { return };
    let (sandbox, from) = (Sandbox::new(), shared.join("data/fashion"));
    let all = ["dataset", "prepare", "--from", from.to_str().unwrap(), "--to", "sets/set", "--per-class=all"];
    let mut process = sandbox.start(&all);
    let unfinished = sandbox.path().join("sets/.set.unfinished");
    eventually("it has begun", || unfinished.is_dir().then_some(()));
    let refused = sandbox.run(&all).expect(1);
    assert!(refused.errors.contains("another process prepares"), "{}", refused.errors);
    process.signal("INT");
    let ended = process.wait().expect(1);
    assert!(ended.errors.contains("stopped: nothing was written"), "{}", ended.errors);
    assert_eq!(fs::read_dir(sandbox.path().join("sets")).unwrap().count(), 0);
}

#[test]
fn a_class_without_photos_is_told_and_left_out() {
    let sandbox = Sandbox::new();
    for class in ["shirts", "hats"] {
        fs::create_dir_all(sandbox.path().join("photos").join(class)).unwrap();
    }
    let arguments = ["dataset", "prepare", "--from", "photos", "--to", "set"];
    let photo = sandbox.path().join("photos/shirts/1.bmp");
    fs::write(photo, picture([200, 0, 0])).unwrap();
    let prepared = sandbox.run(&arguments).expect(2);
    assert!(prepared.output.contains("photo that can be decoded: 1\n  hats\n"), "{}", prepared.output);
    fs::remove_dir(sandbox.path().join("photos/hats")).unwrap();
    sandbox.run(&arguments).expect(0);
}

#[test]
fn what_is_wrong_is_told_to_people_and_to_scripts() {
    let Some(shared) = shared() else { return };
    let (sandbox, home) = (Sandbox::new(), shared.join("data/home"));
    let begun = Instant::now();
    let mut arguments = vec!["dataset", "prepare", "--from", home.to_str().unwrap(), "--to", "set"];
    arguments.extend(["--group-by", "contributor", "--per-class", "28", "--json"]);
    let info = sandbox.run(&arguments).expect(0).json();
    assert_eq!(info["group_by"], "contributor");
    assert_eq!(info["classes"], serde_json::json!(["casual_shoes", "other", "shirts", "tops"]));
    assert!(begun.elapsed() < Duration::from_secs(120));
    let clean = sandbox.run(&["dataset", "check", "set"]).expect(0);
    assert!(clean.output.ends_with("clean\n"), "{}", clean.output);
    let list = fs::read_to_string(sandbox.path().join("set/manifest.csv")).unwrap();
    let photo = list.lines().find(|line| line.starts_with("train/")).unwrap().split(',').next().unwrap();
    let copy = format!("test/tops/{}", Path::new(photo).file_name().unwrap().to_str().unwrap());
    fs::copy(sandbox.path().join("set").join(photo), sandbox.path().join("set").join(&copy)).unwrap();
    let found = sandbox.run(&["dataset", "check", "set"]).expect(2);
    assert!(found.output.contains(&format!("{copy} = {photo}")), "{}", found.output);
    let found = sandbox.run(&["dataset", "check", "set", "--json"]).expect(2).json();
    assert_eq!(found["unknown"], serde_json::json!([copy]));
    assert_eq!(found["exact_across_splits"], serde_json::json!([[copy, photo]]));
    let refused = sandbox.run(&["dataset", "check", "nowhere"]).expect(1);
    assert!(refused.errors.contains("nowhere"), "{}", refused.errors);
    let refused = sandbox.run(&["dataset", "prepare", "--from", "nowhere", "--to", "set"]).expect(1);
    assert!(refused.errors.contains("'nowhere' for '--from <DIR>'"), "{}", refused.errors);
}
