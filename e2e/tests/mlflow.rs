//! The registry on a real MLflow server: the commands, classifiers that follow an alias there, and its outage.

#[path = "../../models/tests/registry/server.rs"]
mod server;

use std::fs;
use std::process::Command;

use autorma_e2e::{Daemon, Sandbox, eventually};
use autorma_models::handmade::{means, negatives, picture, write};
use serde_json::{Value, json};
use server::{Mlflow, PASSWORD};

/// The program with that server.
fn command(sandbox: &Sandbox, mlflow: &Mlflow, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    mlflow.is_told_to(&mut command);
    command
}

#[track_caller]
fn models(sandbox: &Sandbox, mlflow: &Mlflow, arguments: &[&str]) -> Value {
    let all: Vec<_> = ["models"].iter().chain(arguments).chain(&["--json"]).copied().collect();
    sandbox.spawn(command(sandbox, mlflow, &all)).wait().expect(0).json()
}

fn drop_picture(sandbox: &Sandbox, number: u8) {
    let path = sandbox.path().join(format!("picture-{number}"));
    fs::write(&path, picture([200, number, 20])).unwrap();
    sandbox.drop_photo(&path, format!("{number}.bmp"));
}

#[test]
fn the_commands_and_the_classifier_work_with_a_server_and_go_on_without_it() {
    let Some(mut mlflow) = Mlflow::start() else { return };
    let sandbox = Sandbox::new();
    for (number, onnx) in [means(), negatives()].iter().enumerate() {
        let folder = sandbox.path().join(format!("model-{number}"));
        write(&folder, "means", onnx).unwrap();
        let registered =
            models(&sandbox, &mlflow, &["register", folder.to_str().unwrap(), "--why", "a test"]);
        assert_eq!(registered["version"], number + 1);
    }
    models(&sandbox, &mlflow, &["alias", "means/2", "production"]);
    models(&sandbox, &mlflow, &["alias", "means/1", "production", "--why", "better", "--by", "Ada"]);
    let shown = models(&sandbox, &mlflow, &["show", "means@production"]);
    let last = shown["moves"]["production"][1].clone();
    assert_eq!((&last["version"], &last["by"], &last["why"]), (&1.into(), &"Ada".into(), &"better".into()));
    assert_eq!(models(&sandbox, &mlflow, &["list"]).as_array().unwrap().len(), 2);
    assert_eq!(models(&sandbox, &mlflow, &["verify"]).as_array().unwrap().len(), 2);
    assert_eq!(models(&sandbox, &mlflow, &["gc", "means", "--keep", "1"]), json!([]));
    let config = sandbox.spawn(command(&sandbox, &mlflow, &["config"])).wait().expect(0);
    assert!(!config.output.contains(PASSWORD) && config.output.contains(&mlflow.url()), "{}", config.output);

    let up = ["up", "--set", "classifier.model=means@production"];
    let daemon = Daemon::of(&sandbox, command(&sandbox, &mlflow, &up)).ready();
    drop_picture(&sandbox, 1);
    daemon.outcomes(1);
    // Somebody moves the alias who has never heard of autorma.
    mlflow.python("mlflow.MlflowClient().set_registered_model_alias('means', 'production', '2')", &[]);
    eventually("the version that is named serves", || {
        daemon.said().contains("another version serves").then_some(())
    });
    drop_picture(&sandbox, 2);
    daemon.outcomes(2);
    mlflow.kill();
    eventually("the outage is told", || {
        (daemon.metric("autorma_classifier_model_behind") == Some(1.0)).then_some(())
    });
    drop_picture(&sandbox, 3);
    daemon.outcomes(3);
    daemon.end();

    // Started while the server is away.
    let daemon = Daemon::of(&sandbox, command(&sandbox, &mlflow, &up)).ready();
    assert!(daemon.said().contains("the registry is away"), "{}", daemon.said());
    drop_picture(&sandbox, 4);
    daemon.outcomes(1);
    let listed = sandbox.spawn(command(&sandbox, &mlflow, &["models", "list"])).wait().expect(1);
    assert!(
        listed.errors.contains("doesn't answer") && !listed.errors.contains(PASSWORD),
        "{}",
        listed.errors
    );
    mlflow.restart();
    models(&sandbox, &mlflow, &["rollback", "means@production", "--why", "worse after all"]);
    eventually("the version that is named serves", || {
        daemon.said().contains("another version serves").then_some(())
    });
    drop_picture(&sandbox, 5);
    daemon.outcomes(2);
    daemon.end();
    let results = sandbox.results();
    let versions = ["1", "2", "3", "4", "5"]
        .map(|name| results.prediction(&format!("{name}.bmp"))["model"]["version"].clone());
    assert_eq!(versions, ["1", "2", "2", "2", "1"]);
}
