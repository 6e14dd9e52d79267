//! The same event more than once.

use std::fs;

use autorma_broker::shared;
use autorma_e2e::{Daemon, Photos, Sandbox, eventually, read_json};
use autorma_schemas::{ImageEvent, Prediction, topics};

use crate::outsider::{Outsider, append, inline};

#[test]
fn an_event_that_comes_three_times_is_one_image() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let mut outsider = Outsider::of(&sandbox, shared());
    let event = inline(&photos.good[0].0, "thrice.jpg");
    let other = inline(&photos.good[1].0, "once.jpg");
    outsider.send([&event, &event, &other, &event].map(append).into());
    let classifier = Daemon::of(&sandbox, sandbox.command(&["classify"])).ready();
    // Whoever reads the topic tells them by their id.
    let predictions: Vec<Prediction> = outsider.events(topics::PREDICTIONS, 4);
    assert_eq!(predictions.iter().filter(|it| it.event_id == event.event_id).count(), 3);
    classifier.end();
    // All are there before the run's seconds begin, however slowly they came.
    let sink = Daemon::of(&sandbox, sandbox.command(&["sink", "--set", "sink.run_length=10s"])).ready();
    let run = eventually("the run of what comes from outside is finished", || {
        let runs = sandbox.run(&["runs", "--json"]).expect(0).json();
        runs.as_array()?.iter().find(|run| run["state"] == "finished").cloned()
    });
    assert_eq!((&run["predictions"], &run["duplicates"]), (&2.into(), &2.into()), "{run}");
    sink.end();
    let results = sandbox.results();
    assert_eq!(results.counts(), (2, 0));
    let prediction = results.prediction("thrice.jpg");
    assert_eq!(prediction["attributes"], serde_json::json!({"order": "of thrice.jpg"}));
}

#[test]
fn within_a_run_too() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let mut outsider = Outsider::of(&sandbox, shared());
    // `produce` opens the run, and counts the images in it.
    let files: Vec<_> = (0..5).map(|number| sandbox.path().join(format!("scan-{number}.jpg"))).collect();
    for (file, (photo, _)) in files.iter().zip(&photos.good) {
        fs::copy(photo, file).unwrap();
    }
    let arguments = ["produce", "--inline", "--run", "monday", "--attribute", "order=4711"];
    let arguments = arguments.into_iter().chain(files.iter().map(|file| file.to_str().unwrap()));
    sandbox.run(&arguments.collect::<Vec<_>>()).expect(0);
    // Somebody else sends one of them again and again, before anything is classified.
    let images = outsider.events::<ImageEvent>(topics::IMAGES, 5);
    let event = images.iter().find(|event| event.name == "scan-3.jpg").unwrap();
    outsider.send([event, event].map(append).into());
    sandbox.run_batch().expect(0);
    // Which of the others are in it isn't sure: each that names the run takes the place of one.
    let monday = read_json(&sandbox.output().join("predictions_monday.json")).unwrap();
    let predictions = monday["predictions"].as_array().unwrap();
    let of_the_photo: Vec<_> = predictions.iter().filter(|it| it["image_name"] == "scan-3.jpg").collect();
    let [one] = of_the_photo[..] else { panic!("{monday}") };
    assert_eq!((&one["attributes"]["order"], &one["event_id"]), (&"4711".into(), &event.event_id[..].into()));
}
