//! A listener that asks who comes: TLS, and passwords.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use autorma_broker::{Cluster, Options, PASSWORD, STRANGER, STRANGER_PASSWORD, Security, USER};
use autorma_e2e::{Daemon, Photos, Sandbox, eventually};

/// One for the tests of this module: making certificates takes its time.
pub(crate) fn secured() -> &'static Cluster {
    static SECURED: OnceLock<Cluster> = OnceLock::new();
    let options = || Options { security: Security::SaslSsl, ..Options::default() };
    SECURED.get_or_init(|| Cluster::start(options()).unwrap())
}

/// The command at the secure listener, as this user, with no password yet.
pub(crate) fn command(sandbox: &Sandbox, arguments: &[&str], user: &str) -> Command {
    let mut command = sandbox.command(arguments);
    for setting in ["log.kafka.security=sasl_ssl", &format!("log.kafka.username={user}")] {
        command.args(["--set", setting]);
    }
    command.args(["--set", &format!("log.kafka.ca={}", secured().ca().display())]);
    command
}

fn as_user(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = command(sandbox, arguments, USER);
    command.env("AUTORMA_LOG_KAFKA_PASSWORD", PASSWORD);
    command
}

/// A sandbox at the secure listener, with its topics.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::bare_on_kafka(&secured().secure_bootstrap());
    sandbox.spawn(as_user(&sandbox, &["topics", "create"])).wait().expect(0);
    sandbox
}

#[test]
fn whoever_knows_the_password_comes_in() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = sandbox();
    sandbox.drop_photo(&photos.good[0].0, "a.jpg");
    let report = sandbox.spawn(as_user(&sandbox, &["run", "--json"])).wait().expect(0).json();
    assert_eq!(report["predictions"], 1);
    // From a file, by the other mechanism; editors end files with a newline.
    let file = sandbox.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    sandbox.drop_photo(&photos.good[1].0, "b.jpg");
    let mut plain = command(&sandbox, &["run", "--json"], USER);
    plain.args(["--set", "log.kafka.mechanism=PLAIN"]);
    plain.args(["--set", &format!("log.kafka.password_file={}", file.display())]);
    let report = sandbox.spawn(plain).wait().expect(0).json();
    assert_eq!((&report["predictions"], &report["already_done"]), (&1.into(), &1.into()));
}

#[test]
fn a_wrong_password_and_a_user_without_rights_are_told_soon() {
    let sandbox = sandbox();
    let begun = Instant::now();
    let start = |arguments: &[&str], user: &str, password: &str, mechanism: &str| {
        let mut command = command(&sandbox, arguments, user);
        command.env("AUTORMA_LOG_KAFKA_PASSWORD", password);
        command.args(["--set", &format!("log.kafka.mechanism={mechanism}")]);
        sandbox.spawn(command)
    };
    let (guess, scram, plain) = ("guessed-4711", "SCRAM-SHA-256", "PLAIN");
    let wrong = [
        start(&["up"], USER, guess, scram),
        start(&["status"], USER, guess, plain),
        start(&["topics", "check"], "nobody", PASSWORD, scram),
    ];
    for mut process in wrong {
        let ended = process.wait().expect(1);
        assert!(ended.errors.contains("refuses the credentials"), "{}", ended.errors);
        assert!(![guess, PASSWORD].iter().any(|word| ended.errors.contains(word)), "{}", ended.errors);
    }
    let commands: [(&[&str], _); 4] = [
        (&["up"], scram),
        (&["status"], plain),
        (&["topics", "check"], scram),
        (&["topics", "create"], plain),
    ];
    let strangers = commands.map(|(it, mechanism)| start(it, STRANGER, STRANGER_PASSWORD, mechanism));
    for mut process in strangers {
        let ended = process.wait().expect(1);
        assert!(ended.errors.contains("forbids"), "{}\n{}", ended.output, ended.errors);
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn no_certificate_that_nobody_vouches_for_is_trusted() {
    let sandbox = Sandbox::bare_on_kafka(&secured().secure_bootstrap());
    let mut trusting = sandbox.command(&["topics", "check", "--set", "log.kafka.security=sasl_ssl"]);
    trusting
        .args(["--set", &format!("log.kafka.username={USER}")])
        .env("AUTORMA_LOG_KAFKA_PASSWORD", PASSWORD);
    let ended = sandbox.spawn(trusting).wait().expect(1);
    assert!(ended.errors.contains("no TLS connection"), "{}", ended.errors);
}

#[test]
fn the_password_is_nowhere_to_be_seen() {
    let sandbox = sandbox();
    let shown = sandbox.spawn(as_user(&sandbox, &["config", "--json"])).wait().expect(0);
    assert!(shown.output.contains("(hidden)"), "{}", shown.output);
    assert!(!(shown.output + &shown.errors).contains(PASSWORD));
    // As much as can be said, of librdkafka too.
    let loud = ["up", "--log-level", "trace", "--set", "log.kafka.properties.debug=all"];
    let daemon = Daemon::of(&sandbox, as_user(&sandbox, &loud)).ready();
    let line = fs::read(format!("/proc/{}/cmdline", daemon.id())).unwrap();
    assert!(!String::from_utf8_lossy(&line).contains(PASSWORD));
    eventually("librdkafka has said who comes", || daemon.said().contains("SASL").then_some(()));
    let errors = daemon.errors.clone();
    daemon.end();
    let said = String::from_utf8_lossy(&fs::read(errors).unwrap()).into_owned();
    let told: Vec<_> = said.lines().filter(|line| line.contains(PASSWORD)).collect();
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn properties_that_results_depend_on_are_refused() {
    let sandbox = Sandbox::bare_on_kafka(&secured().secure_bootstrap());
    fs::write(
        sandbox.path().join("autorma.toml"),
        "[log.kafka.properties]\n\"isolation.level\" = \"read_uncommitted\"\n",
    )
    .unwrap();
    for arguments in [["config", "--check"].as_slice(), &["up"]] {
        let ended = sandbox.run(arguments).expect(1);
        let why = "what was not committed must not be read";
        assert!(ended.errors.contains("isolation.level") && ended.errors.contains(why), "{}", ended.errors);
    }
}
