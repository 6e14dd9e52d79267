//! Every hostile file through the whole program: the manifest's verdict, no crash, bounded memory, untouched neighbours.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use autorma_e2e::{Photos, Sandbox};
use serde_json::Value;

/// What can be decoded is decided by content; what is looked at, by name.
const TAKEN: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// The model and ONNX Runtime take about 130 MB; the largest picture that is allowed may take 256 MB, and two workers may
/// have one each.
const MOST_MEMORY: u64 = 700 << 20;

fn is_taken(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_lowercase();
    TAKEN.contains(&extension.as_str())
}

fn probabilities(sandbox: &Sandbox) -> BTreeMap<String, Value> {
    let predictions = sandbox.results().predictions.into_iter();
    predictions.map(|(name, mut list)| (name, list.remove(0)["probabilities"].take())).collect()
}

#[test]
fn every_file_gets_its_verdict_and_neighbours_get_the_same_bits() {
    let Some(photos) = Photos::shared() else { return };
    let neighbours: Vec<_> = photos.good.iter().step_by(3).map(|(path, _)| path).collect();
    let alone = Sandbox::new();
    alone.drop_photos(neighbours.iter().copied());
    alone.run_batch().expect(0);

    let mixed = Sandbox::new();
    mixed.drop_photos(neighbours.iter().copied());
    let mut verdicts = BTreeMap::new();
    for verdict in ["decode", "reject", "either"] {
        for (number, path) in photos.hostile(verdict).iter().filter(|path| is_taken(path)).enumerate() {
            let extension = path.extension().unwrap().to_str().unwrap();
            // In between the neighbours, so that they share micro-batches.
            let name = format!("photo-{:05}-{verdict}-{number}.{extension}", number * 2);
            mixed.drop_photo(path, &name);
            verdicts.insert(name, (verdict, path.clone()));
        }
    }
    let mut command = mixed.command(&["run", "--json"]);
    command.env("AUTORMA_CLASSIFIER_WORKERS", "2");
    let mut process = mixed.spawn(command);
    let (begun, mut peak) = (Instant::now(), 0);
    while process.is_running() {
        peak = peak.max(process.memory());
        assert!(begun.elapsed() < Duration::from_secs(300), "it doesn't end:\n{}", process.said());
        std::thread::sleep(Duration::from_millis(2));
    }
    process.wait().expect(2);
    println!("peak of resident memory: {} MB", peak >> 20);
    assert!(peak < MOST_MEMORY, "{} MB", peak >> 20);

    let results = mixed.results();
    for (name, (verdict, path)) in &verdicts {
        let decoded = results.predictions.contains_key(name);
        let rejected = results.failed.contains_key(name);
        assert!(decoded != rejected, "{path:?} has no outcome, or two");
        let right = match *verdict {
            "decode" => decoded,
            "reject" => rejected,
            _ => true,
        };
        assert!(right, "{path:?} should {verdict}: {:?}", results.failed.get(name));
    }
    let mixed = probabilities(&mixed);
    for (name, expected) in probabilities(&alone) {
        assert_eq!(mixed[&name], expected, "{name} among hostile neighbours");
    }
}

#[test]
fn awkward_names_come_out_readable_and_reversible() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    let photo = &photos.good[0].0;
    let hostile = photos.hostile("decode");
    let names: Vec<_> = hostile.iter().filter(|path| path.parent().unwrap().ends_with("names")).collect();
    assert!(names.len() >= 10, "{names:?}");
    let mut dropped: Vec<Vec<u8>> =
        names.iter().map(|path| path.file_name().unwrap().as_bytes().to_vec()).collect();
    dropped.push(b"not utf-8 \xff\xfe.jpg".to_vec());
    dropped.push(b"back\\slash\\xFF.jpg".to_vec());
    dropped.retain(|name| is_taken(Path::new(OsStr::from_bytes(name))) && !name.starts_with(b"."));
    for name in &dropped {
        sandbox.drop_photo(photo, OsStr::from_bytes(name));
    }
    sandbox.run_batch().expect(0);
    let results = sandbox.results();
    let back: std::collections::BTreeSet<Vec<u8>> = results
        .predictions
        .values()
        .flatten()
        .map(|it| {
            let url = it["image_uri"].as_str().unwrap();
            let path = autorma_schemas::file_path(url).unwrap();
            path.file_name().unwrap().as_bytes().to_vec()
        })
        .collect();
    assert_eq!(back, dropped.into_iter().collect());
    assert!(results.predictions.contains_key("not utf-8 \\xFF\\xFE.jpg"));
    assert!(results.predictions.contains_key("back\\x5Cslash\\x5CxFF.jpg"));
}
