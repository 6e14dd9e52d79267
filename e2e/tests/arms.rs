//! Images that are split among versions, and versions that compute along without being published.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use autorma_e2e::{
    Daemon, Sandbox, alone, check_against_each_alone, drop_colour, drop_picture, eventually, model, models,
    register,
};
use autorma_models::handmade::{fussy, senseless};
use serde_json::{Value, json};

/// The documented rule: the first 64 bits of the content's hash are a place between 0 and 1.
fn is_in_the_first(sha256: &str, share: f64) -> bool {
    (u64::from_str_radix(&sha256[..16], 16).unwrap() as f64) < share * 2f64.powi(64)
}

#[test]
fn an_image_has_the_same_arm_on_every_classifier() {
    const PICTURES: usize = 200;
    let sandbox = Sandbox::new();
    let settings = "[classifier]\nmodel = 'means@production'\n[model]\nshadow = 'next'\n[model.split]\nproduction = 75\n\
                    staging = 25\n";
    fs::write(sandbox.path().join("autorma.toml"), settings).unwrap();
    register(&sandbox, &[1.0, 2.0, 3.0]);
    models(&sandbox, &["alias", "means/2", "staging"]);
    models(&sandbox, &["alias", "means/3", "next"]);
    let mut others = [sandbox.start(&["ingest"]), sandbox.start(&["sink"])];
    let mut classifiers = [sandbox.start(&["classify"]), sandbox.start(&["classify"])];
    for number in 0..PICTURES {
        drop_picture(&sandbox, number);
        std::thread::sleep(Duration::from_millis(10));
        if number % 50 == 25 {
            let next = sandbox.start(&["classify"]);
            std::mem::replace(&mut classifiers[number / 50 % 2], next).kill();
        }
    }
    eventually("all is classified and in files", || {
        let have_come = sandbox.published() >= PICTURES as i64;
        (have_come && sandbox.lag()? == 0).then_some(())
    });
    let status = sandbox.status();
    let arms: Vec<_> =
        status["arms"].as_array().unwrap().iter().map(|it| (&it["arm"], &it["version"])).collect();
    assert_eq!(arms, [(&"production".into(), &"1".into()), (&"staging".into(), &"2".into())]);
    for process in others.iter_mut().chain(&mut classifiers) {
        process.signal("TERM");
        process.wait().expect(0);
    }
    sandbox.run_batch().expect(0);

    let by_version = check_against_each_alone(&sandbox, PICTURES, 2);
    let results = sandbox.results();
    let predictions = sandbox.tail(PICTURES);
    let beside = alone(&sandbox, 3, PICTURES, drop_picture);
    for name in results.predictions.keys() {
        let prediction = results.prediction(name);
        for field in ["predicted_class", "confidence", "decision", "model"] {
            assert_eq!(predictions[name]["shadow"][field], beside.prediction(name)[field], "{name}: {field}");
        }
        let (version, arm) = match is_in_the_first(prediction["sha256"].as_str().unwrap(), 0.75) {
            true => ("1", "production"),
            false => ("2", "staging"),
        };
        assert_eq!(prediction["model"]["version"], version, "{name}");
        assert!(prediction.get("arm").is_none(), "the results file is a contract");
        assert_eq!(predictions[name]["arm"], arm, "{name}");
    }
    let mut in_summaries = BTreeMap::<&str, u64>::new();
    for (arm, it) in results.summaries.values().flat_map(|summary| summary["arms"].as_object().unwrap()) {
        let decisions: u64 =
            it["decisions"].as_object().unwrap().values().map(|it| it.as_u64().unwrap()).sum();
        assert_eq!(it["predictions"], decisions, "{it}");
        assert!(it["mean_confidence"].as_f64().unwrap() > 0.3, "{it}");
        *in_summaries.entry(arm).or_default() += decisions;
    }
    let of = |version: &str| by_version[version] as u64;
    assert_eq!(in_summaries, BTreeMap::from([("production", of("1")), ("staging", of("2"))]));

    let compared = models(&sandbox, &["compare-live"]);
    let arms = compared["arms"].as_array().unwrap();
    let told = |arm: &Value| (arm["arm"].clone(), arm["model"]["version"].clone(), arm["photos"].clone());
    let expected = [("production", "1"), ("staging", "2")]
        .map(|(arm, version)| (json!(arm), json!(version), json!(of(version))));
    assert_eq!(arms.iter().map(told).collect::<Vec<_>>(), expected);
    let shares: f64 =
        ["accept", "review", "unknown"].iter().map(|it| arms[0][it]["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{compared}");
    // The shadow is compared with each arm's version.
    let pairs = compared["shadows"].as_array().unwrap().iter();
    let photos: Vec<_> = pairs.map(|it| it["photos"].as_u64().unwrap()).collect();
    assert_eq!((photos.len(), photos.iter().sum::<u64>()), (2, PICTURES as u64));

    // A replay is one version's, whatever is split.
    let replayed =
        sandbox.run(&["replay", "--class", "reds", "--model", "means/1", "--json"]).expect(0).json();
    assert_eq!(replayed["model"]["version"], "1");
}

#[test]
fn what_a_shadow_says_is_told_and_published_nowhere() {
    const PICTURES: usize = 60;
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 2.0]);
    (0..PICTURES).for_each(|number| drop_picture(&sandbox, number));
    let nothing = sandbox.run(&["models", "compare-live"]).expect(1);
    let expected = if sandbox.is_on_kafka() { "no predictions of that kind" } else { "there is no log" };
    assert!(nothing.errors.contains(expected), "{}", nothing.errors);
    sandbox.run(&["run", "--model", "means@production"]).expect(0);
    let nothing = sandbox.run(&["models", "compare-live"]).expect(1);
    assert!(nothing.errors.contains("model.shadow=staging"), "{}", nothing.errors);
    for expected in ["60 predictions and no other version", "let the shadow's alias name another version"] {
        assert!(nothing.errors.contains(expected), "{}", nothing.errors);
    }

    models(&sandbox, &["alias", "means/2", "staging"]);
    let shadowed =
        ["run", "--reprocess", "--json", "--model", "means@production", "--set", "model.shadow=staging"];
    let run = sandbox.run(&shadowed).expect(0).json()["run_id"].as_str().unwrap().to_owned();
    let [ours, shadows] = [1, 2].map(|version| alone(&sandbox, version, PICTURES, drop_picture));
    let results = sandbox.results();
    let predictions = sandbox.tail(2 * PICTURES);
    let mut differ = 0;
    for name in ours.predictions.keys() {
        let (expected, beside) = (ours.prediction(name), shadows.prediction(name));
        for published in &results.predictions[name] {
            let keys = |it: &Value| it.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(published), keys(expected), "the results file is a contract");
            for field in ["probabilities", "predicted_class", "decision", "model"] {
                assert_eq!(published[field], expected[field], "{name}: {field}");
            }
        }
        // The first run's prediction has none, and comes before this one.
        for field in ["predicted_class", "confidence", "decision", "unknown_probability", "model"] {
            assert_eq!(predictions[name]["shadow"][field], beside[field], "{name}: {field}");
        }
        let says = |it: &Value| (it["predicted_class"].clone(), it["decision"].clone());
        differ += usize::from(says(expected) != says(beside));
    }
    assert!(differ > PICTURES / 2, "they say the opposite of most");

    let summary = &results.summaries[&run]["shadow"];
    assert_eq!((&summary["compared"], &summary["same"]), (&json!(PICTURES), &json!(PICTURES - differ)));
    let compared = models(&sandbox, &["compare-live", "--run", &run, "--since", "1h"]);
    let shadow = &compared["shadows"][0];
    assert_eq!(
        (&shadow["published"]["model"]["version"], &shadow["shadow"]["model"]["version"]),
        (&json!("1"), &json!("2"))
    );
    assert_eq!(shadow["differences"].as_array().unwrap().len(), differ);
    let same = shadow["same"]["share"].as_f64().unwrap();
    assert!((same - (PICTURES - differ) as f64 / PICTURES as f64).abs() < 1e-9, "{same}");
    assert!(
        shadow["same"]["low"].as_f64().unwrap() <= same && same < shadow["same"]["high"].as_f64().unwrap()
    );
    for it in shadow["differences"].as_array().unwrap() {
        let name = it["name"].as_str().unwrap();
        assert_eq!(it["published"]["predicted_class"], ours.prediction(name)["predicted_class"]);
        assert_eq!(it["shadow"]["confidence"], shadows.prediction(name)["confidence"]);
    }
    let table = sandbox.run(&["models", "compare-live", "--list", "3"]).expect(0).output;
    assert!(table.contains("means/2 as the shadow of means/1, 60 photos"), "{table}");
    assert!(table.contains(&format!("{} more differ", differ - 3)), "{table}");
    let none = sandbox.run(&["models", "compare-live", "--run", "nobody's"]).expect(1);
    assert!(none.errors.contains("there is no run \"nobody's\""), "{}", none.errors);
}

/// A model that is fussy says something of a third of them; of another it says what is no number, and the last make each
/// call fail that they are in.
fn drop_by_turns(sandbox: &Sandbox, number: usize) {
    let shade = (number / 2) as u8;
    let colour = match number % 3 {
        0 => [190 + shade, 200, 210],
        1 => [10, 10, shade],
        _ => [255, 200, shade],
    };
    drop_colour(sandbox, number, colour);
}

#[test]
fn a_shadow_that_fails_harms_nothing() {
    const PICTURES: usize = 120;
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let folder = model(&sandbox, "fussy", &fussy(), "/temperature", json!(1.0));
    models(&sandbox, &["register", folder.to_str().unwrap(), "--alias", "staging"]);
    let settings = ["classifier.model=means@production", "model.split.production=1", "model.shadow=staging"];
    let daemon = Daemon::up(&sandbox, &settings).ready();
    (0..PICTURES).for_each(|number| drop_by_turns(&sandbox, number));
    daemon.outcomes(PICTURES);
    let [ours, beside] = [1, 2].map(|version| alone(&sandbox, version, PICTURES, drop_by_turns));
    assert_eq!(beside.counts(), (PICTURES / 3, PICTURES / 3 * 2));
    let reasons: std::collections::BTreeSet<_> =
        beside.failed.values().map(|it| it[0]["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), ["model-failed", "not-a-number"]);
    let count = |metric: &str| daemon.metric(&format!("autorma_classifier_{metric}_total"));
    assert_eq!(count("shadow_failures"), Some((PICTURES / 3 * 2) as f64));
    assert_eq!(count("shadow"), Some((PICTURES / 3) as f64));
    assert_eq!(count("dead_letters"), Some(0.0));
    for metric in ["arm_predictions_total{arm=\"production\"", "arm_confidence_count{arm=\"production\""] {
        let name = format!("autorma_classifier_{metric}");
        assert_eq!(daemon.metric(&name), Some(PICTURES as f64), "{metric}");
    }
    daemon.end();
    let results = sandbox.results();
    assert_eq!(results.counts(), (PICTURES, 0));
    for (name, prediction) in sandbox.tail(PICTURES) {
        let (published, expected) = (results.prediction(&name), ours.prediction(&name));
        for field in ["probabilities", "predicted_class", "decision", "model"] {
            assert_eq!(published[field], expected[field], "{name}: {field}");
        }
        match beside.predictions.get(&name) {
            // Its logarithms' last bits depend on how many are computed at once: that is this model's.
            Some(beside) => {
                let [says, said] =
                    [&prediction["shadow"], &beside[0]].map(|it| it["confidence"].as_f64().unwrap());
                assert!((says - said).abs() < 1e-6, "{name}: {says} and {said}");
                assert_eq!(prediction["shadow"]["predicted_class"], beside[0]["predicted_class"], "{name}");
            }
            None => assert_eq!(prediction.get("shadow"), Some(&Value::Null), "{name}"),
        }
    }
}

#[test]
fn a_shadow_that_cannot_compute_along_is_told_and_the_next_one_does() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 2.0]);
    let hostile = model(&sandbox, "hostile", &senseless(), "/temperature", json!(1.0));
    let small = model(&sandbox, "small", &fussy(), "/input/width", json!(16));
    let settings = ["classifier.model=means@production", "model.shadow=staging"];
    let daemon = Daemon::up(&sandbox, &settings).ready();
    let mut dropped = 0;
    let mut look = |is_behind: f64, said: &str| {
        eventually("the shadow's state is told", || {
            let told = daemon.metric("autorma_classifier_shadow_behind") == Some(is_behind);
            (told && daemon.said().contains(said)).then_some(())
        });
        drop_picture(&sandbox, dropped);
        dropped += 1;
        daemon.outcomes(dropped);
    };
    look(1.0, "has no alias staging");
    for (folder, why) in [(&hostile, "not a number"), (&small, "another size")] {
        models(&sandbox, &["register", folder.to_str().unwrap(), "--alias", "staging"]);
        look(1.0, why);
    }
    models(&sandbox, &["alias", "means/2", "staging"]);
    look(0.0, "a version computes along");
    assert_eq!(daemon.metric("autorma_classifier_model_behind"), Some(0.0));
    // Nobody is compared with himself.
    models(&sandbox, &["alias", "means/2", "production"]);
    eventually("the shadow's version serves", || {
        daemon.said().contains("another version serves").then_some(())
    });
    drop_picture(&sandbox, 4);
    daemon.outcomes(5);
    daemon.end();
    check_against_each_alone(&sandbox, 5, 2);
    let shadowed: Vec<_> =
        sandbox.tail(5).values().map(|it| it["shadow"]["model"]["version"].clone()).collect();
    assert_eq!(shadowed, [Value::Null, Value::Null, Value::Null, json!("2"), Value::Null]);
}

#[test]
fn settings_that_contradict_each_other_stop_the_classifier_at_once() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 2.0]);
    drop_picture(&sandbox, 0);
    let other = model(&sandbox, "other", &fussy(), "/classes", json!(["a", "b", "c"]));
    models(&sandbox, &["register", other.to_str().unwrap(), "--alias", "staging"]);
    for (settings, expected) in [
        (&["classifier.model=model-0", "model.shadow=staging"][..], "classifier.model is the folder model-0"),
        (&["classifier.model=means@production", "model.split.staging=1"], "no share for means@production"),
        (&["classifier.model=means@production", "model.shadow=production"], "publishes already"),
        (&["classifier.model=means@production", "model.split.production=x"], "a whole number from 0"),
    ] {
        let settings: Vec<_> = settings.iter().flat_map(|it| ["--set", it]).collect();
        for command in [&["run"][..], &["config", "--check"]] {
            let ended = sandbox.run(&[command, &settings].concat()).expect(1);
            assert!(ended.errors.contains(expected), "{command:?} {settings:?}: {}", ended.errors);
        }
    }
    let split = ["run", "--model", "means@production", "--set", "model.split.production=1"];
    let ended = sandbox.run(&[&split[..], &["--set", "model.split.staging=1"]].concat()).expect(1);
    assert!(ended.errors.contains("knows other classes"), "{}", ended.errors);
    let ended = sandbox.run(&[&split[..], &["--set", "model.split.nowhere=1"]].concat()).expect(1);
    assert!(ended.errors.contains("has no alias nowhere"), "{}", ended.errors);
    assert_eq!(sandbox.results().counts(), (0, 0));
}
