//! A cluster that says who may do what.

use autorma_e2e::{Daemon, Photos, Sandbox};

use crate::security::{command, secured};
use crate::tool;

const CLERK: &str = "clerk";
const PASSWORD: &str = "counter-4711";

/// What docs/kafka.md tells to grant, for this prefix and no other.
fn grant(prefix: &str) {
    let scram = format!("SCRAM-SHA-256=[password={PASSWORD}]");
    let user = ["--entity-type", "users", "--entity-name", CLERK, "--alter", "--add-config", &scram];
    tool(secured(), "kafka.admin.ConfigCommand", &user);
    let principal = format!("User:{CLERK}");
    let rights: [(&str, &str, &[&str]); 3] = [
        ("--topic", prefix, &["Read", "Write", "Create", "Describe", "DescribeConfigs"]),
        ("--group", prefix, &["Read", "Describe"]),
        ("--transactional-id", prefix, &["Write", "Describe"]),
    ];
    for (what, name, operations) in rights {
        let mut args = vec!["--add", "--allow-principal", &principal, what, name];
        args.extend(["--resource-pattern-type", "prefixed"]);
        args.extend(operations.iter().flat_map(|operation| ["--operation", operation]));
        tool(secured(), "org.apache.kafka.tools.AclCommand", &args);
    }
}

#[test]
fn the_rights_that_the_docs_list_are_enough() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::bare_on_kafka(&secured().secure_bootstrap());
    grant(&sandbox.prefix());
    let clerk = |arguments: &[&str]| {
        let mut command = command(&sandbox, arguments, CLERK);
        command.env("AUTORMA_LOG_KAFKA_PASSWORD", PASSWORD);
        command
    };
    let done = |arguments: &[&str]| sandbox.spawn(clerk(arguments)).wait().expect(0);
    done(&["topics", "create"]);
    done(&["topics", "check"]);
    let daemon = Daemon::of(&sandbox, clerk(&["up"])).ready();
    sandbox.drop_photo(&photos.good[0].0, "a.jpg");
    done(&["produce", "--inline", "--run", "monday", &photos.good[1].0.display().to_string()]);
    daemon.outcomes(2);
    done(&["status"]);
    daemon.end();
    done(&["replay", "--run", "monday"]);
    done(&["dead-letters", "retry"]);
    done(&["runs"]);
}
