//! `autorma replay` and `autorma dead-letters retry`: events of the log once more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use autorma_e2e::{Photos, Sandbox, eventually, read_json};
use autorma_stream::failpoint;
use serde_json::Value;

/// A sandbox with a finished run of good photos, and its id.
fn classified(photos: &Photos, good: usize, bad: usize) -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good.iter().step_by(7).take(good).map(|(path, _)| path));
    for (number, path) in photos.bad.iter().take(bad).enumerate() {
        sandbox.drop_photo(path, format!("bad-{number}.jpg"));
    }
    let report = sandbox.run_batch().expect(if bad > 0 { 2 } else { 0 }).json();
    let run = report["run_id"].as_str().unwrap().to_owned();
    (sandbox, run)
}

fn replay(sandbox: &Sandbox, arguments: &[&str], code: i32) -> Value {
    sandbox.run(&[&["replay", "--json"], arguments].concat()).expect(code).json()
}

/// The entries of a run's results by event, without what differs from one run to the next.
fn entries(report: &Value) -> BTreeMap<String, Value> {
    let results = read_json(Path::new(report["results_path"].as_str().unwrap())).unwrap();
    let lists = ["predictions", "failed_images"].map(|list| results[list].as_array().unwrap().clone());
    let entry = |mut it: Value| {
        let id = it["event_id"].as_str().unwrap().to_owned();
        ["processed_at", "timestamp"].iter().for_each(|key| drop(it.as_object_mut().unwrap().remove(*key)));
        (id, it)
    };
    lists.into_iter().flatten().map(entry).collect()
}

/// What everybody sees of an output folder.
fn visible(output: &Path) -> BTreeSet<PathBuf> {
    let hidden = output.join(".autorma");
    autorma_e2e::json_files(output).into_iter().filter(|path| !path.starts_with(&hidden)).collect()
}

/// How far everybody is.
fn offsets(sandbox: &Sandbox) -> (Value, Vec<Value>) {
    let mut status = sandbox.status();
    let topics = status["topics"].as_array().unwrap().iter().filter(|topic| topic["topic"] != "runs");
    let topics = topics.cloned().collect();
    let of_runs = |it: &mut Value| {
        if it["topic"] == "runs" {
            // Of the record of the replay, the sink hears when it runs.
            ["end", "lag"].iter().for_each(|key| it[*key] = Value::Null);
        }
    };
    status["lag"].as_array_mut().unwrap().iter_mut().for_each(of_runs);
    (status["lag"].take(), topics)
}

#[test]
fn the_same_model_says_the_same_and_nobody_notices() {
    let Some(photos) = Photos::shared() else { return };
    let (sandbox, run) = classified(&photos, 30, 2);
    let before = offsets(&sandbox);
    let ended = sandbox.run(&["replay", "--json", "--run", &run]).expect(2);
    let report = ended.json();
    let results = report["results_path"].as_str().unwrap();
    assert!(ended.errors.contains(&format!("results={results}")), "where they are now: {}", ended.errors);
    assert_eq!((&report["images"], &report["same"]), (&32.into(), &32.into()), "{report}");
    assert_eq!((&report["changed"], &report["new_dead_letters"]), (&0.into(), &0.into()));
    assert_eq!((&report["flips"], &report["changes"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert_eq!(offsets(&sandbox), before);
    let original = sandbox.output().join(format!("predictions_{run}.json"));
    let original = entries(&serde_json::json!({ "results_path": original }));
    assert_eq!(entries(&report), original, "the same bits, places and batches");
    let id = report["run_id"].as_str().unwrap();
    let runs = sandbox.run(&["runs", "--json"]).expect(0).json();
    let listed = runs.as_array().unwrap().iter().find(|run| run["run_id"] == id).unwrap();
    assert_eq!((&listed["kind"], &listed["state"]), (&"replay".into(), &"finished".into()));
    assert_eq!((&listed["predictions"], &listed["dead_letters"]), (&30.into(), &2.into()));
    let shown = sandbox.run(&["runs", "show", id, "--json"]).expect(0).json();
    assert_eq!((&shown["kind"], &shown["summary"]["discovered"]), (&"replay".into(), &32.into()));
    // Whoever comes later finds nothing to do, and doesn't write the replay again.
    let files = visible(&sandbox.output());
    sandbox.run_batch().expect(0);
    assert_eq!(visible(&sandbox.output()), files);
    assert!(!sandbox.output().join(".autorma/replay").exists());
}

#[test]
fn only_what_is_chosen_is_replayed_beside_a_living_daemon() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.start(&["up", "--set", "ingest.run_length=1s"]);
    sandbox.drop_photos(photos.good.iter().step_by(4).map(|(path, _)| path));
    let expected = photos.good.iter().step_by(4).count();
    eventually("the photos are classified and their runs finished", || {
        (sandbox.results().counts().0 == expected).then_some(())
    });
    let all = sandbox.results().predictions.into_values().flatten();
    let review: BTreeSet<_> = all
        .filter(|it| it["decision"] == "review")
        .map(|it| it["event_id"].as_str().unwrap().to_owned())
        .collect();
    assert!(!review.is_empty(), "choose other photos: none of them is doubtful");
    let report = replay(&sandbox, &["--decision", "review"], 0);
    assert_eq!(entries(&report).into_keys().collect::<BTreeSet<_>>(), review);
    assert_eq!(report["same"], review.len());
    // Replays don't count as what was said before, and choose from what all others said.
    let other = sandbox.path().join("other");
    let again = ["--decision", "review", "--class", "tops", "--output", other.to_str().unwrap()];
    let tops = replay(&sandbox, &again, 0);
    assert!(tops["images"].as_u64().unwrap() <= review.len() as u64);
    eventually("the daemon has heard of it and does nothing", || {
        let status = sandbox.status();
        let lag = status["lag"].as_array()?.iter().map(|it| it["lag"].as_i64().unwrap());
        (lag.sum::<i64>() == 0).then_some(())
    });
    let files = visible(&sandbox.output());
    daemon.signal("TERM");
    daemon.wait().expect(0);
    assert_eq!(visible(&sandbox.output()), files);
    // By place: one partition after the other is all of them.
    let partition = |number: i32| {
        let range = format!("images-{number}:..");
        replay(&sandbox, &["--offsets", &range, "--output", other.to_str().unwrap()], 0)
    };
    let images: u64 = (0..4).map(|number| partition(number)["images"].as_u64().unwrap()).sum();
    assert_eq!(images, expected as u64);
    // By time.
    let nothing = replay(&sandbox, &["--to", "2020-01-01"], 0);
    assert_eq!((&nothing["images"], &nothing["run_id"]), (&0.into(), &Value::Null));
    assert_eq!(replay(&sandbox, &["--from", "2020-01-01"], 0)["images"], expected);
}

#[test]
fn another_model_and_a_lost_photo_are_told() {
    let Some(photos) = Photos::shared() else { return };
    let (sandbox, run) = classified(&photos, 20, 0);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/shipped");
    let model = sandbox.path().join("models/strict");
    fs::create_dir_all(&model).unwrap();
    let mut manifest = read_json(&shipped.join("manifest.json")).unwrap();
    manifest["version"] = "strict".into();
    manifest["thresholds"]["accept"] = 1.0.into();
    fs::write(model.join("manifest.json"), manifest.to_string()).unwrap();
    let onnx = manifest["model"]["file"].as_str().unwrap();
    fs::copy(shipped.join(onnx), model.join(onnx)).unwrap();
    let lost = sandbox.input().join("photo-00003.jpg");
    fs::rename(&lost, sandbox.path().join("lost.jpg")).unwrap();
    let results = sandbox.results();
    let changes = |(name, outcomes): (&String, &Vec<Value>)| {
        // Nothing is surer than 1.
        let accepted = |it: &&Value| it["decision"] == "accept" && it["confidence"].as_f64() < Some(1.0);
        if name == "photo-00003.jpg" { 1 } else { outcomes.iter().filter(accepted).count() as u64 }
    };
    let accepted: u64 = results.predictions.iter().map(changes).sum();

    let report = replay(&sandbox, &["--run", &run, "--model", model.to_str().unwrap()], 2);
    assert_eq!(report["model"]["version"], "strict");
    assert_eq!((&report["new_dead_letters"], &report["changed"]), (&1.into(), &accepted.into()), "{report}");
    let flips = report["flips"].as_array().unwrap();
    let missing = flips.iter().find(|flip| flip["name"] == "photo-00003.jpg").unwrap();
    assert_eq!(
        (&missing["to"]["reason"], &missing["origin"]["topic"]),
        (&"missing".into(), &"images".into())
    );
    let others = flips.iter().filter(|flip| flip["to"]["reason"].is_null());
    for flip in others {
        assert_eq!(
            (&flip["from"]["decision"], &flip["to"]["decision"]),
            (&"accept".into(), &"review".into())
        );
        assert_eq!(flip["from"]["predicted_class"], flip["to"]["predicted_class"]);
    }
    // By version, for people.
    fs::rename(sandbox.path().join("lost.jpg"), &lost).unwrap();
    let configured = format!("classifier.model={}", sandbox.path().join("models/any").display());
    let by_version = ["replay", "--run", &run, "--model", "strict", "--list", "2", "--set", &configured];
    let text = sandbox.run(&by_version).expect(0).output;
    for said in ["before", "accept", "review", "more: --list", "refund-classifier strict", "Results: "] {
        assert!(text.contains(said), "{said} is missing in\n{text}");
    }
    // The log still says what the first model said.
    assert_eq!(replay(&sandbox, &["--run", &run], 0)["changed"], 0);
}

#[test]
fn a_killed_replay_leaves_nothing_that_anyone_sees() {
    let Some(photos) = Photos::shared() else { return };
    let (sandbox, run) = classified(&photos, 12, 1);
    let (files, before) = (visible(&sandbox.output()), offsets(&sandbox));
    let places = [
        "classifier-before-commit:1",
        "classifier-after-commit:1",
        "sink-before-part:1",
        "sink-after-part:1",
        "sink-after-manifest:1",
        "sink-after-results:1",
        "sink-after-summary:1",
        "sink-after-finished:1",
        "replay-before-move:1",
    ];
    let killed = |place: &str| {
        let mut command = sandbox.command(&["replay", "--run", &run]);
        command.env(failpoint::VARIABLE, place);
        let ended = sandbox.spawn(command).wait();
        assert_eq!(ended.code, None, "{place}: it should have been killed\n{}", ended.errors);
    };
    for place in places {
        killed(place);
        assert_eq!(visible(&sandbox.output()), files, "after {place}");
        assert_eq!(offsets(&sandbox), before, "after {place}");
    }
    // In the middle of the move: results never come without their summary, and what came is taken back.
    killed("sink-after-move:1");
    let results = |path: &PathBuf| path.file_name().unwrap() != "summary.json";
    assert_eq!(visible(&sandbox.output()).into_iter().filter(results).count(), 1);
    // Behind the move: whole results that no list of runs has, and that the next replay leaves as they are.
    killed("sink-after-move:2");
    let moved = visible(&sandbox.output());
    assert_eq!(moved.len(), files.len() + 2);
    let unlisted = moved.difference(&files).find(|path| results(path)).unwrap();
    let unlisted = entries(&serde_json::json!({ "results_path": unlisted }));
    assert_eq!(offsets(&sandbox), before, "after sink-after-move:2");
    let runs = sandbox.run(&["runs", "--json"]).expect(0).json();
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
    let report = replay(&sandbox, &["--run", &run], 2);
    assert!(visible(&sandbox.output()).is_superset(&moved));
    assert_eq!(visible(&sandbox.output()).len(), moved.len() + 2);
    assert_eq!(entries(&report), unlisted);
    assert_eq!((&report["same"], &report["changed"]), (&13.into(), &0.into()));
    // Whoever is asked to stop cleans up behind him.
    let staging = sandbox.output().join(".autorma/replay");
    // Some may be done before the signal comes.
    let stopped = (0..10).any(|_| {
        let before = visible(&sandbox.output()).len();
        let mut command = sandbox.command(&["replay", "--run", &run]);
        command.env("AUTORMA_CLASSIFIER_WORKERS", "1").env("AUTORMA_CLASSIFIER_BATCH_SIZE", "1");
        let mut process = sandbox.spawn(command);
        eventually("it is at work", || staging.exists().then_some(()));
        process.signal("TERM");
        let ended = process.wait();
        assert!(!staging.exists());
        if ended.code == Some(2) {
            return false;
        }
        let ended = ended.expect(1);
        assert!(ended.errors.contains("nothing was written"), "{}", ended.errors);
        assert_eq!(visible(&sandbox.output()).len(), before);
        true
    });
    assert!(stopped, "a replay doesn't hear of a signal");
}

/// Begins to write to an embedded log, and doesn't end.
const WRITES: &str = "import sqlite3, sys, time
log = sqlite3.connect(sys.argv[1], isolation_level=None)
log.execute('BEGIN IMMEDIATE')
print('writing', flush=True)
time.sleep(600)
";

/// Only who must end doesn't wait for others who write: the files are there by then, and the run is still to be listed.
#[test]
fn a_replay_waits_at_its_end_for_others_who_write() {
    let Some(photos) = Photos::shared() else { return };
    let has_python = Command::new("python3").arg("--version").output().is_ok();
    assert!(has_python || std::env::var_os("CI").is_none(), "python3 is missing");
    let (sandbox, run) = classified(&photos, 40, 0);
    if !has_python || sandbox.is_on_kafka() {
        eprintln!("skipped: this takes python3 and a log that is a file");
        return;
    }
    let before = visible(&sandbox.output());
    let mut command = sandbox.command(&["replay", "--json", "--run", &run]);
    command.env("AUTORMA_CLASSIFIER_WORKERS", "1").env("AUTORMA_CLASSIFIER_BATCH_SIZE", "1");
    let mut replay = sandbox.spawn(command);
    let staged = sandbox.output().join(".autorma/replay/.autorma");
    eventually("it has its slot and is at work", || staged.exists().then_some(()));
    let mut command = Command::new("python3");
    command.args(["-c", WRITES]).arg(sandbox.data().join("log.sqlite"));
    let other = sandbox.spawn(command);
    eventually("the other writes", || other.output().contains("writing").then_some(()));
    assert_eq!(visible(&sandbox.output()), before, "it was too late");
    eventually("the files are there", || {
        (visible(&sandbox.output()).len() == before.len() + 2).then_some(())
    });
    // Four times as long as one waits who is in a hurry.
    std::thread::sleep(Duration::from_secs(2));
    assert!(replay.is_running(), "{}", replay.said());
    other.kill();
    let report = replay.wait().expect(0).json();
    let runs = sandbox.run(&["runs", "--json"]).expect(0).json();
    let listed = runs.as_array().unwrap().iter().find(|run| run["run_id"] == report["run_id"]).unwrap();
    assert_eq!(listed["state"], "finished", "{runs}");
}

#[test]
fn what_cannot_be_is_said() {
    let Some(photos) = Photos::shared() else { return };
    let (sandbox, run) = classified(&photos, 1, 0);
    let told = |arguments: &[&str]| sandbox.run(&[&["replay"], arguments].concat()).expect(1).errors;
    assert!(told(&[]).contains("--run"), "a replay of everything is asked for, not got by mistake");
    assert!(told(&["--from", "yesterday"]).contains("2026-11-24"));
    assert!(told(&["--from", "2026-11-24", "--to", "2026-11-23"]).contains("--to"));
    assert!(told(&["--offsets", "images-9:.."]).contains("no partition 9"));
    assert!(told(&["--run", "none"]).contains("autorma runs"));
    assert!(told(&["--run", &run, "--model", "17"]).contains("--model 17"));
    let nothing = sandbox.run(&["replay", "--run", &run, "--class", "socks"]).expect(0);
    assert!(nothing.output.contains("Nothing to replay"), "{}", nothing.output);
    assert!(nothing.errors.contains("knows no class \"socks\""), "{}", nothing.errors);
    assert!(nothing.errors.contains("casual shoes"), "it says which there are: {}", nothing.errors);
}

#[test]
fn dead_letters_are_tried_again_once_their_photos_are_mended() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photo(&photos.good[0].0, "good.jpg");
    sandbox.drop_photo(&photos.bad[1], "broken.jpg");
    sandbox.drop_photo(&photos.bad[2], "hopeless.jpg");
    let [lost, inline] = ["lost.jpg", "inline.jpg"].map(|name| sandbox.path().join(name));
    fs::copy(&photos.good[1].0, sandbox.input().join("lost.jpg")).unwrap();
    fs::copy(&photos.bad[3], &inline).unwrap();
    let mut ingest = sandbox.start(&["ingest"]);
    eventually("three photos are published", || {
        (sandbox.has_log() && sandbox.published() == 4).then_some(())
    });
    ingest.signal("TERM");
    ingest.wait().expect(0);
    let order = ["--run", "o", "--attribute", "order=4711"];
    sandbox.run(&[&["produce", "--inline", inline.to_str().unwrap()], &order[..]].concat()).expect(0);
    fs::rename(sandbox.input().join("lost.jpg"), &lost).unwrap();
    sandbox.run_batch().expect(2);
    let failed = sandbox.results().failed;
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["broken.jpg", "hopeless.jpg", "inline.jpg", "lost.jpg"]);
    let retry = |arguments: &[&str], code: i32| {
        sandbox.run(&[&["dead-letters", "retry", "--json"], arguments].concat()).expect(code).json()
    };

    // What is lost comes back, what is broken is taken anew.
    fs::rename(&lost, sandbox.input().join("lost.jpg")).unwrap();
    let missing = retry(&["--reason", "missing"], 0);
    assert_eq!((&missing["published"], &missing["events"][0]["name"]), (&1.into(), &"lost.jpg".into()));
    assert_eq!(missing["events"][0]["event_id"], missing["events"][0]["former_event_id"]);
    let twice = retry(&["--reason", "missing"], 0);
    assert_eq!((&twice["published"], &twice["waiting"]), (&0.into(), &1.into()), "it is on its way");
    sandbox.run_batch().expect(0);
    let run = missing["runs"][0]["run_id"].as_str().unwrap();
    let results = read_json(&sandbox.output().join(format!("predictions_{run}.json"))).unwrap();
    assert_eq!((&results["successful"], &results["failed"]), (&1.into(), &0.into()));
    assert_eq!(results["predictions"][0]["image_name"], "lost.jpg");

    fs::copy(&photos.good[2].0, sandbox.input().join("broken.jpg")).unwrap();
    let all = retry(&[], 0);
    assert_eq!((&all["published"], &all["classified_since"]), (&3.into(), &1.into()), "{all}");
    let events = all["events"].as_array().unwrap().iter();
    let anew: Vec<_> = events.filter(|it| it["event_id"] != it["former_event_id"]).collect();
    assert_eq!(anew.len(), 1);
    assert_eq!(anew[0]["name"], "broken.jpg");
    // From another input: ingest would see the new content too.
    let other = sandbox.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::copy(&photos.good[3].0, other.join("new.jpg")).unwrap();
    let report = sandbox.run(&["run", "--json", "--input", other.to_str().unwrap()]).expect(2).json();
    let run = all["runs"][0]["run_id"].as_str().unwrap();
    assert_eq!((&report["predictions"], &report["dead_letters"]), (&1.into(), &0.into()), "of its own photo");
    let too = &report["finished_too"][0];
    assert_eq!(
        (&too["run_id"], &too["predictions"], &too["dead_letters"]),
        (&run.into(), &1.into(), &2.into())
    );
    let results = read_json(&sandbox.output().join(format!("predictions_{run}.json"))).unwrap();
    assert_eq!((&results["successful"], &results["failed"]), (&1.into(), &2.into()));
    let still = results["failed_images"].as_array().unwrap();
    let facts = still.iter().find(|it| it["image_name"] == "inline.jpg").unwrap();
    assert_eq!(facts["attributes"]["order"], "4711", "what travelled inline is there again, with its facts");
    let runs = sandbox.run(&["runs", "--json"]).expect(0).json();
    let listed = runs.as_array().unwrap().iter().find(|it| it["run_id"] == run).unwrap();
    assert_eq!((&listed["kind"], &listed["state"]), (&"replay".into(), &"finished".into()));

    // Of one run only; and nothing is not an error.
    let of_run = retry(&["--run", "o"], 0);
    assert_eq!((&of_run["published"], &of_run["events"][0]["name"]), (&1.into(), &"inline.jpg".into()));
    assert_eq!(retry(&["--reason", "not-a-number"], 0)["published"], 0);
    let told = sandbox.run(&["dead-letters", "retry", "--reason", "lost"]).expect(1).errors;
    assert!(told.contains("content-changed"), "{told}");
    assert!(
        sandbox.run(&["dead-letters", "retry", "--run", "none"]).expect(1).errors.contains("autorma runs")
    );
}
