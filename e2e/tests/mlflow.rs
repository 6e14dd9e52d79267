//! The registry on a real MLflow server: the commands, classifiers that follow an alias there, and its outage.

#[path = "../../models/tests/registry/server.rs"]
mod server;

use autorma_e2e::{Daemon, Sandbox, drop_picture, eventually, models, register};
use serde_json::json;
use server::{Mlflow, PASSWORD};

#[test]
fn the_commands_and_the_classifier_work_with_a_server_and_go_on_without_it() {
    let Some(mut mlflow) = Mlflow::start() else { return };
    let sandbox = Sandbox::new().with_registry(mlflow.variables());
    register(&sandbox, &[1.0, 1.0]);
    models(&sandbox, &["alias", "means/2", "production"]);
    models(&sandbox, &["alias", "means/1", "production", "--why", "better", "--by", "Ada"]);
    let shown = models(&sandbox, &["show", "means@production"]);
    let last = shown["moves"]["production"][2].clone();
    assert_eq!((&last["version"], &last["by"], &last["why"]), (&1.into(), &"Ada".into(), &"better".into()));
    assert_eq!(models(&sandbox, &["list"]).as_array().unwrap().len(), 2);
    assert_eq!(models(&sandbox, &["verify"]).as_array().unwrap().len(), 2);
    assert_eq!(models(&sandbox, &["gc", "means", "--keep", "1"]), json!([]));
    let config = sandbox.run(&["config"]).expect(0);
    assert!(!config.output.contains(PASSWORD) && config.output.contains(&mlflow.url()), "{}", config.output);

    let up = || Daemon::up(&sandbox, &["classifier.model=means@production"]).ready();
    let daemon = up();
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
    let daemon = up();
    assert!(daemon.said().contains("the registry is away"), "{}", daemon.said());
    drop_picture(&sandbox, 4);
    daemon.outcomes(1);
    let listed = sandbox.run(&["models", "list"]).expect(1);
    assert!(
        listed.errors.contains("doesn't answer") && !listed.errors.contains(PASSWORD),
        "{}",
        listed.errors
    );
    mlflow.restart();
    models(&sandbox, &["rollback", "means@production", "--why", "worse after all"]);
    eventually("the version that is named serves", || {
        daemon.said().contains("another version serves").then_some(())
    });
    drop_picture(&sandbox, 5);
    daemon.outcomes(2);
    daemon.end();
    let results = sandbox.results();
    let versions = [1, 2, 3, 4, 5]
        .map(|number| results.prediction(&format!("{number:04}.bmp"))["model"]["version"].clone());
    assert_eq!(versions, ["1", "2", "2", "2", "1"]);
}
