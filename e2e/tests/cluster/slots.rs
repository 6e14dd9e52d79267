//! Processes of one machine that know nothing of each other: each has a data folder of its own.

use autorma_broker::shared;
use autorma_e2e::{Daemon, Photos, Sandbox, eventually};

#[test]
fn data_folders_of_one_machine_have_slots_of_their_own() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let daemon = Daemon::up(&sandbox, &[]).ready();
    let elsewhere = |arguments: &[&str], data: &str| {
        let mut command = sandbox.command(arguments);
        command.env("AUTORMA_DATA", sandbox.path().join(data));
        sandbox.spawn(command)
    };
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

#[test]
fn a_command_is_told_at_once_that_there_is_no_cluster() {
    let sandbox = Sandbox::bare_on_kafka("127.0.0.1:1");
    for arguments in [&["produce", "--inline", "photo.jpg"][..], &["topics", "check"], &["status"]] {
        let ended = sandbox.run(arguments).expect(1);
        assert!(ended.errors.contains("can't be reached"), "{}", ended.errors);
    }
}
