//! Classifiers that follow an alias of the registry.

#[path = "../../models/tests/registry/server.rs"]
mod server;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use autorma_e2e::{
    Daemon, Random, Sandbox, check_against_each_alone, drop_picture, eventually, model, models, register,
    seeds,
};
use autorma_models::handmade::{endless, means, nested, senseless};
use serde_json::json;
use server::Mlflow;

/// What MLflow itself says that production names.
fn named(mlflow: &Mlflow) -> String {
    let program = "print(mlflow.MlflowClient().get_model_version_by_alias('means', 'production').version)";
    mlflow.python(program, &[]).trim().to_owned()
}

#[test]
fn an_alias_that_moves_under_load_mixes_nothing_and_loses_nothing() {
    moves_under_load(&Sandbox::new(), 10, 1000, Duration::from_millis(15));
}

#[test]
fn an_alias_that_moves_on_a_server_under_load_mixes_nothing_and_loses_nothing() {
    let Some(mlflow) = Mlflow::start() else { return };
    // A move takes longer there.
    let sandbox = Sandbox::new().with_registry(mlflow.variables());
    moves_under_load(&sandbox, 4, 500, Duration::from_millis(60));
    assert_eq!(named(&mlflow), "1");
}

/// So many moves while pictures come, of which each version gets some whenever it serves.
fn moves_under_load(sandbox: &Sandbox, moves: usize, pictures: usize, pause: Duration) {
    const SOME: usize = 40;
    register(sandbox, &[1.0, 2.0]);
    let daemon = Daemon::up(sandbox, &["classifier.model=means@production"]).ready();
    let dropped = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Gone with this scope's end, in a panic too.
        let (going_on, is_going_on) = channel();
        let count = &dropped;
        scope.spawn(move || drop_while(sandbox, count, pictures, pause, &is_going_on));
        let some_more = || daemon.outcomes(dropped.load(Ordering::SeqCst) + SOME);
        some_more();
        for moved in 1..=moves {
            models(sandbox, &["alias", &format!("means/{}", moved % 2 + 1), "production"]);
            eventually("the version that is named serves", || {
                (daemon.said().matches("another version serves").count() == moved).then_some(())
            });
            some_more();
        }
        drop(going_on);
    });
    let dropped = dropped.into_inner();
    daemon.outcomes(dropped);
    assert_eq!(daemon.metric("autorma_classifier_model_behind"), Some(0.0));
    assert_eq!(daemon.metric("autorma_classifier_model_info{"), Some(1.0), "only what serves is told");
    let sha256 = models(sandbox, &["show", "means@production"])["sha256"].as_str().unwrap().to_owned();
    let (_, told) = daemon.get("/metrics").unwrap();
    let info = told.lines().find(|line| line.starts_with("autorma_classifier_model_info{")).unwrap();
    assert!(info.contains(&format!("sha256=\"{sha256}\"")), "{sha256} isn't in {info}");
    daemon.end();

    let by_version = check_against_each_alone(sandbox, dropped, 2);
    assert!(by_version.values().all(|count| *count > 50) && by_version.len() == 2, "{by_version:?}");
}

/// Drops at least so many pictures, one each `pause`, and then on, more slowly, until nobody says any more that it goes on.
fn drop_while(
    sandbox: &Sandbox,
    dropped: &AtomicUsize,
    least: usize,
    pause: Duration,
    is_going_on: &Receiver<()>,
) {
    const LONG: Duration = Duration::from_millis(100);
    for number in 1.. {
        drop_picture(sandbox, number - 1);
        dropped.store(number, Ordering::SeqCst);
        let pause = if number < least { pause } else { LONG };
        let is_over = is_going_on.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected);
        if is_over && number >= least {
            return;
        }
    }
}

#[test]
fn a_classifier_that_is_killed_while_the_alias_moves_loses_nothing() {
    for seed in seeds(1) {
        kills_while_the_alias_moves(&Sandbox::new(), &mut Random::new(seed));
    }
}

#[test]
fn a_classifier_that_is_killed_while_the_alias_moves_on_a_server_loses_nothing() {
    for seed in seeds(1) {
        let Some(mlflow) = Mlflow::start() else { return };
        let sandbox = Sandbox::new().with_registry(mlflow.variables());
        kills_while_the_alias_moves(&sandbox, &mut Random::new(seed));
        assert_eq!(named(&mlflow), "1");
    }
}

fn kills_while_the_alias_moves(sandbox: &Sandbox, random: &mut Random) {
    const PICTURES: usize = 350;
    register(sandbox, &[1.0, 2.0]);
    let daemon = |arguments: &[&str]| Daemon::of(sandbox, sandbox.command(arguments));
    let (ingest, sink) = (daemon(&["ingest"]), daemon(&["sink"]));
    let start = || sandbox.start(&["classify", "--model", "means@production"]);
    let mut classifier = start();
    for number in 0..PICTURES {
        drop_picture(sandbox, number);
        std::thread::sleep(Duration::from_millis(10));
        if number % 50 == 49 && number + 1 < PICTURES {
            // One that came after the last kill: by what the alias has named since then.
            sink.outcomes(number - 48);
            models(sandbox, &["alias", &format!("means/{}", (number / 50 + 1) % 2 + 1), "production"]);
            // Before it looks or while it loads; each third time when it serves.
            if number / 50 % 3 == 2 {
                eventually("the version that is named serves", || {
                    classifier.said().contains("another version serves").then_some(())
                });
            } else {
                std::thread::sleep(Duration::from_millis(random.within(0, 1500) as u64));
            }
            classifier.kill();
            classifier = start();
        }
    }
    eventually("all is classified and in files", || {
        let have_come = sandbox.published() >= PICTURES as i64;
        (have_come && sandbox.lag()? == 0).then_some(())
    });
    classifier.signal("TERM");
    classifier.wait().expect(0);
    ingest.end();
    sink.end();
    sandbox.run_batch();
    assert_eq!(check_against_each_alone(sandbox, PICTURES, 2).len(), 2, "both have served");
}

/// Registers a model that says what is no number: nobody can serve it, and an alias may name it all the same.
fn register_senseless(sandbox: &Sandbox) {
    let folder = model(sandbox, "senseless", &senseless(), "/temperature", json!(1.0));
    models(sandbox, &["register", folder.to_str().unwrap()]);
}

/// Changes a byte of a version's file.
fn spoil(sandbox: &Sandbox, version: usize) {
    let folder = sandbox.data().join(format!("registry/means/versions/{version}"));
    let mut files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|it| it == "onnx")).unwrap();
    let mut onnx = fs::read(&file).unwrap();
    onnx[20] ^= 1;
    fs::write(&file, onnx).unwrap();
}

#[test]
fn a_version_that_cannot_serve_leaves_the_former_one_serving() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 2.0, 3.0]);
    let other = model(&sandbox, "other", &means(), "/input/width", json!(16));
    models(&sandbox, &["register", other.to_str().unwrap()]);
    register_senseless(&sandbox);
    // No alias can name it any more.
    spoil(&sandbox, 2);
    let ended = sandbox.run(&["models", "alias", "means/2", "production"]).expect(1);
    assert!(ended.errors.contains("not the one of its manifest"), "{}", ended.errors);

    let daemon = Daemon::up(&sandbox, &["classifier.model=means@production"]).ready();
    for (number, (version, why)) in [("5", "not a number"), ("4", "another size")].iter().enumerate() {
        models(&sandbox, &["alias", &format!("means/{version}"), "production"]);
        eventually("it is refused", || {
            let refused =
                daemon.said().lines().any(|line| line.contains("can't serve") && line.contains(why));
            (refused && daemon.metric("autorma_classifier_model_behind") == Some(1.0)).then_some(())
        });
        drop_picture(&sandbox, number);
        daemon.outcomes(number + 1);
    }
    models(&sandbox, &["alias", "means/3", "production"]);
    eventually("a good one serves", || {
        (daemon.metric("autorma_classifier_model_behind") == Some(0.0)).then_some(())
    });
    drop_picture(&sandbox, 2);
    daemon.outcomes(3);
    let status =
        sandbox.run(&["status", "--json", "--set", "classifier.model=means@production"]).expect(0).json();
    assert_eq!(
        (&status["model"]["version"], &status["model"]["source"]),
        (&"3".into(), &"means@production".into())
    );
    assert_eq!(status["model"]["sha256"], models(&sandbox, &["show", "means/3"])["sha256"]);
    daemon.end();
    let results = sandbox.results();
    let versions =
        ["0000.bmp", "0001.bmp", "0002.bmp"].map(|name| results.prediction(name)["model"]["version"].clone());
    assert_eq!(versions, ["1", "1", "3"]);
}

#[test]
fn a_classifier_that_is_started_with_a_version_that_cannot_serve_goes_back_to_the_former_one() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 2.0, 3.0]);
    register_senseless(&sandbox);
    let up = || Daemon::up(&sandbox, &["classifier.model=means@production"]).ready();
    let is_behind = |daemon: &Daemon| daemon.metric("autorma_classifier_model_behind");
    models(&sandbox, &["alias", "means/4", "production"]);
    let daemon = up();
    assert_eq!(is_behind(&daemon), Some(1.0));
    drop_picture(&sandbox, 0);
    daemon.outcomes(1);
    // It goes on asking.
    models(&sandbox, &["alias", "means/2", "production"]);
    eventually("a good one serves", || (is_behind(&daemon) == Some(0.0)).then_some(()));
    drop_picture(&sandbox, 1);
    daemon.outcomes(2);
    let said = daemon.end();
    assert_eq!(said.matches("can't serve").count(), 1, "{said}");
    assert!(said.contains("not a number") && said.contains("roll back"), "{said}");

    // Spoilt after the alias has moved to it.
    models(&sandbox, &["alias", "means/3", "production"]);
    spoil(&sandbox, 3);
    let daemon = up();
    assert_eq!(is_behind(&daemon), Some(1.0));
    drop_picture(&sandbox, 2);
    daemon.outcomes(1);
    models(&sandbox, &["rollback", "means@production", "--why", "it is broken"]);
    eventually("nothing is behind", || (is_behind(&daemon) == Some(0.0)).then_some(()));
    assert!(!daemon.end().contains("another version serves"), "it serves already");

    // The former one is no better: what the alias names counts.
    spoil(&sandbox, 2);
    let ended = sandbox.run(&["classify", "--model", "means@production"]).expect(1);
    assert!(ended.errors.contains("versions/2/"), "{}", ended.errors);
    let results = sandbox.results();
    let versions =
        ["0000.bmp", "0001.bmp", "0002.bmp"].map(|name| results.prediction(name)["model"]["version"].clone());
    assert_eq!(versions, ["1", "2", "2"]);
}

/// What is tried for the shadow, at the start or later, keeps photos waiting for some seconds, and production's moves not
/// at all.
#[test]
fn a_shadow_that_would_compute_for_ever_holds_up_nothing() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 2.0]);
    let folder = model(&sandbox, "endless", &endless(), "/temperature", json!(1.0));
    models(&sandbox, &["register", folder.to_str().unwrap(), "--alias", "staging"]);
    let daemon = Daemon::up(&sandbox, &["classifier.model=means@production", "model.shadow=staging"]).ready();
    drop_picture(&sandbox, 0);
    daemon.outcomes(1);
    models(&sandbox, &["alias", "means/2", "production"]);
    eventually("the next version serves", || daemon.said().contains("another version serves").then_some(()));
    drop_picture(&sandbox, 1);
    daemon.outcomes(2);
    let said = daemon.end();
    assert!(said.contains("no shadow after ten seconds"), "{said}");
    let at = |words: &str| said.find(words).unwrap_or(usize::MAX);
    assert!(at("another version serves") < at("can't compute along"), "it has waited for the shadow: {said}");
    let results = sandbox.results();
    let versions = ["0000.bmp", "0001.bmp"].map(|name| results.prediction(name)["model"]["version"].clone());
    assert_eq!(versions, ["1", "2"]);
}

/// A daemon whose alias has just moved to a version of this file.
fn with_another_version(onnx: &[u8]) -> (Sandbox, Daemon) {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let folder = model(&sandbox, "another", onnx, "/temperature", json!(1.0));
    models(&sandbox, &["register", folder.to_str().unwrap()]);
    let daemon = Daemon::up(&sandbox, &["classifier.model=means@production"]).ready();
    models(&sandbox, &["alias", "means/2", "production"]);
    (sandbox, daemon)
}

#[test]
fn a_version_that_would_compute_for_ever_holds_up_neither_photos_nor_the_stop() {
    let (sandbox, daemon) = with_another_version(&endless());
    eventually("it is tried", || {
        (daemon.metric("autorma_classifier_model_behind") == Some(1.0)).then_some(())
    });
    drop_picture(&sandbox, 0);
    daemon.outcomes(1);
    let said = daemon.end();
    assert!(!said.contains("can't serve"), "the stop has waited until it was given up: {said}");
    assert_eq!(sandbox.results().prediction("0000.bmp")["model"]["version"], "1");
}

#[test]
fn a_version_that_takes_seconds_to_load_does_not_hold_up_the_stop() {
    let (_sandbox, daemon) = with_another_version(&nested(15, 2));
    let trial = eventually("it is tried", || child_of(daemon.id()));
    eventually("it has been tried, and is loaded", || parent_of(trial).is_none().then_some(()));
    let said = daemon.end();
    let is_over = said.contains("another version serves") || said.contains("can't serve");
    assert!(!is_over, "the stop has waited until it was loaded: {said}");
}

#[test]
fn a_trial_ends_with_the_classifier_that_is_killed() {
    let (_sandbox, daemon) = with_another_version(&endless());
    // It limits what it may compute once it has asked to end with its parent.
    let limits = |process: u32| fs::read_to_string(format!("/proc/{process}/limits")).ok();
    let has_begun = |&child: &u32| limits(child).is_some_and(|it| Some(it) != limits(daemon.id()));
    let trial = eventually("it is tried", || child_of(daemon.id()).filter(has_begun));
    daemon.kill();
    let begun = Instant::now();
    eventually("nobody computes on", || parent_of(trial).is_none().then_some(()));
    // Left alone, it ends after half a minute of computing.
    assert!(begun.elapsed() < Duration::from_secs(25), "it has ended by itself after {:?}", begun.elapsed());
}

fn child_of(process: u32) -> Option<u32> {
    let names = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    let all = names.filter_map(|name| name.to_str()?.parse().ok());
    all.into_iter().find(|child| parent_of(*child) == Some(process))
}

/// None for a process that isn't there any more, or is dead and only not asked for.
fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may have brackets of its own.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    (fields.next()? != "Z").then(|| fields.next()?.parse().ok())?
}
