use std::collections::BTreeMap;

use autorma_schemas::{Decision, ModelVersion, Origin, Shadow};
use serde_json::json;

use super::*;

fn version(number: usize) -> ModelVersion {
    ModelVersion { name: "m".into(), version: number.to_string(), sha256: String::new() }
}

/// Published by the first, with what the second says.
fn prediction(
    id: usize,
    (version_of, class, decision, confidence): (usize, &str, Decision, f64),
    shadow: Option<(usize, &str, Decision, f64)>,
) -> Prediction {
    Prediction {
        event_id: id.to_string(),
        run_id: None,
        sequence: 0,
        batch_number: 1,
        source: String::new(),
        name: format!("{id}.jpg"),
        uri: None,
        sha256: String::new(),
        attributes: BTreeMap::new(),
        predicted_class: class.into(),
        confidence,
        probabilities: Vec::new(),
        unknown_probability: 0.0,
        decision,
        model: version(version_of),
        origin: Origin { topic: "images".into(), partition: 0, offset: 0 },
        seen_at: Micros(0),
        processed_at: Micros(id as i64),
        arm: id.is_multiple_of(2).then(|| "even".into()),
        shadow: shadow.map(|(of, class, decision, confidence)| Shadow {
            predicted_class: class.into(),
            confidence,
            unknown_probability: 0.0,
            decision,
            model: version(of),
        }),
    }
}

#[test]
fn a_time_may_be_so_long_ago() {
    let hours = Micros::now().seconds_since(since("2h").unwrap()) / 3600.0;
    assert!((1.99..2.01).contains(&hours), "{hours}");
    assert_eq!(since("2026-11-18T11:06:40Z").unwrap(), Micros(1_795_000_000_000_000));
    assert!(since("yesterday").unwrap_err().to_string().contains("--since"));
}

#[test]
fn a_photo_counts_once_and_the_worst_differences_come_first() {
    let (accept, review) = (Decision::Accept, Decision::Review);
    let mut tally = Tally::default();
    for it in [
        prediction(1, (1, "tops", accept, 0.9), Some((2, "tops", accept, 0.5))),
        prediction(2, (1, "tops", accept, 0.9), Some((2, "tops", review, 0.9))),
        prediction(3, (1, "tops", accept, 0.6), Some((2, "shirts", accept, 0.9))),
        prediction(4, (1, "tops", accept, 0.8), Some((2, "shirts", accept, 0.9))),
        // Published twice, and said nothing of.
        prediction(4, (1, "tops", accept, 0.8), Some((2, "shirts", accept, 0.9))),
        prediction(5, (1, "tops", accept, 0.8), None),
        // The first pair's alias has moved, and back.
        prediction(6, (1, "tops", accept, 0.9), Some((3, "tops", accept, 0.9))),
        prediction(7, (1, "tops", accept, 0.9), Some((2, "tops", accept, 0.9))),
    ] {
        tally.add(it);
    }
    let report = serde_json::to_value(Report::of(tally, 20)).unwrap();
    assert_eq!(report["predictions"], 8);
    let pairs = report["shadows"].as_array().unwrap();
    let versions: Vec<_> = pairs.iter().map(|it| it["shadow"]["model"]["version"].clone()).collect();
    assert_eq!(versions, ["3", "2"], "what was compared last is at the end");
    let pair = &pairs[1];
    assert_eq!(
        (&pair["photos"], &pair["same"]["share"], &pair["same_class"]["share"]),
        (&json!(5), &json!(0.4), &json!(0.6))
    );
    let differing: Vec<_> =
        pair["differences"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(differing, ["4.jpg", "3.jpg", "2.jpg"]);
    assert_eq!(pair["classes"][0]["instead"], json!({"shirts": 2}));
    assert_eq!((&report["arms"][0]["arm"], &report["arms"][0]["photos"]), (&json!("even"), &json!(3)));
}

#[test]
fn two_that_say_unknown_say_the_same() {
    let unknown = Decision::Unknown;
    let mut tally = Tally::default();
    tally.add(prediction(1, (1, "tops", unknown, 0.5), Some((2, "shirts", unknown, 0.6))));
    tally.add(prediction(2, (1, "tops", unknown, 0.5), Some((2, "shirts", Decision::Review, 0.6))));
    let report = serde_json::to_value(Report::of(tally, 20)).unwrap();
    let pair = &report["shadows"][0];
    assert_eq!((&pair["same"]["share"], &pair["same_class"]["share"]), (&json!(0.5), &json!(0.5)));
    assert_eq!(pair["differences"].as_array().unwrap().len(), 1);
    let class = &pair["classes"][0];
    assert_eq!((&class["same_class"]["share"], &class["instead"]), (&json!(0.5), &json!({"shirts": 1})));
}

#[test]
fn no_version_plays_with_the_terminal() {
    let mut it = prediction(2, (1, "tops", Decision::Accept, 0.9), Some((2, "tops", Decision::Accept, 0.5)));
    it.model.version = "\u{1b}[2J".into();
    let mut tally = Tally::default();
    tally.add(it);
    let text = Report::of(tally, 20).to_string();
    assert!(text.starts_with("m/2 as the shadow of m/\\u{1b}[2J, 1 photo:\n"), "{text}");
    assert!(text.ends_with(" of 1 prediction.\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}
