//! The registry on a real MLflow server: the commands, classifiers that follow an alias there, and its outage.

#[path = "../../models/tests/registry/server.rs"]
mod server;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use autorma_e2e::{
    Daemon, Sandbox, alone, check_against_each_alone, drop_picture, eventually, labelled, models, register,
};
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
    // Somebody else's, who has never heard of autorma: nobody's broken version, unless it is named.
    mlflow.python(
        "
client = mlflow.MlflowClient()
client.create_registered_model('sales')
mlflow.set_experiment('sales')
with mlflow.start_run() as run:
    mlflow.log_text('weights', 'model/MLmodel')
client.create_model_version('sales', f'runs:/{run.info.run_id}/model', run.info.run_id)
client.set_registered_model_alias('sales', 'champion', '1')
client.create_registered_model('rents')
client.create_model_version('rents', 's3://bucket/model')
",
        &[],
    );
    let named = sandbox.run(&["models", "verify", "sales", "means", "--json"]).expect(1).json();
    let told: Vec<_> = named.as_array().unwrap().iter().map(|it| it["can_serve"].clone()).collect();
    assert_eq!(told, [false, true, true], "{named}");
    assert!(named[0]["problem"].as_str().unwrap().contains("manifest.json of sales/1"), "{named}");
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

/// What a folder can: arms that share the photos, and an ensemble that computes along, all of a server's versions.
#[test]
fn arms_shadows_and_ensembles_come_from_a_server_too() {
    const PICTURES: usize = 60;
    const AWAY: usize = 20;
    let Some(mut mlflow) = Mlflow::start() else { return };
    let sandbox = Sandbox::new().with_registry(mlflow.variables());
    register(&sandbox, &[1.0, 2.0]);
    fs::write(sandbox.path().join("recipe.toml"), "[targets]\nwrong = 0.2\n").unwrap();
    let photos = labelled(&sandbox);
    let make = ["ensemble", "means/1", "means/2", "--weights", "3,1", "--data", &photos, "--output", "both"];
    models(&sandbox, &[&make[..], &["--recipe", "recipe.toml"]].concat());
    let ensemble = models(&sandbox, &["register", "both", "--alias", "next"]);
    assert_eq!(ensemble["version"], 3);
    models(&sandbox, &["verify", "means/3"]);
    models(&sandbox, &["alias", "means/2", "staging"]);

    let settings = [
        "classifier.model=means@production",
        "model.split.production=50",
        "model.split.staging=50",
        "model.shadow=next",
    ];
    let up = || Daemon::up(&sandbox, &settings).ready();
    let computes_along = |daemon: &Daemon| {
        eventually("the shadow computes along", || {
            daemon.said().contains("a version computes along").then_some(())
        });
    };
    let daemon = up();
    computes_along(&daemon);
    (0..PICTURES - AWAY).for_each(|number| drop_picture(&sandbox, number));
    daemon.outcomes(PICTURES - AWAY);
    daemon.end();

    // Both arms start from what was fetched; the shadow waits for the server.
    mlflow.kill();
    let daemon = up();
    (PICTURES - AWAY..PICTURES).for_each(|number| drop_picture(&sandbox, number));
    daemon.outcomes(AWAY);
    eventually("the shadow's outage is told", || {
        (daemon.metric("autorma_classifier_shadow_behind") == Some(1.0)).then_some(())
    });
    mlflow.restart();
    computes_along(&daemon);
    daemon.end();

    let by_version = check_against_each_alone(&sandbox, PICTURES, 2);
    let beside = alone(&sandbox, 3, PICTURES, drop_picture);
    let mut compared = 0;
    for (name, published) in sandbox.tail(PICTURES) {
        let arm = if published["model"]["version"] == "1" { "production" } else { "staging" };
        assert_eq!(published["arm"], arm, "{name}");
        if let Some(shadow) = published["shadow"].as_object() {
            compared += 1;
            for field in ["predicted_class", "confidence", "decision", "model"] {
                assert_eq!(shadow[field], beside.prediction(&name)[field], "{name}: {field}");
            }
        }
    }
    assert_eq!(compared, PICTURES - AWAY);
    let live = models(&sandbox, &["compare-live"]);
    let told: Vec<_> = live["arms"].as_array().unwrap().iter().map(|it| it["photos"].clone()).collect();
    assert_eq!(told, [json!(by_version["1"]), json!(by_version["2"])]);
}

/// How long the question of a server that is silent takes to run out of time.
const QUESTION: Duration = Duration::from_secs(10);

/// Neither a stop waits until a question of a server that is silent has run out of time, nor a stage that has failed, which
/// may begin anew then.
#[test]
fn a_server_that_falls_silent_holds_up_neither_a_stop_nor_a_failure() {
    let Some(mut mlflow) = Mlflow::start() else { return };
    let sandbox = || Sandbox::new().with_registry(mlflow.variables());
    let (stopped, failed) = (sandbox(), sandbox());
    register(&stopped, &[1.0]);
    let model = "classifier.model=means@production";
    let stops = Daemon::up(&stopped, &[model]).ready();
    let settings = [model, "classifier.dead_window=5", "classifier.dead_share=0.1"];
    let mut fails = Daemon::up(&failed, &settings).ready();
    // Only the other one asks, until it has ended.
    fails.signal("STOP");
    let silent = fallen_silent(&mut mlflow);

    let (_open, asked) = question(&silent);
    let said = stops.end();
    assert!(asked.elapsed() < QUESTION, "the stop has waited: {said}");

    fails.signal("CONT");
    let (_open, asked) = question(&silent);
    (0..10).for_each(|number| fs::write(failed.input().join(format!("{number}.jpg")), "no picture").unwrap());
    eventually("it has ended", || (!fails.is_running()).then_some(()));
    let said = fails.said();
    assert!(asked.elapsed() < QUESTION, "the end has waited: {said}");
    assert!(said.contains("classifier.dead_share"), "{said}");
}

/// Something that listens in the server's place and never answers.
fn fallen_silent(mlflow: &mut Mlflow) -> TcpListener {
    mlflow.kill();
    // Once the last of its processes is gone.
    let address = mlflow.url().replace("http://", "");
    let silent = eventually("its port is free", || TcpListener::bind(&address).ok());
    silent.set_nonblocking(true).unwrap();
    silent
}

/// The next question of a classifier, which is open as long as this is, and when it came.
fn question(silent: &TcpListener) -> (TcpStream, Instant) {
    let (open, _) = eventually("a classifier asks", || silent.accept().ok());
    (open, Instant::now())
}
