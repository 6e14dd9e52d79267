//! When a stage is behind: its source waits, and what happens to photos meanwhile is told.

use std::collections::BTreeSet;
use std::fs;

use autorma_e2e::{Photos, Process, Sandbox, eventually, json_files};

/// Ingest, once it has published so many photos.
fn publish(sandbox: &Sandbox, images: i64) -> Process {
    let ingest = sandbox.start(&["ingest"]);
    eventually("everything is published", || {
        (sandbox.has_log() && sandbox.published() == images).then_some(())
    });
    ingest
}

fn finished(sandbox: &Sandbox) -> Option<()> {
    let status = sandbox.status();
    let runs = status["runs"].as_array()?;
    (!runs.is_empty() && runs.iter().all(|run| run["state"] == "finished")).then_some(())
}

#[test]
fn ingest_waits_for_a_classifier_that_is_behind() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good.iter().take(100).map(|(path, _)| path));
    let mut command = sandbox.command(&["ingest", "--set", "ingest.max_ahead=30", "--log-level", "debug"]);
    command.env("AUTORMA_INGEST_RUN_LENGTH", "1h");
    let mut ingest = sandbox.spawn(command);
    eventually("ingest waits", || ingest.said().contains("waiting for the classifier").then_some(()));
    assert!(sandbox.published() <= 30);
    let mut rest = ["classify", "sink"].map(|stage| sandbox.start(&[stage]));
    eventually("everything is published", || (sandbox.published() == 100).then_some(()));
    ingest.signal("TERM");
    ingest.wait().expect(0);
    eventually("the run is finished", || finished(&sandbox));
    for process in &mut rest {
        process.signal("TERM");
        process.wait().expect(0);
    }
    let names = (0..100).map(|number| format!("photo-{number:05}.jpg")).collect();
    sandbox.results().expect(&names, &BTreeSet::new()).unwrap();
}

#[test]
fn photos_that_vanish_or_change_before_their_turn_are_dead_letters_that_say_so() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good.iter().take(10).map(|(path, _)| path));
    let mut ingest = publish(&sandbox, 10);
    ingest.signal("TERM");
    ingest.wait().expect(0);
    fs::remove_file(sandbox.input().join("photo-00003.jpg")).unwrap();
    fs::copy(&photos.good[20].0, sandbox.input().join("photo-00007.jpg")).unwrap();
    let mut rest = ["classify", "sink"].map(|stage| sandbox.start(&[stage]));
    eventually("the run is finished", || finished(&sandbox));
    for process in &mut rest {
        process.signal("TERM");
        process.wait().expect(0);
    }
    let results = sandbox.results();
    assert_eq!(results.counts(), (8, 2));
    let reason = |name: &str| results.failed[name][0]["reason"].clone();
    assert_eq!(reason("photo-00003.jpg"), "missing");
    assert_eq!(reason("photo-00007.jpg"), "content-changed");
    // The new content is an event of its own.
    let report = sandbox.run_batch().expect(0).json();
    assert_eq!((&report["predictions"], &report["already_done"]), (&1.into(), &8.into()));
}

#[test]
fn a_prediction_says_where_it_comes_from() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good.iter().take(3).map(|(path, _)| path));
    sandbox.run_batch().expect(0);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/shipped/manifest.json");
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    for (name, predictions) in sandbox.results().predictions {
        let story = sandbox.run(&["show", &name, "--json"]).expect(0).json();
        let (prediction, event) = (&predictions[0], &story[0]);
        assert_eq!(prediction["model"]["version"], manifest["version"]);
        assert_eq!(prediction["model"]["sha256"], manifest["model"]["sha256"]);
        for key in ["topic", "partition", "offset"] {
            assert_eq!(prediction["origin"][key], event[key]);
        }
        assert_eq!(prediction["event_id"], event["event_id"]);
        let content = fs::read(sandbox.input().join(&name)).unwrap();
        assert_eq!(prediction["sha256"], autorma_schemas::sha256(&content));
    }
}

#[test]
fn what_was_queued_from_one_folder_is_classified_though_another_comes_in_between() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good.iter().take(40).map(|(path, _)| path));
    let mut ingest = publish(&sandbox, 40);
    ingest.signal("KILL");
    assert_eq!(ingest.wait().code, None);
    let other = sandbox.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::copy(&photos.good[50].0, other.join("other.jpg")).unwrap();
    sandbox.run(&["run", "--json", "--input", other.to_str().unwrap()]).expect(0);
    assert_eq!(sandbox.results().counts(), (41, 0));
}

#[test]
fn parts_that_somebody_removes_are_read_anew_from_the_log() {
    let Some(photos) = Photos::shared() else { return };
    for while_it_runs in [true, false] {
        let sandbox = Sandbox::new();
        sandbox.drop_photos(photos.good.iter().take(20).map(|(path, _)| path));
        let mut process = sandbox.start(&["up"]);
        eventually("everything is in parts", || {
            let lag = sandbox.has_log().then(|| sandbox.status()["lag"].clone())?;
            let lag = lag.as_array()?;
            let sum = |key: &str| lag.iter().map(|it| it[key].as_i64().unwrap()).sum::<i64>();
            (sum("committed") >= 40 && sum("lag") == 0).then_some(())
        });
        if while_it_runs {
            fs::remove_dir_all(sandbox.output()).unwrap();
            process.signal("TERM");
            let ended = process.wait().expect(1);
            assert!(ended.errors.contains("start again"), "{}", ended.errors);
        } else {
            process.kill();
            let manifest =
                json_files(&sandbox.output()).into_iter().find(|path| path.ends_with("manifest.json"));
            for entry in fs::read_dir(manifest.unwrap().parent().unwrap()).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    fs::remove_dir_all(path).unwrap();
                }
            }
        }
        sandbox.run_batch().expect(0);
        assert_eq!(sandbox.results().counts(), (20, 0), "removed while it ran: {while_it_runs}");
    }
}
