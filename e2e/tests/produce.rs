//! `autorma produce` and `autorma tail`: events from scripts, and predictions for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use autorma_e2e::{Photos, Sandbox, eventually};
use autorma_stream::failpoint;
use serde_json::Value;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Photos beside the input folder: ingest doesn't see them.
fn elsewhere(sandbox: &Sandbox, photos: &Photos, count: usize) -> Vec<PathBuf> {
    let folder = sandbox.path().join("elsewhere");
    fs::create_dir_all(&folder).unwrap();
    let copy = |(number, (from, _)): (usize, &(PathBuf, String))| {
        let to = folder.join(format!("scan-{number}.jpg"));
        fs::copy(from, &to).unwrap();
        to
    };
    photos.good.iter().take(count).enumerate().map(copy).collect()
}

fn results(sandbox: &Sandbox, run: &str) -> Value {
    autorma_e2e::read_json(&sandbox.output().join(format!("predictions_{run}.json"))).unwrap()
}

#[test]
fn facts_of_a_photo_come_out_on_its_prediction() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    let files = elsewhere(&sandbox, &photos, 3);
    let mut arguments = vec!["produce", "--inline", "--run", "monday", "--source", "scanner", "--json"];
    arguments.extend(["--attribute", "order=4711", "--attribute", "note=a=b"]);
    arguments.extend(files.iter().map(|path| text(path)));
    let report = sandbox.run(&arguments).expect(0).json();
    assert_eq!((&report["published"], &report["run_id"]), (&3.into(), &"monday".into()));
    // The content is in the events.
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    sandbox.run_batch().expect(0);
    let results = results(&sandbox, "monday");
    assert_eq!(results["successful"], 3);
    for (number, it) in results["predictions"].as_array().unwrap().iter().enumerate() {
        assert_eq!(it["attributes"], serde_json::json!({"note": "a=b", "order": "4711"}));
        assert_eq!(it["event_id"], report["events"][number]["event_id"]);
        assert_eq!(it["image_name"], format!("scan-{number}.jpg"));
    }
    let runs = sandbox.run(&["runs", "--json"]).expect(0).json();
    assert_eq!((&runs[0]["run_id"], &runs[0]["state"]), (&"monday".into(), &"finished".into()));
    let again = sandbox.run(&arguments).expect(1);
    assert!(again.errors.contains("monday"), "a finished run isn't added to: {}", again.errors);
}

/// What others have sent is another run than the folder's, whose photos were all classified before.
#[test]
fn a_run_of_others_that_was_waiting_is_not_taken_for_the_folders() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good[..2].iter().map(|(path, _)| path));
    sandbox.run_batch().expect(0);
    let files = elsewhere(&sandbox, &photos, 3);
    let produce = [&["produce", "--inline", "--run", "monday"][..], &[text(&files[2])]].concat();
    sandbox.run(&produce).expect(0);
    let report = sandbox.run_batch().expect(0).json();
    assert_eq!(
        (&report["run_id"], &report["predictions"], &report["already_done"]),
        (&Value::Null, &0.into(), &2.into())
    );
    let too = &report["finished_too"];
    assert_eq!(too.as_array().unwrap().len(), 1, "{report}");
    assert_eq!((&too[0]["run_id"], &too[0]["predictions"]), (&"monday".into(), &1.into()), "{report}");
    assert_eq!(results(&sandbox, "monday")["successful"], 1);
}

#[test]
fn a_bad_file_costs_itself_only_and_is_named() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    let mut files = elsewhere(&sandbox, &photos, 2);
    let large = sandbox.path().join("large.jpg");
    fs::write(&large, vec![0; 1_000_001]).unwrap();
    files.insert(1, large);
    files.insert(0, sandbox.path().join("none.jpg"));
    files.push(sandbox.input());
    let mut arguments = vec!["produce", "--inline", "--inline-limit", "1", "--run", "r", "--json"];
    arguments.extend(files.iter().map(|path| text(path)));
    let ended = sandbox.run(&arguments).expect(2);
    let report = ended.json();
    assert_eq!(report["published"], 2);
    let said: Vec<_> =
        report["failed"].as_array().unwrap().iter().map(|it| it["error"].to_string()).collect();
    for (what, said) in ["No such file", "--inline-limit", "folder/*.jpg"].iter().zip(&said) {
        assert!(said.contains(what), "{what} is missing in {said}");
        assert!(ended.errors.contains(what), "{what} is missing in {}", ended.errors);
    }
    sandbox.run_batch().expect(0);
    assert_eq!(results(&sandbox, "r")["total_images"], 2);
    // Nothing but bad files is no run.
    sandbox.run(&["produce", "--run", "s", "nowhere.jpg"]).expect(2);
    let ours = sandbox.run(&["produce", "--run", "retry_20261123_153147", "nowhere.jpg"]).expect(1).errors;
    assert!(ours.contains("choose another name"), "{ours}");
    assert_eq!(sandbox.run(&["runs", "--json"]).expect(0).json().as_array().unwrap().len(), 1);
}

#[test]
fn what_a_file_is_called_does_not_move_the_cursor() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photo(&photos.good[0].0, "known.jpg");
    sandbox.run_batch().expect(0);
    let outside = sandbox.path().join("over\rwritten.jpg");
    fs::copy(&photos.good[1].0, &outside).unwrap();
    let told = sandbox.run(&["produce", text(&outside)]).expect(0).errors;
    assert!(told.contains("over\\rwritten.jpg") && !told.contains('\r'), "{told:?}");
}

#[test]
fn references_are_for_folders_that_the_classifier_reads() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photo(&photos.good[0].0, "known.jpg");
    sandbox.run_batch().expect(0);
    let outside = elsewhere(&sandbox, &photos, 1).remove(0);
    sandbox.drop_photo(&photos.good[1].0, "inside.jpg");
    let inside = sandbox.input().join("inside.jpg");
    let told = sandbox.run(&["produce", "--run", "in", text(&inside)]).expect(0);
    assert!(!told.errors.contains("forbidden-reference"), "{}", told.errors);
    let told = sandbox.run(&["produce", "--run", "out", text(&outside)]).expect(0);
    assert!(told.errors.contains("forbidden-reference"), "{}", told.errors);
    assert!(told.errors.contains("--inline"), "{}", told.errors);
    sandbox.run_batch().expect(2);
    assert_eq!(results(&sandbox, "in")["predictions"][0]["image_name"], "inside.jpg");
    assert_eq!(results(&sandbox, "out")["failed_images"][0]["reason"], "forbidden-reference");
}

#[test]
fn an_interrupted_call_is_completed_by_the_same_command() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    let mut files = elsewhere(&sandbox, &photos, 3);
    // Two transactions: what is inline fills the first.
    for number in 0..2 {
        let large = sandbox.path().join(format!("large-{number}.jpg"));
        fs::write(&large, vec![number; 5_000_000]).unwrap();
        files.insert(1, large);
    }
    let mut arguments = vec!["produce", "--inline", "--run", "r", "--json"];
    arguments.extend(files.iter().map(|path| text(path)));
    let mut command = sandbox.command(&arguments);
    command.env(failpoint::VARIABLE, "log-after-commit:1");
    assert_eq!(sandbox.spawn(command).wait().code, None, "it should have been killed");
    let run = |sandbox: &Sandbox| sandbox.run(&["runs", "--json"]).expect(0).json()[0].take();
    assert_eq!((&run(&sandbox)["state"], &run(&sandbox)["images"]), (&"open".into(), &3.into()));
    // While its files can't be read, it isn't closed without them.
    let away = |file: &PathBuf| file.with_extension("away");
    files.iter().for_each(|file| fs::rename(file, away(file)).unwrap());
    let told = sandbox.run(&arguments).expect(2).errors;
    assert!(told.contains("stays open") && told.contains("the same command"), "{told}");
    assert_eq!((&run(&sandbox)["state"], &run(&sandbox)["images"]), (&"open".into(), &3.into()));
    files.iter().for_each(|file| fs::rename(away(file), file).unwrap());
    sandbox.run(&arguments).expect(0);
    sandbox.run_batch().expect(2);
    let run = run(&sandbox);
    assert_eq!(
        (&run["state"], &run["images"], &run["duplicates"]),
        (&"finished".into(), &8.into(), &3.into())
    );
    assert_eq!((&run["predictions"], &run["dead_letters"]), (&3.into(), &2.into()));
}

#[test]
fn a_call_that_was_killed_when_all_was_published_says_so_when_it_is_repeated() {
    let sandbox = Sandbox::new();
    let file = |number: u8, size: usize| {
        let file = sandbox.path().join(format!("scan-{number}.jpg"));
        fs::write(&file, vec![number; size]).unwrap();
        file
    };
    // Two transactions: what is inline fills the first.
    let files = [file(0, 5_000_000), file(1, 5_000_000), file(2, 10)];
    let mut arguments = vec!["produce", "--inline", "--run", "r", "--json"];
    arguments.extend(files.iter().map(|path| text(path)));
    let mut command = sandbox.command(&arguments);
    command.env(failpoint::VARIABLE, "log-after-commit:2");
    assert_eq!(sandbox.spawn(command).wait().code, None, "it should have been killed");
    let run = |sandbox: &Sandbox| sandbox.run(&["runs", "--json"]).expect(0).json()[0].take();
    assert_eq!((&run(&sandbox)["state"], &run(&sandbox)["images"]), (&"closed".into(), &3.into()));
    let report = sandbox.run(&arguments).expect(0).json();
    assert_eq!((&report["published"], &report["run_id"]), (&3.into(), &"r".into()), "{report}");
    assert_eq!((&run(&sandbox)["state"], &run(&sandbox)["images"]), (&"closed".into(), &3.into()));
    sandbox.run_batch().expect(2);
    let finished = run(&sandbox);
    assert_eq!((&finished["state"], &finished["dead_letters"]), (&"finished".into(), &3.into()));
    assert_eq!(sandbox.run(&arguments).expect(0).json()["events"], report["events"]);
    let told = sandbox.run(&[&arguments[..], &["--attribute", "order=2"]].concat()).expect(1).errors;
    assert!(told.contains("choose another name"), "an order that is on no event: {told}");
    let other = file(3, 10);
    arguments.push(text(&other));
    let told = sandbox.run(&arguments).expect(1).errors;
    assert!(told.contains("of 3 images") && told.contains("choose another name"), "{told}");
}

#[test]
fn what_comes_is_printed_as_it_comes() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    if !sandbox.is_on_kafka() {
        sandbox.run(&["tail"]).expect(1);
    }
    let mut command = sandbox.command(&["up"]);
    command.env("AUTORMA_SINK_RUN_LENGTH", "1s");
    let mut daemon = sandbox.spawn(command);
    eventually("the daemon has its locks", || {
        let status = sandbox.run(&["status", "--json"]);
        (status.code == Some(0) && status.json()["stages"].as_array()?.len() == 3).then_some(())
    });
    let files = elsewhere(&sandbox, &photos, 4);
    let produce = |file: &Path| drop(sandbox.run(&["produce", "--inline", text(file)]).expect(0));
    produce(&files[0]);
    eventually("the first is printed from the beginning", || {
        let ended = sandbox.run(&["tail", "--json", "--from-beginning", "--count", "1"]).expect(0);
        (ended.json()["name"] == "scan-0.jpg").then_some(())
    });
    let mut tail = sandbox.start(&["tail", "--json", "--last", "1", "--count", "3"]);
    let mut all = sandbox.start(&["tail", "--last", "1"]);
    // They know their place once they print what was there before.
    eventually("they follow", || {
        [&tail, &all].iter().all(|it| it.output().contains("scan-0.jpg")).then_some(())
    });
    produce(&files[1]);
    produce(&files[2]);
    let ended = tail.wait().expect(0);
    let lines: Vec<Value> = ended.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut names: Vec<_> = lines.iter().map(|line| line["name"].as_str().unwrap()).collect();
    // They may be in different partitions, which have no order among them.
    names.sort_unstable();
    assert_eq!(names, ["scan-0.jpg", "scan-1.jpg", "scan-2.jpg"]);
    assert!(lines[0]["run_id"].is_null() && lines[0]["probabilities"]["tops"].is_number(), "{}", lines[0]);
    eventually("people read it too", || all.output().contains("scan-2.jpg").then_some(()));
    all.signal("INT");
    let ended = all.wait().expect(0);
    assert!(ended.output.starts_with("done at"), "{}", ended.output);
    assert_eq!(ended.output.lines().count(), 4);
    // With their offset: 2026-11-23T15:31:47.716401+01:00.
    let times = ["seen_at", "processed_at"].map(|key| lines[0][key].as_str().unwrap().len());
    assert_eq!(times, [32, 32], "{}", lines[0]);
    let class = lines[0]["predicted_class"].as_str().unwrap();
    let chosen = ["tail", "--json", "--from-beginning", "--count", "1", "--class", class];
    assert_eq!(sandbox.run(&chosen).expect(0).json()["predicted_class"], class);
    let images = ["tail", "--topic", "images", "--last", "9", "--count", "3"];
    assert_eq!(sandbox.run(&images).expect(0).output.lines().count(), 4);
    assert!(sandbox.run(&["tail", "--topic", "runs", "--class", class]).expect(1).errors.contains("--class"));
    eventually("the sink collects them in a run of its own", || {
        let runs = sandbox.run(&["runs", "--json"]).expect(0).json();
        let finished = runs.as_array()?.iter().filter(|run| run["state"] == "finished");
        let predictions: i64 = finished.filter_map(|run| run["predictions"].as_i64()).sum();
        (predictions == 3).then_some(())
    });
    // Whoever reads may go whenever he wants.
    let program = sandbox.command(&[]).get_program().to_owned();
    let script = format!("{} tail --from-beginning | head -1", text(Path::new(&program)));
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", &script]);
    shell.envs(sandbox.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut shell = shell.current_dir(sandbox.path()).stdout(Stdio::null()).spawn().unwrap();
    eventually("the next record finds that nobody reads", || {
        produce(&files[3]);
        shell.try_wait().unwrap().map(|status| assert_eq!(status.code(), Some(0)))
    });
    daemon.signal("TERM");
    daemon.wait().expect(0);
}
