//! The model that ships: `autorma run` decides with it as `autorma evaluate` judges it and as its card says.

use std::path::Path;

use autorma_e2e::{Photos, Sandbox, read_json, shared};
use serde_json::Value;

/// One photo more or less: processors round differently.
const ONE: f64 = 1.01 / 354.0;

#[test]
fn the_shipped_model_is_as_good_as_its_card_says() {
    let (Some(photos), Some(shared)) = (Photos::shared(), shared()) else { return };
    let sandbox = Sandbox::new();
    sandbox.drop_photos(photos.good.iter().map(|(path, _)| path));
    assert_eq!(sandbox.run_batch().expect(0).json()["predictions"], 354);
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

    assert!(unknown <= 0.03, "{unknown}");
    assert!(judged["calibration_error"].as_f64().unwrap() <= 0.02, "{}", judged["calibration_error"]);
    for class in judged["classes"].as_array().unwrap() {
        assert!(share(&class["recall"]) >= 0.85, "{class}");
    }
    let reference = share(&judged["reference"]["figures"]["accuracy"]);
    assert!(accuracy >= reference - 0.003, "INT8 {accuracy}, in floats {reference}");
}
