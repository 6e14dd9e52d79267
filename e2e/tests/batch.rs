//! `autorma run`: reports, exit statuses, what is new and what isn't.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use autorma_e2e::{Photos, Sandbox, eventually};
use autorma_schemas::{Event, ImageEvent, Micros, RunKind, RunRecord, sha256, topics};
use autorma_stream::embedded::Embedded;
use autorma_stream::{Append, Bounds, Log, NextOffset, Retention, Topic, Transaction};
use serde_json::Value;

/// Whether a time says how far from UTC it is: `2026-11-23T15:31:47.716401+01:00`.
fn has_offset(time: &Value) -> bool {
    time.as_str().is_some_and(|time| time.len() == 32 && time[26..].starts_with(['+', '-']))
}

#[test]
fn control_c_ends_a_run_with_1_and_the_same_command_goes_on_with_it() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good.iter().take(150).map(|(path, _)| path));
    // What is in hand is finished: that must not be all.
    let mut command = sandbox.command(&["run", "--json"]);
    command.env("AUTORMA_CLASSIFIER_MAX_IN_FLIGHT", "10").env("AUTORMA_CLASSIFIER_WORKERS", "1");
    let mut run = sandbox.spawn(command);
    eventually("some are classified", || {
        let lag = sandbox.has_log().then(|| sandbox.status()["lag"].clone())?;
        let committed = lag.as_array()?.iter().map(|it| it["committed"].as_i64().unwrap()).sum::<i64>();
        (committed >= 20).then_some(())
    });
    run.signal("INT");
    let ended = run.wait().expect(1);
    assert!(ended.errors.contains("the same command continues"), "{}", ended.errors);
    let runs = || sandbox.run(&["runs", "--json"]).expect(0).json();
    let stopped = runs();
    assert!(stopped[0]["state"] != "finished", "{stopped}");
    sandbox.run_batch().expect(0);
    let finished = runs();
    assert_eq!(finished.as_array().unwrap().len(), 1, "{finished}");
    assert_eq!((&finished[0]["run_id"], &finished[0]["state"]), (&stopped[0]["run_id"], &"finished".into()));
    assert_eq!(sandbox.results().counts(), (150, 0));
}

#[test]
fn a_reprocess_that_is_interrupted_is_gone_on_with_and_not_begun_again() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good.iter().take(150).map(|(path, _)| path));
    let first = sandbox.run_batch().expect(0).json();
    let reprocess = ["run", "--json", "--reprocess"];
    let mut command = sandbox.command(&reprocess);
    command.env("AUTORMA_CLASSIFIER_MAX_IN_FLIGHT", "10").env("AUTORMA_CLASSIFIER_WORKERS", "1");
    let mut run = sandbox.spawn(command);
    let runs = || sandbox.run(&["runs", "--json"]).expect(0).json();
    // All of it is published by then, and little of it classified.
    let closed = eventually("ingest has closed the second run", || {
        let runs = runs();
        let closed = runs.as_array()?.iter().find(|run| run["state"] == "closed")?;
        Some(closed["run_id"].clone())
    });
    run.signal("INT");
    run.wait().expect(1);
    let report = sandbox.run(&reprocess).expect(0).json();
    assert_eq!((&report["run_id"], &report["predictions"]), (&closed, &150.into()), "{report}");
    assert_eq!(report["already_done"], 0, "{report}");
    let all = runs();
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    assert!(all.as_array().unwrap().iter().all(|run| run["state"] == "finished"), "{all}");
    assert!(closed != first["run_id"] && sandbox.results().counts() == (300, 0), "{all}");
}

#[test]
fn a_file_that_is_still_being_written_is_told_and_left_to_the_next_run() {
    let sandbox = Sandbox::new();
    let (slow, is_written) = (sandbox.input().join("slow.jpg"), AtomicBool::new(false));
    let ended = std::thread::scope(|scope| {
        let (mut file, is_written) = (File::create(&slow).unwrap(), &is_written);
        scope.spawn(move || {
            while !is_written.load(Ordering::Relaxed) {
                file.write_all(b"no photo").unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let mut command = sandbox.command(&["run", "--json"]);
        command.env("AUTORMA_INGEST_SETTLE", "2s").env("AUTORMA_INGEST_PATIENCE", "3s");
        let ended = catch_unwind(AssertUnwindSafe(|| sandbox.spawn(command).wait()));
        is_written.store(true, Ordering::Relaxed);
        ended
    });
    let report = ended.unwrap().expect(1).json();
    assert_eq!((&report["still_being_written"], &report["discovered"]), (&1.into(), &0.into()), "{report}");
    assert_eq!(sandbox.run_batch().expect(2).json()["dead_letters"], 1);
}

#[test]
fn what_cannot_be_read_is_told_by_the_exit_status() {
    let sandbox = Sandbox::new();
    std::os::unix::fs::symlink("circle.jpg", sandbox.input().join("circle.jpg")).unwrap();
    let report = sandbox.run_batch().expect(2).json();
    assert_eq!(report["unreadable"], 1, "{report}");
}

#[test]
fn bad_photos_are_dead_letters_and_the_exit_status_says_so() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good.iter().take(9).map(|(path, _)| path));
    sandbox.drop_photo(&photos.bad[1], "bad.jpg");
    let report = sandbox.run_batch().expect(2).json();
    assert_eq!(report["discovered"], 10);
    assert_eq!(report["predictions"], 9);
    assert_eq!(report["dead_letters"], 1);
    for key in ["run_id", "results_path", "summary_path"] {
        assert!(report[key].is_string(), "{report}");
    }
    assert!(report["duration_seconds"].as_f64().unwrap() > 0.0);
    assert!(report["images_per_second"].as_f64().unwrap() > 0.0);
    let letters = sandbox.run(&["dead-letters", "--json"]).expect(0).json();
    assert_eq!(letters[0]["name"], "bad.jpg");
    assert_eq!(letters[0]["run_id"], report["run_id"]);
    assert!(has_offset(&letters[0]["failed_at"]), "{letters}");
    let story = sandbox.run(&["show", "bad.jpg", "--json"]).expect(0).json();
    assert_eq!(story[0]["state"], "dead letter");
    let story = sandbox.run(&["show", "photo-00003.jpg", "--json"]).expect(0).json();
    assert_eq!(story[0]["state"], "predicted");
    assert!(["seen_at", "done_at"].iter().all(|key| has_offset(&story[0][key])), "{story}");
    let id = story[0]["event_id"].as_str().unwrap();
    assert_eq!(sandbox.run(&["show", id, "--json"]).expect(0).json(), story);
    let runs = sandbox.run(&["runs", "--json"]).expect(0).json();
    assert_eq!(runs[0]["state"], "finished");
    assert!(["opened_at", "closed_at"].iter().all(|key| has_offset(&runs[0][key])), "{runs}");
    assert!(has_offset(&sandbox.status()["last_prediction"]["processed_at"]));
    let shown = sandbox.run(&["runs", "show", report["run_id"].as_str().unwrap(), "--json"]).expect(0).json();
    assert_eq!((&shown["opened_at"], &shown["summary"]["dead_letters"]), (&runs[0]["opened_at"], &1.into()));
}

#[test]
fn the_same_again_is_nothing_and_new_content_is_new() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good.iter().take(5).map(|(path, _)| path));
    let first = sandbox.run_batch().expect(0).json();
    assert_eq!((&first["predictions"], &first["already_done"]), (&5.into(), &0.into()));
    let again = sandbox.run_batch().expect(0).json();
    assert_eq!((&again["predictions"], &again["already_done"]), (&0.into(), &5.into()));
    assert!(again["run_id"].is_null(), "{again}");
    sandbox.drop_photo(&photos.good[200].0, "photo-00002.jpg");
    let changed = sandbox.run_batch().expect(0).json();
    assert_eq!((&changed["predictions"], &changed["already_done"]), (&1.into(), &4.into()));
    let all = sandbox.run(&["run", "--json", "--reprocess"]).expect(0).json();
    assert_eq!((&all["predictions"], &all["already_done"]), (&5.into(), &0.into()));
    assert_eq!(sandbox.results().predictions["photo-00002.jpg"].len(), 3);
}

#[test]
fn a_run_of_another_folder_that_was_waiting_takes_nothing_from_what_was_done_before() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good[..3].iter().map(|(path, _)| path));
    sandbox.run_batch().expect(0);
    let other = sandbox.path().join("other");
    fs::create_dir(&other).unwrap();
    for (number, (path, _)) in photos.good[3..5].iter().enumerate() {
        fs::copy(path, other.join(format!("{number}.jpg"))).unwrap();
    }
    let mut ingest = sandbox.start(&["ingest", "--input", other.to_str().unwrap()]);
    eventually("the other folder is published", || (sandbox.published() == 5).then_some(()));
    ingest.signal("TERM");
    ingest.wait().expect(0);
    let report = sandbox.run_batch().expect(0).json();
    assert_eq!((&report["predictions"], &report["already_done"]), (&0.into(), &3.into()), "{report}");
    assert_eq!(report["finished_too"][0]["predictions"], 2, "{report}");
}

/// How many images the classifier has before it.
fn behind(log: &Embedded) -> i64 {
    let committed = log.committed("classifier").unwrap();
    let behind = |it: &Bounds| it.end.0 - committed.get(&it.at).map_or(0, |next| next.0);
    log.bounds(topics::IMAGES).unwrap().iter().map(behind).sum()
}

/// Publishes a photo again and again as other systems do, so that the classifier has never done them all. It ends at last.
fn publish_ahead(log: &Embedded, photo: &[u8], is_over: &AtomicBool) {
    let image = |number: usize| ImageEvent {
        event_id: format!("others-{number}"),
        source: "others".into(),
        name: format!("others-{number}.jpg"),
        bytes: Some(photo.to_vec()),
        sha256: sha256(photo),
        length: photo.len() as i64,
        seen_at: Micros::now(),
        ..ImageEvent::default()
    };
    let append =
        |number| Append { topic: topics::IMAGES.into(), value: image(number).encode(), ..Append::default() };
    let (mut producer, mut published) = (log.producer("others").unwrap(), 0);
    while published < 1500 && !is_over.load(Ordering::Relaxed) {
        if behind(log) < 100 {
            let appends = (published..published + 20).map(append).collect();
            producer.commit(&Transaction { appends, advance: None }).unwrap();
            published += 20;
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_run_ends_though_others_go_on_publishing() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    if sandbox.is_on_kafka() {
        // The others open the file.
        return;
    }
    sandbox.drop_photo(&photos.good[0].0, "first.jpg");
    sandbox.run_batch().expect(0);
    let log = Embedded::open(&sandbox.data().join("log.sqlite")).unwrap();
    let (photo, is_over) = (fs::read(&photos.good[1].0).unwrap(), AtomicBool::new(false));
    sandbox.drop_photo(&photos.good[2].0, "second.jpg");
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| publish_ahead(&log, &photo, &is_over));
        let run = || {
            eventually("the others are ahead", || (behind(&log) >= 100).then_some(()));
            let mut command = sandbox.command(&["run", "--json"]);
            // Fewer than they are ahead by.
            command.env("AUTORMA_CLASSIFIER_MAX_IN_FLIGHT", "10");
            sandbox.spawn(command).wait()
        };
        let ended = catch_unwind(AssertUnwindSafe(run));
        is_over.store(true, Ordering::Relaxed);
        ended
    });
    let ended = ended.unwrap().expect(0);
    assert!(behind(&log) > 0, "it has waited for all of them");
    assert!(!ended.errors.contains("outcomes are missing"), "{}", ended.errors);
    let report = ended.json();
    assert_eq!((&report["predictions"], &report["already_done"]), (&1.into(), &1.into()), "{report}");
}

/// Says in the log that a run was closed, of an image that isn't there.
fn close_lacking(sandbox: &Sandbox, run_id: &str, kind: RunKind, input: &str) {
    let log = Embedded::open(&sandbox.data().join("log.sqlite")).unwrap();
    let run = RunRecord::open(run_id, kind, input, Micros::now());
    let run = RunRecord { images: 1, ..run }.closed(Micros::now());
    let append = Append::keyed(topics::RUNS, run_id, run.encode());
    log.producer("others").unwrap().commit(&Transaction { appends: vec![append], advance: None }).unwrap();
}

/// However soon it is asked whether everything is done: the sink may not have heard of any run by then.
#[test]
fn a_closed_run_whose_image_the_log_has_not_is_told_and_not_waited_for() {
    let sandbox = Sandbox::new();
    if sandbox.is_on_kafka() {
        return;
    }
    sandbox.run_batch().expect(0);
    close_lacking(&sandbox, "monday", RunKind::Upload, "a test");
    let ended = sandbox.run_batch().expect(0);
    assert!(
        ended.errors.contains("outcomes are missing") && ended.errors.contains("monday"),
        "{}",
        ended.errors
    );
}

#[test]
fn an_earlier_run_of_the_folder_that_can_t_be_finished_is_told_by_each_report() {
    let sandbox = Sandbox::new();
    if sandbox.is_on_kafka() {
        return;
    }
    sandbox.run_batch().expect(0);
    let input = sandbox.input().canonicalize().unwrap();
    close_lacking(&sandbox, "20261124_220330", RunKind::Stream, input.to_str().unwrap());
    let report = sandbox.run_batch().expect(0).json();
    assert_eq!(report["unfinished"][0]["run_id"], "20261124_220330", "{report}");
    let told = sandbox.run(&["run"]).expect(0).output;
    assert!(told.contains("Run 20261124_220330 can't be finished"), "{told}");
}

#[test]
fn an_empty_folder_is_done_and_a_missing_one_an_error_that_says_what_to_do() {
    let sandbox = Sandbox::new();
    let report = sandbox.run_batch().expect(0).json();
    assert_eq!(report["discovered"], 0);
    fs::remove_dir(sandbox.input()).unwrap();
    let ended = sandbox.run_batch().expect(1);
    assert!(ended.errors.contains("--input"), "{}", ended.errors);
    assert_eq!(ended.output, "");
}

#[test]
fn a_run_says_where_it_serves() {
    let sandbox = Sandbox::new();
    let said = sandbox.run(&["run", "--http", "127.0.0.1:0"]).expect(0).errors;
    assert!(said.contains("serving /metrics") && said.contains("address=127.0.0.1:"), "{said}");
    assert!(!said.contains("address=127.0.0.1:0\n"), "that is no port: {said}");
}

#[test]
fn what_is_wrong_with_the_settings_is_said_at_once() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path().join("autorma.toml"), "[classifier]\nbatch_size = 0\nmodle = 3\n").unwrap();
    fs::write(sandbox.path().join(".env"), "BATCH_SIZE=0\nMLFLOW_TRACKING_URI=http://localhost:5000\n")
        .unwrap();
    let ended = sandbox.run(&["run", "--set", "ingest.settle=soon"]).expect(1);
    for said in ["classifier.batch_size", ".env", "classifier.modle", "ingest.settle", "--set"] {
        assert!(ended.errors.contains(said), "{said} is missing in\n{}", ended.errors);
    }
    let ended = sandbox.run(&["config", "--check", "--set", "model.shadow=next"]).expect(1);
    for said in ["classifier.modle", "model.shadow name aliases"] {
        assert!(ended.errors.contains(said), "{said} is missing in\n{}", ended.errors);
    }
    fs::remove_file(sandbox.path().join("autorma.toml")).unwrap();
    fs::write(sandbox.path().join(".env"), "BATCH_SIZE=7\n").unwrap();
    let config = sandbox.run(&["config", "--json"]).expect(0).json();
    let size = config.as_array().unwrap().iter().find(|it| it["key"] == "classifier.batch_size").unwrap();
    assert_eq!(size["value"], "7");
    assert!(size["origin"].as_str().unwrap().contains(".env"), "{size}");
    sandbox.run(&["config", "--check"]).expect(0);
}

#[test]
fn why_a_run_has_ended_is_json_where_the_log_is() {
    let sandbox = Sandbox::new();
    fs::remove_dir(sandbox.input()).unwrap();
    let said = sandbox.run(&["run", "--log-format", "json"]).expect(1).errors;
    let last = serde_json::from_str::<Value>(said.lines().last().unwrap());
    let last = last.unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(last["level"], "ERROR");
    assert!(last["message"].as_str().unwrap().contains("--input"), "{last}");
}

/// A file of the time zone database (RFC 9636) that says nine hours at all times.
fn nine_hours() -> Vec<u8> {
    // No transitions, no leap seconds, one kind of local time, four bytes of names.
    let counts = [0_u32, 0, 0, 0, 1, 4].map(u32::to_be_bytes).concat();
    let seconds = (9 * 3600_i32).to_be_bytes();
    let block = [b"TZif2".as_slice(), &[0; 15], &counts, &seconds, &[0, 0], b"JST\0"].concat();
    // The first block is for readers of the first version.
    [&block[..], &block, b"\nJST-9\n"].concat()
}

/// The zone's file is the test's own: not every machine has those of the system.
#[test]
fn a_time_zone_that_is_named_is_that_of_runs() {
    let sandbox = Sandbox::new();
    let zones = sandbox.path().join("zones");
    fs::create_dir_all(zones.join("Asia")).unwrap();
    fs::write(zones.join("Asia/Tokyo"), nine_hours()).unwrap();
    fs::write(sandbox.input().join("bad.jpg"), "no photo").unwrap();
    let mut command = sandbox.command(&["run", "--json"]);
    command.env("TZDIR", &zones).env("TZ", "Asia/Tokyo");
    let report = sandbox.spawn(command).wait().expect(2).json();
    let run = report["run_id"].as_str().unwrap();
    let results = sandbox.results();
    let opened = results.summaries[run]["opened_at"].as_str().unwrap();
    let hour = |text: &str| text.parse::<u32>().unwrap();
    // 20261124_020000 and 2026-11-23T17:00:00Z.
    assert_eq!(hour(&run[9..11]), (hour(&opened[11..13]) + 9) % 24, "{run}, {opened}");
}

/// None of the processes lives for a minute.
#[test]
fn short_runs_drop_what_retention_lets_go() {
    let sandbox = Sandbox::new();
    if sandbox.is_on_kafka() {
        // The brokers do it there.
        return;
    }
    let log = Embedded::open(&sandbox.data().join("log.sqlite")).unwrap();
    let retention = Retention::Age(Duration::from_millis(1));
    let topic = |name: &str| Topic { name: name.into(), partitions: 1, retention };
    log.create(&[topics::IMAGES, topics::PREDICTIONS, topics::DEAD_LETTERS].map(topic)).unwrap();
    fs::write(sandbox.input().join("bad.jpg"), "no photo").unwrap();
    sandbox.run_batch().expect(2);
    eventually("a later run has dropped the image", || {
        sandbox.run_batch().expect(0);
        (log.bounds(topics::IMAGES).unwrap()[0].start > NextOffset::START).then_some(())
    });
    assert_eq!(sandbox.results().counts(), (0, 1));
}

#[test]
fn folders_in_the_folder_are_read_when_asked_for() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.input().join("monday/late")).unwrap();
    sandbox.drop_photo(&photos.good[0].0, "a.jpg");
    sandbox.drop_photo(&photos.good[1].0, "monday/late/b.JPEG");
    assert_eq!(sandbox.run_batch().expect(0).json()["discovered"], 1);
    assert_eq!(sandbox.run(&["run", "--json", "--recursive"]).expect(0).json()["discovered"], 1);
    let names: BTreeSet<_> = sandbox.results().predictions.into_keys().collect();
    assert_eq!(names, ["a.jpg".to_owned(), "b.JPEG".to_owned()].into());
}

#[test]
fn no_other_failure_has_the_exit_status_of_dead_letters() {
    let sandbox = Sandbox::new();
    sandbox.run(&["run", "--no-such-flag"]).expect(1);
    sandbox.run(&["run", "--set", "nonsense"]).expect(1);
    sandbox.run(&["--help"]).expect(0);
    if !sandbox.is_on_kafka() {
        sandbox.run(&["runs"]).expect(1);
    }
    sandbox.run_batch().expect(0);
    sandbox.run(&["dead-letters", "--run", "none"]).expect(1);
    let outside = sandbox.run(&["dead-letters", "--run", "outside_20261123_153147"]).expect(1).errors;
    assert!(outside.contains("no event says that it is of this run"), "{outside}");
    // Two data folders, one output folder: they would overwrite each other's files.
    let mut daemon = sandbox.start(&["up"]);
    eventually("the daemon has its locks", || {
        (sandbox.status()["stages"].as_array()?.len() == 3).then_some(())
    });
    assert!(has_offset(&sandbox.status()["stages"][0]["since"]), "{}", sandbox.status());
    let ended = sandbox.run(&["run", "--data", "another"]).expect(1);
    assert!(ended.errors.contains("output folder"), "{}", ended.errors);
    daemon.signal("TERM");
    daemon.wait().expect(0);
}
