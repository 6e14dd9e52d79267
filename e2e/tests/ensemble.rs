//! Ensembles: made, served and swapped by the real program.

use std::fs;
use std::path::PathBuf;

use autorma_e2e::{
    Daemon, Results, Sandbox, alone, drop_picture, eventually, labelled, models, read_json, register,
};
use autorma_models::handmade::{means, negatives, senseless, write_ensemble};
use serde_json::{Value, json};

const PICTURES: usize = 12;

/// Registers the ensemble of the members with these weights, and returns the number of its version.
fn register_ensemble(sandbox: &Sandbox, folder: &str, members: &[(Vec<u8>, f64)]) -> usize {
    let folder = sandbox.path().join(folder);
    write_ensemble(&folder, "means", members).unwrap();
    let registered = models(sandbox, &["register", folder.to_str().unwrap()]);
    registered["version"].as_u64().unwrap() as usize
}

/// The probabilities of a photo, in the classes' order.
fn probabilities(results: &Results, name: &str) -> Vec<f64> {
    let classes = ["reds", "greens", "blues"];
    let said = results.prediction(name);
    classes.map(|class| said["probabilities"][class].as_f64().unwrap()).to_vec()
}

#[test]
fn a_run_with_an_ensemble_says_the_mean_of_what_its_members_say() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 1.0]);
    let ensemble = register_ensemble(&sandbox, "both", &[(means(), 3.0), (negatives(), 1.0)]);
    let [first, second, both] =
        [1, 2, ensemble].map(|version| alone(&sandbox, version, PICTURES, drop_picture));
    assert_eq!(both.counts(), (PICTURES, 0));
    for name in both.predictions.keys() {
        let (first, second) = (probabilities(&first, name), probabilities(&second, name));
        let mean =
            first.iter().zip(&second).map(|(first, second)| (0.75 * first.ln() + 0.25 * second.ln()).exp());
        let mean: Vec<_> = mean.collect();
        let sum: f64 = mean.iter().sum();
        for (found, expected) in probabilities(&both, name).iter().zip(mean) {
            assert!((found - expected / sum).abs() < 1e-6, "{name}: {found}, expected {}", expected / sum);
        }
    }
    let shown = models(&sandbox, &["show", &format!("means/{ensemble}")]);
    assert_eq!(
        (&shown["precision"], &shown["manifest"]["members"][0]["weight"]),
        (&"fp32 + fp32".into(), &3.0.into())
    );
    let named = both.prediction("0000.bmp")["model"].clone();
    assert_eq!((&named["version"], &named["sha256"]), (&ensemble.to_string().into(), &shown["sha256"]));
    let differences = models(&sandbox, &["diff", "means/1", &format!("means/{ensemble}")]);
    let names: Vec<_> =
        differences.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"members.1.model.sha256") && names.contains(&"model.sha256"), "{names:?}");
    let mut differences = differences.as_array().unwrap().iter();
    let weight = differences.find(|it| it["name"] == "members.0.weight").unwrap();
    assert_eq!((&weight["from"], &weight["to"]), (&Value::Null, &3.0.into()), "a number stays one");
}

/// The file of a version's second member, as the registry keeps it.
fn second_member(sandbox: &Sandbox, version: usize) -> PathBuf {
    let folder = sandbox.data().join(format!("registry/means/versions/{version}"));
    let manifest = read_json(&folder.join("manifest.json")).unwrap();
    folder.join(manifest["members"][1]["model"]["file"].as_str().unwrap())
}

#[test]
fn a_member_that_can_t_serve_leaves_the_former_version_serving() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let good = register_ensemble(&sandbox, "good", &[(means(), 1.0), (negatives(), 2.0)]);
    let fails = register_ensemble(&sandbox, "fails", &[(means(), 1.0), (senseless(), 1.0)]);
    let corrupt = register_ensemble(&sandbox, "corrupt", &[(negatives(), 1.0), (means(), 2.0)]);
    let verified = sandbox.run(&["models", "verify", "--json"]).expect(1).json();
    let problems: Vec<_> = verified.as_array().unwrap().iter().map(|it| it["problem"].is_null()).collect();
    assert_eq!(problems, [true, true, false, true]);
    assert!(verified[2]["problem"].as_str().unwrap().starts_with("member 2: "), "{verified}");

    let daemon = Daemon::up(&sandbox, &["classifier.model=means@production"]).ready();
    let serve = |version: usize| models(&sandbox, &["alias", &format!("means/{version}"), "production"]);
    serve(fails);
    // No alias can be moved to a version whose member has changed: this move is the disk's fault.
    fs::write(second_member(&sandbox, corrupt), "something else").unwrap();
    let refused = sandbox.run(&["models", "alias", &format!("means/{corrupt}"), "production"]).expect(1);
    assert!(refused.errors.contains("not the one of its manifest"), "{}", refused.errors);
    let is_refused = |why: &str| {
        eventually("it is refused", || {
            let refused =
                daemon.said().lines().any(|line| line.contains("can't serve") && line.contains(why));
            (refused && daemon.metric("autorma_classifier_model_behind") == Some(1.0)).then_some(())
        });
    };
    is_refused("member 2");
    drop_picture(&sandbox, 0);
    daemon.outcomes(1);
    let moves = sandbox.data().join("registry/means/aliases/production");
    let mut moved = read_json(&moves.join("000002.json")).unwrap();
    moved["version"] = json!(corrupt);
    fs::write(moves.join("moved"), moved.to_string()).unwrap();
    fs::rename(moves.join("moved"), moves.join("000003.json")).unwrap();
    is_refused("not the one of its manifest");
    drop_picture(&sandbox, 1);
    daemon.outcomes(2);
    serve(good);
    eventually("a good one serves", || {
        (daemon.metric("autorma_classifier_model_behind") == Some(0.0)).then_some(())
    });
    drop_picture(&sandbox, 2);
    daemon.outcomes(3);
    daemon.end();
    let results = sandbox.results();
    let versions = ["0000.bmp", "0001.bmp", "0002.bmp"]
        .map(|name| results.prediction(name)["model"]["version"].as_str().unwrap().parse::<usize>().unwrap());
    assert_eq!(versions, [1, 1, good]);
}

#[test]
fn an_ensemble_is_made_judged_and_promoted_like_any_other_model() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[0.1, 1.0]);
    let photos = labelled(&sandbox);
    // With so few photos none would be accepted where fewer of them may be wrong.
    fs::write(sandbox.path().join("recipe.toml"), "[targets]\nwrong = 0.2\n").unwrap();
    let make = ["models", "ensemble", "means/1", "means/2", "--data", &photos, "--output", "both"];
    let with = |more: &[&'static str]| [&make[..], more].concat();
    let made =
        sandbox.run(&with(&["--weights", "3,1", "--recipe", "recipe.toml", "--json"])).expect(0).json();
    assert_eq!((&made["shares"], &made["photos"]), (&json!([0.75, 0.25]), &8.into()));
    // It is always right, so the surer it is the better.
    assert_eq!(made["temperature"], 0.05);
    let again = with(&["--weights", "3,1", "--recipe", "recipe.toml"]);
    let refused = sandbox.run(&again).expect(1).errors;
    assert!(refused.contains("both isn't empty"), "{refused}");
    fs::remove_dir_all(sandbox.path().join("both")).unwrap();
    let told = sandbox.run(&again).expect(0).output;
    assert!(told.contains("chosen by 8 photos") && told.contains("Model: both"), "{told}");
    fs::rename(sandbox.path().join("both"), sandbox.path().join("made")).unwrap();
    // A photo that can't be judged chooses nothing, and is told.
    let broken = "labelled/reds/broken.jpg";
    fs::write(sandbox.path().join(broken), "no picture").unwrap();
    let told = sandbox.run(&again).expect(2).output;
    assert!(told.contains("by 8 photos.\nnot judged: ") && told.contains(&format!("{broken}: ")), "{told}");
    fs::remove_dir_all(sandbox.path().join("both")).unwrap();
    let without = sandbox.run(&[&again[..], &["--json"]].concat()).expect(2).json();
    assert_eq!((&without["sha256"], &without["photos"]), (&made["sha256"], &8.into()));
    let [named] = &without["failed"].as_array().unwrap()[..] else { panic!("{without}") };
    assert!(named["path"].as_str().unwrap().ends_with(broken) && named["why"].is_string(), "{named}");
    fs::remove_dir_all(sandbox.path().join("both")).unwrap();
    fs::remove_file(sandbox.path().join(broken)).unwrap();
    let registered = models(&sandbox, &["register", "made"]);
    assert_eq!((&registered["version"], &registered["sha256"]), (&3.into(), &made["sha256"]));
    models(&sandbox, &["verify", "means/3"]);
    let evaluate = ["evaluate", "--model", "means/3", "--data", &photos, "--json"];
    let figures = sandbox.run(&evaluate).expect(0).json();
    assert_eq!((&figures["accuracy"]["share"], &figures["precision"]), (&1.0.into(), &"fp32 + fp32".into()));
    let promote = ["models", "promote", "means/3", "--data", &photos, "--speed", "0", "--json"];
    assert_eq!(sandbox.run(&promote).expect(0).json()["promoted"], true);

    for (arguments, expected) in [
        (with(&["--weights", "1"]), "2 models and 1 weight:"),
        (with(&["--recipe", "none.toml"]), "the recipe none.toml"),
        (with(&["--weights", "1,0"]), "weight must be above 0"),
        (with(&["--weights", "1,nan"]), "weight must be above 0"),
        (
            ["models", "ensemble", "means/1", "means@production", "--data", &photos, "--output", "x"].into(),
            "listed twice",
        ),
        (
            ["models", "ensemble", "means/1", "means/9", "--data", &photos, "--output", "x"].into(),
            "no version 9",
        ),
    ] {
        let ended = sandbox.run(&arguments).expect(1);
        assert!(ended.errors.contains(expected), "{arguments:?}: {}", ended.errors);
    }
}
