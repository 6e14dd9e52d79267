//! `autorma up` and the stages as processes of their own.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use autorma_e2e::{Daemon, Photos, Sandbox, eventually};

#[test]
fn photos_are_classified_as_they_come_and_a_stop_finishes_the_run() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photo(&photos.good[0].0, "before.jpg");
    let daemon = Daemon::up(&sandbox, &[]).ready();
    sandbox.drop_photo(&photos.good[1].0, "after.jpg");
    sandbox.drop_photo(&photos.bad[0], "bad.jpg");
    eventually("three outcomes are durable, and counted by who has committed them", || {
        let counts = [
            "autorma_sink_outcomes_total",
            "autorma_classifier_predictions_total",
            "autorma_classifier_dead_letters_total",
        ];
        (counts.map(|name| daemon.metric(name)) == [Some(3.0), Some(2.0), Some(1.0)]).then_some(())
    });
    assert_eq!(daemon.metric("autorma_ingest_published_total"), Some(3.0));
    for name in [
        "autorma_lag_records{",
        "autorma_classifier_model_info{",
        "autorma_sink_event_to_durable_seconds_count",
    ] {
        eventually(name, || daemon.metric(name));
    }
    assert_eq!(daemon.status("/health/live"), Some(200));
    assert_eq!(daemon.status("/nothing"), Some(404));
    daemon.end();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    sandbox.results().expect(&names(&["before.jpg", "after.jpg"]), &names(&["bad.jpg"])).unwrap();
}

#[test]
fn a_slow_copy_is_read_once_and_whole() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    // Fifteen times as long, a copy may pause: longer than a busy machine makes it.
    let mut daemon = Daemon::up(&sandbox, &["ingest.settle=500ms"]).ready();
    let content = fs::read(&photos.good[7].0).unwrap();
    let mut file =
        OpenOptions::new().create(true).append(true).open(sandbox.input().join("slow.jpg")).unwrap();
    for chunk in content.chunks(content.len() / 4) {
        file.write_all(chunk).unwrap();
        file.sync_all().unwrap();
        // Longer than the settle time: only the closing says that it is complete.
        std::thread::sleep(Duration::from_millis(700));
    }
    let published = daemon.metric("autorma_ingest_published_total");
    assert_eq!(published, Some(0.0), "read while it was being written");
    drop(file);
    daemon.outcomes(1);
    daemon.signal("INT");
    daemon.wait().expect(0);
    sandbox.results().expect(&["slow.jpg".to_owned()].into(), &BTreeSet::new()).unwrap();
}

#[test]
fn a_second_daemon_on_the_same_data_is_told_who_holds_it() {
    let sandbox = Sandbox::new();
    let daemon = Daemon::up(&sandbox, &[]).ready();
    let ended = sandbox.run(&["up"]).expect(1);
    assert!(ended.errors.contains(&daemon.id().to_string()), "{}", ended.errors);
    assert!(ended.errors.contains("autorma up"), "{}", ended.errors);
    let ended = sandbox.run_batch().expect(1);
    assert!(ended.errors.contains(&daemon.id().to_string()), "{}", ended.errors);
    // The death of the holder frees it.
    daemon.kill();
    sandbox.run_batch().expect(0);
}

/// Whatever it published would be gone with it.
#[test]
fn a_daemon_whose_data_folder_is_taken_away_says_so_and_ends() {
    let sandbox = Sandbox::new();
    if sandbox.is_on_kafka() {
        return;
    }
    let mut daemon = Daemon::up(&sandbox, &["drain=1s"]).ready();
    fs::rename(sandbox.data(), sandbox.path().join("away")).unwrap();
    let told = daemon.wait().expect(1).errors;
    assert!(told.contains("removed or replaced"), "{told}");
}

/// Photos that take one worker some seconds.
const LOAD: usize = 50;

/// A daemon that has published those and has hardly begun to classify them.
fn loaded(sandbox: &Sandbox, photos: &Photos) -> Daemon {
    let daemon = Daemon::up(sandbox, &["drain=4m", "classifier.workers=1"]).ready();
    sandbox.drop_photos(photos.good.iter().take(LOAD).map(|(path, _)| path));
    eventually("all photos are published", || {
        (daemon.metric("autorma_ingest_published_total") == Some(LOAD as f64)).then_some(())
    });
    daemon
}

/// Their names.
fn load() -> BTreeSet<String> {
    (0..LOAD).map(|number| format!("photo-{number:05}.jpg")).collect()
}

#[test]
fn a_stop_under_load_drains_and_leaves_nothing_to_redo() {
    const LATE: usize = 10;
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    let mut daemon = loaded(&sandbox, &photos);
    // The watcher hasn't seen all of these before the stop.
    let mut names = load();
    for (number, (path, _)) in photos.good[LOAD..].iter().take(LATE).enumerate() {
        names.insert(format!("late-{number}.jpg"));
        sandbox.drop_photo(path, format!("late-{number}.jpg"));
    }
    let classified = daemon.metric("autorma_classifier_predictions_total");
    assert!(classified < Some(LOAD as f64), "choose more photos: all are classified before the stop");
    let begun = Instant::now();
    daemon.signal("TERM");
    let ended = daemon.wait().expect(0);
    assert!(begun.elapsed() < Duration::from_secs(240), "the stop took {:?}", begun.elapsed());
    assert!(!ended.errors.contains("ERROR"), "{}", ended.errors);
    // Before anybody else could have done it.
    let (count, _) = sandbox.results().counts();
    assert!(count >= LOAD, "only {count} are in files after the stop:\n{}", ended.errors);
    assert_eq!(sandbox.lag(), Some(0), "{}\n{}", sandbox.status(), ended.errors);
    // What the watcher hadn't seen yet is published by the next start; nothing that was is done again.
    let report = sandbox.run_batch().expect(0).json();
    assert_eq!(report["already_done"].as_u64().unwrap() as usize, count, "{}", ended.errors);
    assert_eq!(report["predictions"].as_u64().unwrap() as usize + count, LOAD + LATE);
    sandbox.results().expect(&names, &BTreeSet::new()).unwrap();
}

#[test]
fn a_second_signal_ends_it_at_once_and_nothing_is_lost() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    let mut daemon = loaded(&sandbox, &photos);
    daemon.signal("INT");
    // Two of the same that come together are one.
    eventually("it has heard the first", || daemon.said().contains("stopping: finishing").then_some(()));
    daemon.signal("INT");
    daemon.wait().expect(130);
    assert_eq!(sandbox.results().counts(), (0, 0), "it has waited for what was in hand");
    sandbox.run_batch().expect(0);
    sandbox.results().expect(&load(), &BTreeSet::new()).unwrap();
}

#[test]
fn stages_are_processes_of_their_own_and_classifiers_share_the_work() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::new();
    let commands: [&[&str]; 4] = [&["ingest"], &["classify"], &["classify"], &["sink"]];
    let start = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        if arguments != ["ingest"] {
            // Nobody tells the others where the photos are: the log does.
            command.env_remove("AUTORMA_INGEST_INPUT");
        }
        sandbox.spawn(command)
    };
    let mut crew: Vec<_> = commands.iter().map(|command| start(command)).collect();
    eventually("four roles are taken and the partitions shared", || {
        let stages = sandbox.has_log().then(|| sandbox.status()["stages"].clone())?;
        (stages.as_array()?.len() == 4).then_some(())
    });
    sandbox.drop_photos(photos.good.iter().take(80).map(|(path, _)| path));
    eventually("80 photos are classified and in files", || {
        let status = sandbox.status();
        let lag = status["lag"].as_array()?.iter();
        let done =
            lag.clone().filter(|it| it["stage"] == "classifier").map(|it| it["committed"].as_i64().unwrap());
        // On Kafka, offsets are of transactions' markers too.
        (sandbox.published() == 80
            && done.sum::<i64>() >= 80
            && lag.map(|it| it["lag"].as_i64().unwrap()).sum::<i64>() == 0)
            .then_some(())
    });
    for process in &mut crew {
        process.signal("TERM");
        process.wait().expect(0);
        if sandbox.results().counts().0 == 0 {
            eventually("the run is finished", || {
                let runs = sandbox.status()["runs"].clone();
                runs.as_array()?.iter().all(|run| run["state"] == "finished").then_some(())
            });
        }
    }
    assert_eq!(sandbox.results().counts(), (80, 0));
}
