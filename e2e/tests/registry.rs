//! The registry: its commands, and classifiers that follow an alias.

#[path = "../../models/tests/registry/server.rs"]
mod server;

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use autorma_e2e::{
    Daemon, Random, Sandbox, check_against_each_alone, drop_picture, eventually, known, labelled, model,
    models, register,
};
use autorma_models::MANIFEST;
use autorma_models::handmade::{OUTSIDE, endless, fussy, hostile, means, write};
use serde_json::{Value, json};
use server::Mlflow;

#[test]
fn the_first_version_of_a_machine_makes_the_folders_above_it() {
    let sandbox = Sandbox::new();
    let folder = model(&sandbox, "first", &means(), "/temperature", json!(1.0));
    let mut command =
        sandbox.command(&["models", "register", folder.to_str().unwrap(), "--alias", "production"]);
    command.env("AUTORMA_DATA", "not-there-yet/data");
    sandbox.spawn(command).wait().expect(0);
    assert!(sandbox.path().join("not-there-yet/data/registry/means/versions/1").is_dir());
}

#[test]
fn versions_stay_aliases_move_and_all_of_it_is_told() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["models", "list"]).expect(0).output.contains("No versions yet"));
    register(&sandbox, &[1.0, 2.0, 3.0]);
    let again = sandbox.path().join("model-1");
    let again = models(&sandbox, &["register", again.to_str().unwrap(), "--alias", "staging"]);
    assert_eq!((&again["version"], &again["alias"]), (&2.into(), &"staging".into()), "it is there");

    let moved = models(&sandbox, &["alias", "means@staging", "production", "--why", "better", "--by", "Ada"]);
    assert_eq!(moved, json!({"model": "means", "alias": "production", "version": 2, "former": 1}));
    let back = models(&sandbox, &["rollback", "means@production", "--why", "worse after all"]);
    assert_eq!(back, json!({"model": "means", "alias": "production", "version": 1, "former": 2}));
    let shown = models(&sandbox, &["show", "means@production"]);
    assert_eq!((&shown["version"], &shown["aliases"]), (&1.into(), &json!(["production"])));
    let moves = shown["moves"]["production"].as_array().unwrap();
    let told = |field: &str| moves.iter().map(|it| it[field].clone()).collect::<Vec<_>>();
    assert_eq!(told("version"), [1, 2, 1]);
    assert_eq!((&told("by")[1], &told("why")[1]), (&"Ada".into(), &"better".into()));

    let differences = models(&sandbox, &["diff", "means/1", "means/3"]);
    let names: Vec<_> = differences.as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["temperature", "version"]);
    assert_eq!(
        models(&sandbox, &["gc", "means", "--keep", "1"]),
        json!([]),
        "aliases may need 1 and 2, 3 is the newest"
    );
    assert_eq!(models(&sandbox, &["verify"]).as_array().unwrap().len(), 3);

    // Every file of a version is checked, and nobody else pays for one that is broken.
    let broken = sandbox.data().join("registry/means/versions/3");
    let manifest = fs::read(broken.join(MANIFEST)).unwrap();
    fs::write(broken.join(MANIFEST), &manifest[..99]).unwrap();
    let verified = sandbox.run(&["models", "verify", "--json"]).expect(1).json();
    let problems: Vec<_> = verified.as_array().unwrap().iter().map(|it| it["problem"].is_null()).collect();
    assert_eq!(problems, [true, true, false]);
    let listed = models(&sandbox, &["list"]);
    assert!(listed[2]["problem"].as_str().unwrap().contains("manifest"), "{listed}");

    for (arguments, expected) in [
        (&["show", "means/9"][..], "there is no version 9 of the model means"),
        (&["alias", "means/1", "latest"], "reserved"),
        (&["alias", "means/1", "../x"], "can't be a name"),
        (&["gc", "nothing", "--keep", "1"], "there is no model nothing"),
        (&["rollback", "means/1"], "only an alias can go back"),
        (&["rollback", "means@staging"], "no other version before"),
        (&["rollback", "nothing@staging"], "the model nothing has no alias staging"),
        (&["register", "nowhere"], "nowhere"),
    ] {
        let arguments: Vec<_> = ["models"].iter().chain(arguments).copied().collect();
        let ended = sandbox.run(&arguments).expect(1);
        assert!(ended.errors.contains(expected), "{arguments:?}: {}", ended.errors);
    }
}

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
    kills_while_the_alias_moves(&Sandbox::new());
}

#[test]
fn a_classifier_that_is_killed_while_the_alias_moves_on_a_server_loses_nothing() {
    let Some(mlflow) = Mlflow::start() else { return };
    kills_while_the_alias_moves(&Sandbox::new().with_registry(mlflow.variables()));
    assert_eq!(named(&mlflow), "1");
}

fn kills_while_the_alias_moves(sandbox: &Sandbox) {
    const PICTURES: usize = 350;
    register(sandbox, &[1.0, 2.0]);
    let daemon = |arguments: &[&str]| Daemon::of(sandbox, sandbox.command(arguments));
    let (ingest, sink) = (daemon(&["ingest"]), daemon(&["sink"]));
    let mut random = Random::new(5);
    let start = || sandbox.start(&["classify", "--model", "means@production"]);
    let mut classifier = start();
    for number in 0..PICTURES {
        drop_picture(sandbox, number);
        std::thread::sleep(Duration::from_millis(10));
        if number % 50 == 49 && number + 1 < PICTURES {
            // One that came after the last kill: by what the alias has named since then.
            sink.outcomes(number - 48);
            models(sandbox, &["alias", &format!("means/{}", (number / 50 + 1) % 2 + 1), "production"]);
            // Before it looks, while it loads, or when it serves.
            std::thread::sleep(Duration::from_millis(random.within(0, 1500) as u64));
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

#[test]
fn a_hostile_model_is_refused_and_crashes_nothing() {
    let sandbox = Sandbox::new();
    // In the folder where the program runs, too.
    let outside = [0; 4 * OUTSIDE as usize];
    fs::write(sandbox.path().join("weights.bin"), outside).unwrap();
    let hostile = hostile();
    register(&sandbox, &[1.0]);
    for (number, (_, onnx)) in hostile.iter().enumerate() {
        let folder = sandbox.path().join(format!("hostile-{number}"));
        write(&folder, "means", onnx).unwrap();
        fs::write(folder.join("weights.bin"), outside).unwrap();
        models(&sandbox, &["register", folder.to_str().unwrap()]);
    }
    let verified = sandbox.run(&["models", "verify", "--json"]).expect(1).json();
    let mut verified = verified.as_array().unwrap().clone();
    let good = verified.remove(0);
    assert!(good["problem"].is_null(), "one that isn't hostile is loaded: {good}");
    for ((what, _), verified) in hostile.iter().zip(&verified) {
        assert!(verified["problem"].is_string(), "{what} is loaded: {verified}");
        assert!(!verified.to_string().contains("five minutes"), "nobody has listened to {what}");
    }
    assert_eq!(verified.len(), hostile.len());
    // Who asks about photos tries it first, too.
    let greedy = hostile.iter().position(|(what, _)| *what == "more memory than there is").unwrap();
    let reference = format!("means/{}", greedy + 2);
    let ended = sandbox.run(&["evaluate", "--model", &reference, "--data", &known(&sandbox)]).expect(1);
    assert!(ended.errors.contains("refuses the model"), "{}", ended.errors);
    // What isn't even registered: a path out of the folder, and a claim that the file doesn't keep.
    for (folder, pointer, value, expected) in [
        ("path", "/model/file", json!("../model-0/means.onnx"), "a name in the manifest's folder"),
        ("claim", "/model/bytes", json!(1_000_000_000_u64), "not the one of its manifest"),
        ("flood", "/model/bytes", json!(10_000_000_000_u64), "2 GiB together"),
    ] {
        let folder = model(&sandbox, folder, &means(), pointer, value);
        let ended = sandbox.run(&["models", "register", folder.to_str().unwrap()]).expect(1);
        assert!(ended.errors.contains(expected), "{}", ended.errors);
    }
}

/// Registers a model that says what is no number: nobody can serve it, and an alias may name it all the same.
fn register_senseless(sandbox: &Sandbox) {
    let (_, onnx) = hostile().into_iter().find(|(what, _)| *what == "what is no number").unwrap();
    let folder = model(sandbox, "senseless", &onnx, "/temperature", json!(1.0));
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

/// Who starts autorma may have limited what its processes may take; nobody may raise that.
#[test]
fn a_version_is_tried_within_limits_that_are_there_already() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let verify = sandbox.command(&["models", "verify", "means/1"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -c 0 && ulimit -t 20 && exec \"$0\" \"$@\""]);
    limited.arg(verify.get_program()).args(verify.get_args()).current_dir(sandbox.path());
    for (name, value) in verify.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    sandbox.spawn(limited).wait().expect(0);
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

/// A daemon whose alias has just moved to a version that computes for ever.
fn with_an_endless_version() -> (Sandbox, Daemon) {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let folder = model(&sandbox, "endless", &endless(), "/temperature", json!(1.0));
    models(&sandbox, &["register", folder.to_str().unwrap()]);
    let daemon = Daemon::up(&sandbox, &["classifier.model=means@production"]).ready();
    models(&sandbox, &["alias", "means/2", "production"]);
    (sandbox, daemon)
}

#[test]
fn a_version_that_would_compute_for_ever_holds_up_neither_photos_nor_the_stop() {
    let (sandbox, daemon) = with_an_endless_version();
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
fn a_model_is_judged_on_photos_that_are_known() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[0.01, 1000.0]);
    let photos = labelled(&sandbox);
    let evaluate = ["evaluate", "--model", "means@production", "--data", &photos, "--json"];
    let ended = sandbox.run(&evaluate).expect(0);
    assert_eq!(ended.output.matches("\n  \"classes\"").count(), 1, "{}", ended.output);
    let report = ended.json();
    assert_eq!((&report["accuracy"]["share"], &report["accuracy"]["of"]), (&1.0.into(), &6.into()));
    assert_eq!(report["confusion"], json!([[2, 0, 0], [0, 2, 0], [0, 0, 2]]));
    assert_eq!(
        report["strangers"]["decisions"]["accept"]["share"], 1.0,
        "the model doesn't know what is unknown"
    );
    assert_eq!(report["model"]["version"], "1");
    // A photo that can't be decoded is told, and in no figure.
    fs::write(sandbox.path().join("labelled/reds/broken.jpg"), "no picture").unwrap();
    let against: Vec<_> = evaluate.into_iter().chain(["--against", "means/2"]).collect();
    let report = sandbox.run(&against).expect(2).json();
    assert_eq!(report["accuracy"]["of"], 6);
    assert!(report["failed"][0][0].as_str().unwrap().ends_with("broken.jpg"), "{}", report["failed"]);
    let comparison = &report["against"]["comparison"];
    // Two of the 64 ways in which six photos can fall are as uneven.
    assert_eq!(comparison["only_first"], 6);
    assert!((comparison["p"].as_f64().unwrap() - 2.0 / 64.0).abs() < 1e-9, "{comparison}");
    assert_eq!(report["against"]["figures"]["accuracy"]["share"], 0.0);
    assert!(report["against"]["speed"].as_f64().unwrap() > 0.0, "{}", report["against"]);
    let ended = sandbox
        .run(&["evaluate", "--model", "means/1", "--data", sandbox.path().to_str().unwrap()])
        .expect(1);
    assert!(ended.errors.contains("is no class of the model"), "{}", ended.errors);
}

#[test]
fn what_is_said_of_models_is_a_page_too() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[0.01, 1000.0]);
    let photos = labelled(&sandbox);
    fs::write(sandbox.path().join("labelled/reds/<i>broken.jpg"), "no picture").unwrap();
    let evaluate = |file: &str, status| {
        let models = ["--model", "means/1", "--against", "means/2"];
        let all = [&["evaluate", "--data", &photos, "--report", file, "--json"], &models[..]].concat();
        sandbox.run(&all).expect(status)
    };
    let report = evaluate("page.html", 2).json();
    let page = fs::read_to_string(sandbox.path().join("page.html")).unwrap();
    for model in [&report["model"], &report["against"]["model"]] {
        assert!(page.contains(model["sha256"].as_str().unwrap()), "{model}");
    }
    let bins = |figures: &Value| {
        let bins = figures["reliability"].as_array().unwrap();
        bins.iter().filter(|bin| bin["photos"] != 0).count()
    };
    let expected = bins(&report) + bins(&report["against"]["figures"]);
    assert_eq!(page.matches("class=\"bar\"").count(), expected, "{page}");
    assert!(
        page.contains("only the model 6, only the other 0") && page.contains("&lt;i&gt;broken.jpg"),
        "{page}"
    );
    assert!(!page.contains("<i>") && !page.contains("http"), "{page}");
    // Said before the photos are looked at.
    for (file, expected) in
        [("none/page.html", "No such file"), ("labelled", "--report takes the name of a file")]
    {
        let ended = evaluate(file, 1);
        assert!(ended.errors.contains(file) && ended.errors.contains(expected), "{}", ended.errors);
        assert!(ended.output.is_empty(), "{}", ended.output);
    }
}

/// What a version doesn't hold, of what the gate asks.
fn failed(promotion: &Value) -> Vec<&str> {
    let checks = promotion["checks"].as_array().unwrap().iter();
    checks.filter(|it| it["passed"] == false).map(|it| it["what"].as_str().unwrap()).collect()
}

#[test]
fn only_who_passes_the_gate_is_promoted_or_who_is_forced_through_it() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[0.01, 1000.0, 0.02]);
    let photos = labelled(&sandbox);
    let promote = |arguments: &[&str], code| {
        let all: Vec<_> =
            ["models", "promote"].iter().chain(arguments).chain(&["--data", &photos]).copied().collect();
        sandbox.run(&all).expect(code)
    };
    let passed = promote(&["means/3", "--json"], 0).json();
    assert_eq!((&passed["promoted"], &passed["former"]), (&true.into(), &1.into()));
    let refused = promote(&["means/2", "--speed", "0", "--json"], 1).json();
    let decided = ["photos of the classes accepted", "accuracy of the accepted"];
    assert_eq!(failed(&refused), [&["expected calibration error", "accuracy"], &decided[..]].concat());
    let fails = sandbox.path().join("fails");
    write(&fails, "means", &fussy()).unwrap();
    models(&sandbox, &["register", fails.to_str().unwrap()]);
    let other = model(&sandbox, "other", &means(), "/classes", json!(["blues", "greens", "reds"]));
    models(&sandbox, &["register", other.to_str().unwrap()]);
    for (version, expected) in [
        (
            "means/4",
            [&["photos of the classes judged", "photos without a verdict", "accuracy"], &decided[..]]
                .concat(),
        ),
        ("means/5", vec!["classes it knows", "expected calibration error", "accuracy", "unknowns found"]),
    ] {
        let refused = promote(&[version, "--speed", "0", "--json"], 1).json();
        assert_eq!(failed(&refused), expected);
    }
    let slow = promote(&["means/1", "--speed", "1000"], 1).output;
    assert!(slow.contains("at least 1000.00 times"), "{slow}");
    let told = promote(&["means/2", "--speed", "0"], 1).output;
    assert!(told.contains("NO") && told.contains("stays as it was"), "{told}");
    assert_eq!(models(&sandbox, &["show", "means@production"])["version"], 3);

    let ended = promote(&["means/2", "--force"], 1);
    assert!(ended.errors.contains("--why"), "{}", ended.errors);
    promote(&["means/2", "--force", "--why", "an experiment"], 0);
    let shown = models(&sandbox, &["show", "means@production"]);
    assert_eq!(shown["version"], 2);
    let moves = shown["moves"]["production"].as_array().unwrap();
    assert_eq!(moves.last().unwrap()["why"], "forced: an experiment");
    // It can't tell what is none of the classes.
    let first = promote(&["means/1", "--to", "staging", "--json"], 1).json();
    assert_eq!(failed(&first), ["unknowns found"]);
    let known = known(&sandbox);
    let first = ["models", "promote", "means/1", "--to", "staging", "--data", &known, "--json"];
    let first = sandbox.run(&first).expect(0).json();
    assert_eq!((&first["former"], &first["alias"]), (&Value::Null, &"staging".into()));
}

#[test]
fn the_first_version_that_serves_must_be_of_use() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let photos = known(&sandbox);
    let mistaken = model(&sandbox, "mistaken", &means(), "/classes", json!(["blues", "greens", "reds"]));
    models(&sandbox, &["register", mistaken.to_str().unwrap()]);
    let promote = |arguments: &[&str]| {
        let all = ["models", "promote", "--to", "first", "--data", &photos, "--calibration-error", "1"];
        sandbox.run(&[&all[..], arguments, &["--json"]].concat()).json()
    };
    assert_eq!(failed(&promote(&["means/2"])), ["accuracy"]);
    fs::write(sandbox.path().join("known/reds/broken.jpg"), "no picture").unwrap();
    let broken = promote(&["means/1"]);
    assert_eq!(failed(&broken), ["photos without a verdict"]);
    assert_eq!(sandbox.run(&["models", "show", "means@first"]).code, Some(1), "nothing was promoted");
    fs::remove_file(sandbox.path().join("known/reds/broken.jpg")).unwrap();
    assert_eq!(promote(&["means/2", "--accuracy", "0"])["promoted"], true);
}

#[test]
fn what_serves_is_not_replaced_unseen_where_it_can_t_be_compared_with() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 1.0, 2.0]);
    let photos = known(&sandbox);
    let promote = |arguments: &[&str], code| {
        let all = ["models", "promote", "--data", &photos, "--calibration-error", "1", "--speed", "0"];
        sandbox.run(&[&all, arguments].concat()).expect(code)
    };
    let (asked, version) = ("what serves can be asked", sandbox.data().join("registry/means/versions/1"));
    // Whatever is wrong with it: a model's file, and then the manifest, too.
    for (name, why, is_known) in
        [(".onnx", "aren't those that were registered", true), (MANIFEST, "its manifest is broken", false)]
    {
        let mut files = fs::read_dir(&version).unwrap().map(|entry| entry.unwrap().path());
        let file = files.find(|path| path.to_str().unwrap().ends_with(name)).unwrap();
        let mut content = fs::read(&file).unwrap();
        content[0] ^= 1;
        fs::write(&file, content).unwrap();
        let refused = promote(&["means/3"], 1);
        assert!(refused.output.contains(asked) && refused.output.contains(why), "{}", refused.output);
        assert!(refused.errors.contains("what serves can't be loaded"), "{}", refused.errors);
        let refused = promote(&["means/3", "--json"], 1).json();
        assert_eq!(failed(&refused), [asked]);
        let names: Vec<_> = refused["checks"].as_array().unwrap().iter().map(|it| &it["what"]).collect();
        assert_eq!(names.contains(&&json!("classes it knows")), is_known, "{refused}");
        // What would be asked if nothing served is asked, too.
        assert_eq!(
            failed(&promote(&["means/2", "--json"], 1).json()),
            [asked, "accuracy", "photos of the classes accepted"]
        );
    }
    let moves = || models(&sandbox, &["show", "means/3"])["moves"]["production"].clone();
    assert_eq!(moves().as_array().unwrap().len(), 1, "nothing has moved");
    promote(&["means/3", "--force", "--why", "it is broken"], 0);
    assert_eq!((&moves()[1]["version"], &moves()[1]["why"]), (&json!(3), &json!("forced: it is broken")));

    // Whole, and yet nothing that can be loaded.
    let (_, onnx) = hostile().into_iter().find(|(what, _)| *what == "what is no number").unwrap();
    let hostile = model(&sandbox, "hostile", &onnx, "/temperature", json!(1.0));
    models(&sandbox, &["register", hostile.to_str().unwrap()]);
    models(&sandbox, &["alias", "means/4", "production"]);
    let refused = promote(&["means/3", "--json"], 1);
    assert!(refused.errors.contains("what serves can't be asked"), "{}", refused.errors);
    assert_eq!(failed(&refused.json()), [asked]);
    promote(&["means/3", "--force", "--why", "it is broken"], 0);
}

#[test]
fn the_gate_asks_what_is_decided_how_sure_it_is_and_what_the_quantizing_has_cost() {
    let sandbox = Sandbox::new();
    // The first and the third are right, and a little too unsure: their calibration errors are about 0.07.
    register(&sandbox, &[0.44, 1.0, 0.43]);
    let photos = known(&sandbox);
    let promote = |arguments: &[&str]| {
        let all = ["models", "promote", "--data", &photos, "--speed", "0", "--json"];
        sandbox.run(&[&all, arguments].concat()).json()
    };
    let (calibration, unknown) = ("expected calibration error", "photos of the classes called unknown");
    let (accepted, right) = ("photos of the classes accepted", "accuracy of the accepted");
    let reference = "accuracy, held against its reference";
    let none = [""; 0];
    assert_eq!(failed(&promote(&["means/3", "--to", "staging"])), [calibration]);
    assert_eq!(failed(&promote(&["means/3", "--calibration-error", "0.05"])), [calibration]);
    assert_eq!(failed(&promote(&["means/3"])), none, "what serves is no better");
    for (number, (pointer, value, alone, beside)) in [
        ("/thresholds/unknown", json!(0), &[unknown, accepted][..], &[unknown, accepted, right][..]),
        ("/thresholds/accept", json!(1), &[accepted], &[accepted, right]),
        ("/model/precision", json!("int8"), &[reference], &[reference]),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = model(&sandbox, &format!("changed-{number}"), &means(), pointer, value);
        models(&sandbox, &["register", folder.to_str().unwrap()]);
        let version = format!("means/{}", number + 4);
        let promote = |alias| promote(&[&version, "--to", alias, "--calibration-error", "1"]);
        assert_eq!(failed(&promote("staging")), alone, "{pointer}");
        let refused = promote("production");
        assert_eq!(failed(&refused), beside, "{pointer}");
        assert_eq!(refused["promoted"], false);
    }
    let all = ["means/4", "--to", "staging", "--calibration-error", "1", "--refused", "100"];
    assert_eq!(failed(&promote(&all)), [accepted]);
    // To call everything unknown finds no unknowns.
    let others = sandbox.path().join("others");
    fs::rename(sandbox.path().join("known/blues"), &others).unwrap();
    let all = [&all[..], &["--unknown", others.to_str().unwrap()]].concat();
    assert_eq!(failed(&promote(&all)), [accepted, "unknowns found"]);
}

#[test]
fn a_trial_ends_with_the_classifier_that_is_killed() {
    let (_sandbox, daemon) = with_an_endless_version();
    let trial = eventually("it is tried", || child_of(daemon.id()));
    daemon.kill();
    let begun = Instant::now();
    eventually("nobody computes on", || parent_of(trial).is_none().then_some(()));
    // Left alone, it ends after half a minute of computing.
    assert!(begun.elapsed() < Duration::from_secs(10), "it has ended by itself after {:?}", begun.elapsed());
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
