//! Processes of one machine that know nothing of each other: each has a data folder of its own.

use std::fs;

use autorma_broker::shared;
use autorma_e2e::{Daemon, Photos, Process, Sandbox, eventually};
use autorma_schemas::{Event, RunRecord, RunState, topics};

use crate::outsider::Outsider;

#[test]
fn data_folders_of_one_machine_have_slots_of_their_own() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let daemon = Daemon::up(&sandbox, &[]).ready();
    let elsewhere = |arguments: &[&str], data: &str| elsewhere(&sandbox, arguments, data);
    let mut guest = elsewhere(&["classify", "--http", "off"], "guest");
    eventually("both classify", || {
        let status = sandbox.status();
        let members = status["members"].as_array()?.iter().filter(|it| it["stage"] == "classifier");
        (members.filter(|it| !it["partitions"].as_array().unwrap().is_empty()).count() == 2).then_some(())
    });
    let photo = photos.good[0].0.to_str().unwrap();
    let producers = ["one", "other"].map(|data| elsewhere(&["produce", "--inline", photo], data));
    for mut producer in producers {
        producer.wait().expect(0);
    }
    guest.signal("TERM");
    guest.wait().expect(0);
    daemon.end();
}

/// A process with a data folder of its own.
fn elsewhere(sandbox: &Sandbox, arguments: &[&str], data: &str) -> Process {
    let mut command = sandbox.command(arguments);
    command.env("AUTORMA_DATA", sandbox.path().join(data));
    sandbox.spawn(command)
}

/// A classifier that was told its slot, once it has partitions.
fn classifier(sandbox: &Sandbox, data: &str) -> Process {
    let arguments = ["classify", "--slot", "one", "--http", "off", "--log-level", "debug"];
    let process = elsewhere(sandbox, &arguments, data);
    eventually("it has partitions", || process.said().contains("partitions assigned").then_some(()));
    process
}

/// Waits until so many photos came and none waits for the classifier.
fn all_are_classified(sandbox: &Sandbox, photos: i64) {
    eventually("all are classified", || {
        let have_come = sandbox.published() == photos;
        (have_come && sandbox.lag()? == 0).then_some(())
    });
}

const FENCED: &str = "another process has taken over the slot";

/// As a broker's death may leave a member: the group knows its slot under another name, and nobody has that.
#[test]
fn a_classifier_whose_slot_was_taken_by_one_that_is_dead_takes_it_back() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let others = [sandbox.start(&["ingest"]), sandbox.start(&["sink"])];
    let first = classifier(&sandbox, "first");
    first.signal("STOP");
    classifier(&sandbox, "second").kill();
    first.signal("CONT");
    sandbox.drop_photos(photos.good[..3].iter().map(|(path, _)| path));
    all_are_classified(&sandbox, 3);
    assert!(first.said().contains(FENCED) && first.said().contains("beginning anew"), "{}", first.said());
    for mut process in others.into_iter().chain([first]) {
        process.signal("TERM");
        process.wait().expect(0);
    }
}

/// Two that were given one slot don't fence each other for ever: the earlier one gives way, and loses nothing.
#[test]
fn of_two_classifiers_with_one_slot_the_later_stays() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let others = [sandbox.start(&["ingest"]), sandbox.start(&["sink"])];
    let mut first = classifier(&sandbox, "first");
    let second = classifier(&sandbox, "second");
    sandbox.drop_photos(photos.good[..3].iter().map(|(path, _)| path));
    let ended = first.wait().expect(1);
    assert!(ended.errors.contains(FENCED), "{}", ended.errors);
    all_are_classified(&sandbox, 3);
    for mut process in others.into_iter().chain([second]) {
        process.signal("TERM");
        process.wait().expect(0);
    }
    sandbox.run_batch().expect(0);
    let results = sandbox.results();
    assert_eq!(results.counts(), (3, 0));
    let duplicates: u64 = results.summaries.values().map(|it| it["duplicates"].as_u64().unwrap()).sum();
    assert_eq!(duplicates, 0);
}

/// Neither knows of the other's locks: the later call goes on with the run, and the earlier one has lost it.
#[test]
fn of_two_calls_that_publish_into_one_run_the_later_has_it_whole() {
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let outsider = Outsider::of(&sandbox, shared());
    // Two to a transaction.
    let files: Vec<_> = (0..20_u8)
        .map(|number| {
            let file = sandbox.path().join(format!("scan-{number}.jpg"));
            fs::write(&file, vec![number; 5_000_000]).unwrap();
            file.display().to_string()
        })
        .collect();
    let arguments = ["produce", "--inline", "--run", "monday"].into_iter();
    let arguments: Vec<_> = arguments.chain(files.iter().map(String::as_str)).collect();
    let mut first = sandbox.command(&arguments);
    first.env("AUTORMA_DATA", sandbox.path().join("first"));
    // So that what it is told at last isn't that it took too long.
    first.env("AUTORMA_LOG_KAFKA_TRANSACTION_TIMEOUT", "5m");
    let mut first = sandbox.spawn(first);
    let newest = || {
        let records = outsider.read(topics::RUNS);
        records.last().map(|record| RunRecord::decode(&record.value).unwrap())
    };
    eventually("the first has published some", newest);
    first.signal("STOP");
    assert_eq!(newest().unwrap().state, RunState::Open, "it was too quick");
    elsewhere(&sandbox, &arguments, "second").wait().expect(0);
    first.signal("CONT");
    let ended = first.wait().expect(1);
    let told = "goes on with the run in place of this one: another process has taken over the slot";
    assert!(ended.errors.contains(told), "{}", ended.errors);
    sandbox.run_batch().expect(2);
    let runs = sandbox.run(&["runs", "--json"]).expect(0).json();
    let run = runs.as_array().unwrap().iter().find(|run| run["run_id"] == "monday").unwrap();
    assert_eq!((&run["state"], &run["dead_letters"]), (&"finished".into(), &20.into()), "{runs}");
}

#[test]
fn a_command_is_told_at_once_that_there_is_no_cluster() {
    let sandbox = Sandbox::bare_on_kafka("127.0.0.1:1");
    for arguments in [&["produce", "--inline", "photo.jpg"][..], &["topics", "check"], &["status"]] {
        let ended = sandbox.run(arguments).expect(1);
        assert!(ended.errors.contains("can't be reached"), "{}", ended.errors);
    }
}
