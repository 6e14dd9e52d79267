//! Training, by the real program: killed and stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use autorma_e2e::{Random, Sandbox, eventually};
use autorma_models::handmade::{FEATURES, backbone, picture};

/// Draws pictures of reds and greens, and of what is neither, and a recipe of so many copies.
fn prepare(sandbox: &Sandbox, copies: usize) {
    fs::write(sandbox.path().join("backbone.onnx"), backbone()).unwrap();
    let recipe = format!("copies = {copies}\nfolds = 2\n[tuning]\nsteps = 60\nbatch = 4\n");
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
}
