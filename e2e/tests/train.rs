//! Training, by the real program: killed and stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use autorma_e2e::{Random, Sandbox, eventually};
use autorma_models::handmade::{FEATURES, backbone, picture};
use serde_json::Value;

/// Draws pictures of reds and greens, and of what is neither, and a recipe of so many copies. With so few pictures none would
/// be accepted where fewer of them may be wrong.
fn prepare(sandbox: &Sandbox, copies: usize) {
    fs::write(sandbox.path().join("backbone.onnx"), backbone()).unwrap();
    let recipe =
        format!("copies = {copies}\nfolds = 2\n[tuning]\nsteps = 60\nbatch = 4\n[targets]\nwrong = 0.2\n");
    fs::write(sandbox.path().join("train.toml"), recipe).unwrap();
    for (folder, [red, green, blue]) in
        [("photos/reds", [200, 0, 0]), ("photos/greens", [0, 200, 0]), ("others/blues", [0, 0, 200])]
    {
        let folder = sandbox.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        for number in 0..12_u8 {
            let shade = |value: u8| value.max(number * 10) - number;
            let colour = [shade(red), shade(green), shade(blue)];
            fs::write(folder.join(format!("{number}.bmp")), picture(colour)).unwrap();
        }
    }
}

fn train(output: &str) -> [&str; 11] {
    [
        "train",
        "--data",
        "photos",
        "--other",
        "others",
        "--config",
        "train.toml",
        "--backbone",
        "backbone.onnx",
        "--output",
        output,
    ]
}

/// What was trained, byte by byte.
fn model(sandbox: &Sandbox, output: &str) -> [Vec<u8>; 3] {
    let folder = sandbox.path().join(output).join("model");
    ["manifest.json", "refund-classifier.onnx", "refund-classifier.fp32.onnx"]
        .map(|file| fs::read(folder.join(file)).unwrap())
}

/// How long the larger file of features in a run folder is, which is that of the backbone in floats; None before there is
/// one.
fn features(folder: &Path) -> Option<u64> {
    let names = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    let is_of_features =
        |path: &PathBuf| path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"features"));
    let files = names.filter(is_of_features);
    files.map(|path| fs::metadata(path).map_or(0, |it| it.len())).max()
}

#[test]
fn a_training_that_is_killed_again_and_again_comes_to_the_same_model() {
    let sandbox = Sandbox::new();
    prepare(&sandbox, 60);
    let whole = sandbox.run(&train("whole")).expect(0);
    assert!(whole.output.contains("held out: all"), "{}", whole.output);
    let mut random = Random::new(5);
    let mut kills = 0;
    // Each gets a little longer than the last one, so that it comes to an end.
    let end = loop {
        let mut training = sandbox.start(&train("killed"));
        std::thread::sleep(Duration::from_millis(random.within(0, 40 + kills * 40) as u64));
        if !training.is_running() {
            break training.wait();
        }
        training.kill();
        kills += 1;
        assert!(kills < 200, "it doesn't come to an end");
    };
    end.expect(0);
    assert!(kills > 2, "{kills} kills say little");
    assert_eq!(model(&sandbox, "killed"), model(&sandbox, "whole"), "after {kills} kills");
}

#[test]
fn ctrl_c_makes_a_model_of_what_there_is() {
    let sandbox = Sandbox::new();
    prepare(&sandbox, 1000);
    let mut training = sandbox.start(&train("run"));
    // All photos as they are, and some variations.
    let enough = 36 * 3 * (32 + 4 * FEATURES + 8);
    eventually("features", || features(&sandbox.path().join("run")).filter(|length| *length > enough));
    training.signal("INT");
    let ended = training.wait().expect(2);
    assert!(ended.output.contains("of 1000 variations of each photo"), "{}", ended.output);
    let registered = sandbox.run(&["models", "register", "run/model", "--json"]).expect(0).json();
    assert_eq!(registered["version"], 1);
    let judged = ["evaluate", "--model", "run/model", "--data", "photos", "--unknown", "others", "--json"];
    let figures = sandbox.run(&judged).expect(0).json();
    assert!(figures["accuracy"]["share"].as_f64().unwrap() > 0.9, "{figures}");
}

/// Changes a JSON file.
fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn int8_is_held_against_the_floats_that_it_was_quantized_from() {
    let sandbox = Sandbox::new();
    prepare(&sandbox, 2);
    let at = |name: &str| sandbox.path().join(name);
    sandbox.run(&train("good")).expect(0);
    let judge = |arguments: &[&str]| {
        let all = ["evaluate", "--model", "good/model", "--data", "photos", "--unknown", "others"];
        sandbox.run(&[&all, arguments].concat()).expect(0)
    };
    let figures = judge(&["--json"]).json();
    assert_eq!((&figures["precision"], &figures["reference"]["precision"]), (&"int8".into(), &"fp32".into()));
    let share = |pointer: &str| figures.pointer(pointer).unwrap().as_f64().unwrap();
    assert!(share("/accuracy/share") > 0.9 && share("/reference/figures/accuracy/share") > 0.9, "{figures}");
    assert!(share("/reference/comparison/agree/share") > 0.8, "{figures}");
    assert!(share("/reference/speed") > 0.0);
    let text = judge(&[]).output;
    assert!(text.contains("its reference") && text.contains("times as fast"), "{text}");

    // Another one's INT8, which has learned the opposite, with this one's floats.
    fs::create_dir_all(at("swapped")).unwrap();
    fs::rename(at("photos/reds"), at("swapped/greens")).unwrap();
    fs::rename(at("photos/greens"), at("swapped/reds")).unwrap();
    let mut swapped = train("opposite");
    swapped[2] = "swapped";
    sandbox.run(&swapped).expect(0);
    fs::rename(at("swapped/greens"), at("photos/reds")).unwrap();
    fs::rename(at("swapped/reds"), at("photos/greens")).unwrap();
    fs::create_dir_all(at("bad")).unwrap();
    for file in ["manifest.json", "refund-classifier.fp32.onnx"] {
        fs::copy(at("good/model").join(file), at("bad").join(file)).unwrap();
    }
    fs::copy(at("opposite/model/refund-classifier.onnx"), at("bad/refund-classifier.onnx")).unwrap();
    let opposite: Value =
        serde_json::from_slice(&fs::read(at("opposite/model/manifest.json")).unwrap()).unwrap();
    change(&at("bad/manifest.json"), |manifest| manifest["model"] = opposite["model"].clone());

    for folder in ["good/model", "bad"] {
        sandbox.run(&["models", "register", folder]).expect(0);
    }
    let promote = |version: &str, arguments: &[&str], status| {
        let all = ["models", "promote", version, "--data", "photos", "--calibration-error", "1", "--json"];
        sandbox.run(&[&all, arguments].concat()).expect(status).json()
    };
    let check = |promotion: &Value| {
        let mut checks = promotion["checks"].as_array().unwrap().iter();
        checks.find(|check| check["what"] == "accuracy, held against its reference").unwrap().clone()
    };
    assert_eq!(check(&promote("refund-classifier/1", &[], 0))["passed"], true);
    // Nothing else is wrong with it where nothing serves.
    let refused = promote("refund-classifier/2", &["--to", "staging"], 1);
    assert_eq!(refused["promoted"], false);
    assert_eq!(check(&refused)["passed"], false);
    assert!(check(&refused)["wanted"].as_str().unwrap().ends_with("% - 0.3 points"), "{refused}");
    assert!(
        refused["checks"].as_array().unwrap().iter().filter(|check| check["passed"] == false).count() == 1
    );
    let forced = promote("refund-classifier/2", &["--to", "staging", "--force", "--why", "a test"], 0);
    assert_eq!(forced["promoted"], true);
    let shown = sandbox.run(&["models", "show", "refund-classifier/2", "--json"]).expect(0).json();
    assert_eq!(shown["moves"]["staging"][0]["why"], "forced: a test");

    // What it was quantized from is verified, too.
    let reference = shown["manifest"]["reference"]["file"].as_str().unwrap();
    let file = sandbox.data().join("registry/refund-classifier/versions/2").join(reference);
    fs::write(file, "others").unwrap();
    let verified = sandbox.run(&["models", "verify", "refund-classifier/2"]).expect(1).output;
    assert!(verified.contains("is not the one of its manifest"), "{verified}");
}

#[test]
fn what_can_t_be_trained_is_said() {
    let sandbox = Sandbox::new();
    prepare(&sandbox, 1);
    let refused = |arguments: &[&str], expected: &str| {
        let ended = sandbox.run(arguments).expect(1);
        assert!(ended.errors.contains(expected), "{expected:?} is not in {}", ended.errors);
    };
    fs::write(sandbox.path().join("wrong.toml"), "copis = 3").unwrap();
    let mut wrong = train("run");
    wrong[6] = "wrong.toml";
    refused(&wrong, "unknown field `copis`");
    let mut none = train("run");
    none[8] = "none.onnx";
    refused(&none, "`make backbone` makes it");
    let mut others = train("run");
    others[2] = "others";
    refused(&others, "only one class");
    fs::write(sandbox.path().join("wrong.toml"), "precision = \"int4\"").unwrap();
    refused(&wrong, "int8");
}
