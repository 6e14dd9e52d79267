//! Models that fail, say nonsense or aren't what their manifest says.

use std::fs;

use autorma_e2e::{Ended, Sandbox};
use autorma_models::handmade::{fussy, picture, write};
use serde_json::{Value, json};

/// A batch on these pictures, named by their place.
fn run(sandbox: &Sandbox, colours: &[[u8; 3]]) -> Ended {
    let model = sandbox.path().join("model");
    if !model.exists() {
        write(&model, "fussy", &fussy()).unwrap();
    }
    for (number, colour) in colours.iter().enumerate() {
        fs::write(sandbox.path().join("picture"), picture(*colour)).unwrap();
        sandbox.drop_photo(&sandbox.path().join("picture"), format!("{number:02}.bmp"));
    }
    sandbox.run(&["run", "--json", "--model", model.to_str().unwrap()])
}

fn reasons(results: &autorma_e2e::Results) -> Vec<(&str, &Value)> {
    results.failed.iter().map(|(name, list)| (name.as_str(), &list[0]["reason"])).collect()
}

const BRIGHT: [u8; 3] = [240, 220, 200];

#[test]
fn whom_the_model_fails_on_is_a_dead_letter_alone() {
    let mut colours = [BRIGHT; 25];
    // The model fails on every call that pure red is in, and says nothing about dark ones.
    (colours[3], colours[17]) = ([255, 0, 0], [255, 0, 0]);
    colours[9] = [10, 10, 10];
    let sandbox = Sandbox::new();
    let report = run(&sandbox, &colours).expect(2).json();
    assert_eq!((&report["predictions"], &report["dead_letters"]), (&22.into(), &3.into()));
    let results = sandbox.results();
    let expected = [("03.bmp", "model-failed"), ("09.bmp", "not-a-number"), ("17.bmp", "model-failed")];
    let expected: Vec<_> = expected.into_iter().map(|(name, reason)| (name, json!(reason))).collect();
    assert_eq!(reasons(&results), expected.iter().map(|(name, reason)| (*name, reason)).collect::<Vec<_>>());

    let alone = Sandbox::new();
    run(&alone, &[BRIGHT]).expect(0);
    let expected = alone.results().prediction("00.bmp")["probabilities"].clone();
    for prediction in results.predictions.values().flatten() {
        // Not the same bits: this model's logarithms depend on their place in the tensor. The shipped one's don't.
        for (class, probability) in expected.as_object().unwrap() {
            let found = prediction["probabilities"][class].as_f64().unwrap();
            assert!((found - probability.as_f64().unwrap()).abs() < 1e-6, "{prediction}");
        }
        assert_eq!(prediction["predicted_class"], "reds");
        assert_eq!(prediction["model"]["version"], "7");
    }
}

#[test]
fn a_topic_isn_t_drained_into_dead_letters() {
    let sandbox = Sandbox::new();
    let colours = [[10, 10, 10]; 60];
    // So few are committed at once that some are before the window is full.
    let settings = "[classifier]\ndead_window = 20\ndead_share = 0.5\nbatch_size = 4\nmax_in_flight = 8\n";
    fs::write(sandbox.path().join("autorma.toml"), settings).unwrap();
    let ended = run(&sandbox, &colours).expect(1);
    assert!(ended.errors.contains("classifier.dead_share"), "{}", ended.errors);
    assert!(ended.errors.contains("not-a-number"), "{}", ended.errors);
    let letters = || sandbox.run(&["dead-letters", "--json"]).expect(0).json().as_array().unwrap().len();
    assert!(letters() <= 20, "{} dead letters", letters());
    // Nor by whoever starts it again each time, as service managers do.
    let before = letters();
    let model = sandbox.path().join("model");
    for again in 1..=3 {
        let ended = sandbox.run(&["run", "--model", model.to_str().unwrap()]).expect(1);
        assert!(ended.errors.contains("classifier.dead_share"), "{}", ended.errors);
        assert!(letters() < before + again * 10, "{before} dead letters, then {}", letters());
    }
    // Once it is allowed, nothing is missing.
    fs::remove_file(sandbox.path().join("autorma.toml")).unwrap();
    let report = sandbox.run(&["run", "--json", "--model", model.to_str().unwrap()]).expect(2).json();
    assert_eq!(report["dead_letters"], 60);
}

#[test]
fn a_model_that_isn_t_the_one_of_its_manifest_isn_t_loaded() {
    let sandbox = Sandbox::new();
    run(&sandbox, &[BRIGHT]).expect(0);
    let onnx = sandbox.path().join("model/fussy.onnx");
    let mut content = fs::read(&onnx).unwrap();
    *content.last_mut().unwrap() ^= 1;
    fs::write(&onnx, content).unwrap();
    let ended = run(&sandbox, &[BRIGHT, [1, 2, 3]]).expect(1);
    assert!(ended.errors.contains("not the one of its manifest"), "{}", ended.errors);
    let ended = sandbox.run(&["run", "--model", "nowhere"]).expect(1);
    assert!(ended.errors.contains("--model"), "{}", ended.errors);
}
