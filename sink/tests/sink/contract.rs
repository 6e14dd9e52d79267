//! The results file keeps the contract of the system that autorma replaces.

use std::path::Path;

use autorma_schemas::{ClassProbability, Decision, Micros, ModelVersion, RunState, Shadow, topics};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::shape::Shape;
use crate::workplace::{OPENED, Workplace, append, dead_letter, entries, outcome, prediction, run};

const RUN: &str = "20261123_153147";

/// The file that was recorded from the earlier system; it lies beside the repository.
fn golden() -> Option<String> {
    let name = format!("../../shared/contract/golden/predictions_{RUN}.json");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if std::env::var_os("CI").is_some() => panic!("{}: {error}", path.display()),
        Err(error) => {
            eprintln!("not compared with the contract: {}: {error}", path.display());
            None
        }
    }
}

/// A local time of the contract as an instant.
fn instant(time: &Value) -> Micros {
    let time: DateTime = time.as_str().unwrap().parse().unwrap();
    Micros(time.to_zoned(TimeZone::system()).unwrap().timestamp().as_microsecond())
}

#[test]
fn the_results_file_is_that_of_the_earlier_system() {
    let Some(golden) = golden() else { return };
    let values: Value = serde_json::from_str(&golden).unwrap();
    let workplace = Workplace::new();
    for (number, entry) in (1..).zip(values["predictions"].as_array().unwrap()) {
        let mut prediction = prediction(Some(RUN), number);
        prediction.name = entry["image_name"].as_str().unwrap().into();
        prediction.uri = Some(format!("file:///{}", entry["image_path"].as_str().unwrap()));
        prediction.batch_number = entry["batch_number"].as_i64().unwrap();
        prediction.processed_at = instant(&entry["processed_at"]);
        let classes = ["casual shoes", "handbags", "shirts", "tops", "watches"];
        let probability = |label: &str| entry["probabilities"][label].as_f64().unwrap();
        prediction.probabilities = classes
            .map(|label| ClassProbability { label: label.into(), probability: probability(label) })
            .into();
        workplace.append([append(topics::PREDICTIONS, &prediction)]);
    }
    let failed = values["failed_images"].as_array().unwrap();
    for (number, entry) in (100..).zip(failed) {
        let mut letter = dead_letter(Some(RUN), number);
        letter.name = entry["image_name"].as_str().unwrap().into();
        letter.batch_number = entry["batch_number"].as_i64().unwrap();
        letter.failed_at = instant(&entry["timestamp"]);
        workplace.append([append(topics::DEAD_LETTERS, &letter)]);
    }
    workplace.append([run(RUN, RunState::Closed, 12)]);
    let sink = workplace.sink();
    sink.wait_for_run(RUN);
    sink.stop();

    let results = String::from_utf8(workplace.results(RUN)).unwrap();
    let shape: Shape = serde_json::from_str(&results).unwrap();
    shape.check(&serde_json::from_str(&golden).unwrap(), "results");
    let ours: Value = serde_json::from_str(&results).unwrap();
    for key in ["run_timestamp", "total_images", "successful", "failed"] {
        assert_eq!(ours[key], values[key], "{key}");
    }
    same(&ours["predictions"], &values["predictions"], &["image_path"]);
    same(&ours["failed_images"], &values["failed_images"], &["error"]);
    // Laid out in the same way, too: the beginning up to the first path is the same text.
    let head = |text: &str| {
        let text = &text[..text.find("\"image_path\"").unwrap()];
        text.lines().filter(|line| !line.contains("duration_seconds")).map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(head(&results), head(&golden));
    assert!(results.ends_with("\n}"));
}

/// Whether each entry says what the other does, but for some keys.
fn same(ours: &Value, golden: &Value, but: &[&str]) {
    for (ours, golden) in ours.as_array().unwrap().iter().zip(golden.as_array().unwrap()) {
        for (key, value) in golden.as_object().unwrap().iter().filter(|(key, _)| !but.contains(&key.as_str()))
        {
            assert_eq!(&ours[key], value, "{key}");
        }
    }
}

#[test]
fn entries_and_summary_say_where_everything_comes_from() {
    let workplace = Workplace::new();
    workplace.append((1..=12).rev().map(|number| outcome(RUN, number)));
    workplace.append([outcome(RUN, 5), run(RUN, RunState::Closed, 13)]);
    let sink = workplace.sink();
    sink.wait_for_run(RUN);
    let finished = sink.progress.snapshot().finished.remove(0);
    assert_eq!((finished.predictions, finished.dead_letters), (9, 3));
    let output = workplace.output.path().canonicalize().unwrap();
    assert_eq!(finished.results, autorma_sink::results_path(&output, RUN));
    sink.stop();

    let results = workplace.results(RUN);
    let predictions = entries(&results, "predictions");
    let names: Vec<_> = predictions.iter().map(|entry| entry["image_name"].as_str().unwrap()).collect();
    let expected = [1, 2, 3, 5, 6, 7, 9, 10, 11].map(|number| format!("img_{number:02}.jpg"));
    assert_eq!(names, expected, "in the order of their producer");
    let entry = &predictions[0];
    assert_eq!(entry["image_path"], "/in/img_01.jpg");
    assert_eq!(entry["image_uri"], "file:///in/img_01.jpg");
    assert_eq!(entry["attributes"]["order"], "1");
    assert_eq!(entry["origin"]["offset"], 1);
    assert_eq!((&entry["model"]["version"], &entry["decision"]), (&"7".into(), &"accept".into()));
    let text = String::from_utf8(results.clone()).unwrap();
    assert!(
        text.contains("\"unknown_probability\": 0.30000000000000004,"),
        "numbers are as they were computed"
    );
    let failed = &entries(&results, "failed_images")[0];
    assert_eq!(failed["error"], "undecodable: the file ends early");
    assert_eq!(failed["reason"], "undecodable");

    let summary = workplace.summary(RUN);
    assert_eq!((summary.images, summary.discovered, summary.duplicates), (13, 12, 1));
    assert_eq!((summary.predictions, summary.dead_letters, summary.already_done), (9, 3, 2));
    assert_eq!(summary.predictions_by_class["shirts"], 9);
    assert_eq!(summary.dead_letters_by_reason["undecodable"], 3);
    assert_eq!(
        (summary.decisions["accept"], summary.decisions["review"], summary.decisions["unknown"]),
        (6, 3, 0)
    );
    assert_eq!((summary.models.len(), summary.models[0].predictions), (1, 9));
    assert_eq!(summary.confidence.unwrap().p50, 0.98);
    assert_eq!((summary.duration_seconds, summary.images_per_second), (0.12, 100.0));
    assert_eq!(summary.opened_at, jiff::Timestamp::from_microsecond(OPENED).unwrap().to_string());
    assert_eq!(summary.results, format!("predictions_{RUN}.json"));
}

/// Who reads the results file sees nothing of comparisons, not even another byte.
#[test]
fn arms_and_shadows_are_in_the_summary_alone() {
    let files = [false, true].map(|compares| {
        let workplace = Workplace::new();
        for number in 1..=9 {
            let mut it = prediction(Some(RUN), number);
            if compares {
                it.arm = Some(if number % 3 == 0 { "staging" } else { "production" }.into());
                // One to review is published as that; what the shadow accepts is another decision then.
                let (class, version) =
                    (if number < 3 { "tops" } else { "shirts" }, if number < 7 { "8" } else { "9" });
                it.shadow = (number < 9).then(|| Shadow {
                    predicted_class: class.into(),
                    confidence: 0.5,
                    unknown_probability: 0.0,
                    decision: Decision::Accept,
                    model: ModelVersion { version: version.into(), ..it.model.clone() },
                });
            }
            workplace.append([append(topics::PREDICTIONS, &it)]);
        }
        workplace.append([run(RUN, RunState::Closed, 9)]);
        let sink = workplace.sink();
        sink.wait_for_run(RUN);
        sink.stop();
        (workplace.results(RUN), workplace.summary(RUN))
    });
    let [(results, without), (with_results, with)] = files;
    assert_eq!(String::from_utf8(results).unwrap(), String::from_utf8(with_results).unwrap());
    assert!(without.arms.is_empty() && without.shadow.is_none());
    let shadow = with.shadow.unwrap();
    assert_eq!((shadow.all.compared, shadow.all.same), (8, 4));
    assert_eq!((shadow.all.other_decision, shadow.all.other_class), (2, 2));
    let told = shadow.pairs.iter().map(|it| (&*it.published.version, &*it.shadow.version, it.agreements));
    let [of_8, of_9] = told.collect::<Vec<_>>()[..] else { panic!("{:?}", shadow.pairs) };
    assert_eq!((of_8.0, of_8.1, of_8.2.compared, of_8.2.other_class), ("7", "8", 6, 2));
    assert_eq!((of_9.0, of_9.1, of_9.2.compared, of_9.2.other_class), ("7", "9", 2, 0));
    assert_eq!(with.arms.keys().collect::<Vec<_>>(), ["production", "staging"]);
    let staging = &with.arms["staging"];
    assert_eq!((staging.predictions, staging.decisions["review"], staging.decisions["accept"]), (3, 3, 0));
    assert_eq!((staging.mean_confidence, staging.predictions_by_class["shirts"]), (Some(0.98), 3));
    assert_eq!((with.arms["production"].predictions, staging.models[0].predictions), (6, 3));
}
