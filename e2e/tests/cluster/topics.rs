//! `autorma topics`.

use autorma_broker::shared;
use autorma_e2e::Sandbox;

use crate::tool;

/// Gives a topic another setting.
fn alter(sandbox: &Sandbox, topic: &str, setting: &str) {
    let name = format!("{}{topic}", sandbox.prefix());
    let args = ["--alter", "--entity-type", "topics", "--entity-name", &name, "--add-config", setting];
    tool(shared(), "kafka.admin.ConfigCommand", &args);
}

#[test]
fn topics_are_made_once_and_checked() {
    let sandbox = Sandbox::bare_on_kafka(&shared().bootstrap());
    let missing = sandbox.run(&["topics", "check"]).expect(1);
    assert_eq!(missing.output.matches("it isn't there").count(), 5, "{}", missing.output);
    let made = sandbox.run(&["topics", "create", "--json"]).expect(0).json();
    let again = sandbox.run(&["topics", "create", "--json"]).expect(0).json();
    let checked = sandbox.run(&["topics", "check", "--json"]).expect(0).json();
    assert_eq!((&made, &made), (&again, &checked));
    let shape: Vec<_> =
        made.as_array().unwrap().iter().map(|it| (&it["partitions"], &it["cleanup"])).collect();
    let (many, memory) = ((&4.into(), &"delete".into()), (&1.into(), &"compact".into()));
    assert_eq!(shape, [many, many, many, memory, memory]);
}

#[test]
fn fewer_partitions_than_configured_are_a_note() {
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let more = ["topics", "check", "--set", "log.partitions=6"];
    let ended = sandbox.run(&more).expect(0);
    assert!(ended.output.contains("note: images: it has 4 partitions, not 6"), "{}", ended.output);
}

#[test]
fn photos_that_would_not_fit_are_a_note() {
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    alter(&sandbox, "images", "max.message.bytes=1048588");
    let ended = sandbox.run(&["topics", "check"]).expect(0);
    let note = "note: images: it takes records of up to 1048588 bytes";
    assert!(ended.output.contains(note), "{}", ended.output);
}

#[test]
fn outcomes_that_would_not_fit_are_a_problem() {
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    alter(&sandbox, "dead-letters", "max.message.bytes=5000");
    for command in [&["topics", "check"][..], &["classify"]] {
        let ended = sandbox.run(command).expect(1);
        let told = ended.output + &ended.errors;
        assert!(told.contains("dead-letters: it takes records of up to 5000 bytes"), "{told}");
    }
}

#[test]
fn a_policy_that_would_forget_is_a_problem() {
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let set = |topic: &str, policy: &str| alter(&sandbox, topic, &format!("cleanup.policy={policy}"));
    for policy in ["delete", "[compact,delete]"] {
        set("ingest-ledger", policy);
        let ended = sandbox.run(&["topics", "check"]).expect(1);
        let why = "ingest-ledger: cleanup.policy is";
        assert!(ended.output.contains(why) && ended.output.contains("set it to compact"), "{}", ended.output);
        // Topics that are there are left as they are, and reported.
        sandbox.run(&["topics", "create"]).expect(1);
    }
    set("ingest-ledger", "compact");
    set("images", "compact");
    let ended = sandbox.run(&["topics", "check"]).expect(1);
    assert!(ended.output.contains("images: cleanup.policy is compact"), "{}", ended.output);
    // Nobody works on it, either.
    for stage in ["run", "ingest", "classify", "sink"] {
        let ended = sandbox.run(&[stage]).expect(1);
        assert!(ended.errors.contains("images: cleanup.policy is compact"), "{stage}: {}", ended.errors);
    }
    set("images", "delete");
    sandbox.run(&["topics", "check"]).expect(0);
}
