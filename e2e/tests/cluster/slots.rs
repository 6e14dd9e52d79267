//! Processes of one machine that know nothing of each other: each has a data folder of its own.

use autorma_broker::shared;
use autorma_e2e::{Daemon, Photos, Process, Sandbox, eventually};

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

#[test]
fn a_command_is_told_at_once_that_there_is_no_cluster() {
    let sandbox = Sandbox::bare_on_kafka("127.0.0.1:1");
    for arguments in [&["produce", "--inline", "photo.jpg"][..], &["topics", "check"], &["status"]] {
        let ended = sandbox.run(arguments).expect(1);
        assert!(ended.errors.contains("can't be reached"), "{}", ended.errors);
    }
}
