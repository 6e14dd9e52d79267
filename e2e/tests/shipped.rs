//! The model that ships: `autorma run` decides with it as `autorma evaluate` judges it and as its card says.

use std::fs;
use std::path::{Path, PathBuf};

use autorma_e2e::{Photos, Sandbox, read_json, shared};
use serde_json::Value;

/// One photo more or less: processors round differently.
const ONE: f64 = 1.01 / 354.0;

/// The photos in a folder and below it, in order.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        } else if path.extension().is_some_and(|it| it == "jpg") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn the_card_says_what_the_model_is_good_for_and_what_not() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let [card, about] =
        ["shipped/CARD.md", "build/about.md"].map(|file| fs::read_to_string(models.join(file)).unwrap());
    assert!(card.ends_with(&about), "`make model` puts them together");
}

#[test]
fn the_shipped_model_is_as_good_as_its_card_says() {
    let (Some(photos), Some(shared)) = (Photos::shared(), shared()) else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good.iter().map(|(path, _)| path));
    // Every fourth of those of other articles, which are some of each kind, and of scenes.
    let of_none = ["other", "backgrounds"].map(|what| {
        let some = below(&shared.join("data").join(what)).into_iter().step_by(4).enumerate();
        let drop = |(number, photo): (usize, PathBuf)| {
            let name = format!("{what}-{number:05}.jpg");
            sandbox.drop_photo(&photo, &name);
            name
        };
        some.map(drop).collect::<Vec<_>>()
    });
    let all = 354 + of_none.iter().map(Vec::len).sum::<usize>();
    assert_eq!(sandbox.run_batch().expect(0).json()["predictions"], all);
    let results = sandbox.results();
    let share_of = |holds: &dyn Fn(&Value, &str) -> bool| {
        let predictions = photos.good.iter().enumerate();
        let those = predictions.filter(|(number, (_, class))| {
            holds(results.prediction(&format!("photo-{number:05}.jpg")), class)
        });
        those.count() as f64 / 354.0
    };
    let right = share_of(&|prediction, class| prediction["predicted_class"] == class);
    let unknown = share_of(&|prediction, _| prediction["decision"] == "unknown");
    let accepted = share_of(&|prediction, _| prediction["decision"] == "accept");
    let wrong = share_of(&|it, class| it["decision"] == "accept" && it["predicted_class"] != class);

    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/shipped");
    let test = shared.join("data/fashion/test");
    let (model_path, test) = (model.to_str().unwrap(), test.to_str().unwrap());
    let judged = sandbox.run(&["evaluate", "--model", model_path, "--data", test, "--json"]).expect(0).json();
    let share = |it: &Value| it["share"].as_f64().unwrap();
    let accuracy = share(&judged["accuracy"]);
    println!("right {right:.4}, judged {accuracy:.4}, unknown {unknown:.4}, {}", judged["calibration_error"]);
    assert!((right - accuracy).abs() < ONE, "run {right}, evaluate {accuracy}");
    assert!((unknown - share(&judged["decisions"]["unknown"])).abs() < ONE, "{unknown}");
    let manifest = read_json(&model.join("manifest.json")).unwrap();
    let of_card = manifest["metrics"]["test: accuracy"].as_f64().unwrap();
    assert!((accuracy - of_card).abs() < ONE, "evaluate {accuracy}, the card {of_card}");

    assert!(accuracy >= 0.99, "{accuracy}");
    // Of photos that stand for those which nobody here has.
    let kept_back = manifest["metrics"]["held out, contributors: accuracy"].as_f64().unwrap();
    assert!(kept_back >= 0.955, "{kept_back}");
    assert!(unknown <= 0.03, "{unknown}");
    assert!(wrong <= 0.015 * accepted, "{wrong} of {accepted} that are accepted");
    // It has learned from these photos, so this says nothing of how well it finds others; only that it does so at all.
    let [articles, scenes] = of_none.map(|names| {
        let found = names.iter().filter(|name| results.prediction(name)["decision"] == "unknown").count();
        found as f64 / names.len() as f64
    });
    assert!(articles >= 0.75 && scenes >= 0.97, "found unknown: {articles} of articles, {scenes} of scenes");
    assert!(judged["calibration_error"].as_f64().unwrap() <= 0.02, "{}", judged["calibration_error"]);
    for class in judged["classes"].as_array().unwrap() {
        assert!(share(&class["recall"]) >= 0.85, "{class}");
    }
    let reference = share(&judged["reference"]["figures"]["accuracy"]);
    assert!(accuracy >= reference - 0.003, "INT8 {accuracy}, in floats {reference}");
}
