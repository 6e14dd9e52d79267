//! A cluster and a file: the same photos are the same files of predictions.

use autorma_broker::shared;
use autorma_e2e::{Ended, Photos, Sandbox, read_json};
use serde_json::Value;

/// When it was, and where in the log; and the micro-batch, which is whatever there was at the time.
const OF_THE_RUN: [&str; 7] =
    ["run_id", "run_timestamp", "duration_seconds", "processed_at", "timestamp", "batch_number", "origin"];

#[test]
fn both_homes_of_the_log_give_the_same_predictions() {
    let Some(photos) = Photos::shared() else { return };
    let (embedded, kafka) = (Sandbox::new(), Sandbox::on_kafka(&shared().bootstrap()));
    assert!(!embedded.is_on_kafka(), "LOG=kafka leaves nothing to compare with");
    embedded.drop_photos(photos.good.iter().step_by(7).map(|(path, _)| path));
    for (number, photo) in photos.bad.iter().enumerate() {
        embedded.drop_photo(photo, format!("bad-{number}.jpg"));
    }
    // Of the same folder: what an image is called, and its id, depend on where it is.
    let mut command = kafka.command(&["run", "--json"]);
    command.env("AUTORMA_INGEST_INPUT", embedded.input());
    let said = [embedded.run_batch(), kafka.spawn(command).wait()].map(|it| predictions(&it.expect(2)));
    let [embedded, kafka] = said;
    assert!(
        embedded["successful"].as_u64() > Some(40) && embedded["failed"].as_u64() > Some(0),
        "{embedded}"
    );
    assert_eq!(embedded, kafka);
}

/// The file that the run has written, but for what is of this run alone.
fn predictions(run: &Ended) -> Value {
    let path = run.json()["results_path"].as_str().unwrap().to_owned();
    let mut file = read_json(path.as_ref()).unwrap();
    strip(&mut file);
    for list in ["predictions", "failed_images"] {
        let list = file[list].as_array_mut().unwrap();
        list.sort_by_key(|it| it["image_name"].as_str().unwrap().to_owned());
    }
    file
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !OF_THE_RUN.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}
