//! Somebody moves the sink's offsets with Kafka's tools. What it has in files, it knows from the files.

use std::collections::BTreeSet;

use autorma_broker::shared;
use autorma_e2e::{Daemon, Photos, Sandbox, eventually};

use crate::told;

const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

/// Resets all offsets of the sink, which isn't there.
fn reset(sandbox: &Sandbox, to: &str) {
    let group = format!("{}sink", sandbox.prefix());
    let args = ["--group", &group, "--all-topics", "--reset-offsets", to, "--execute"];
    eventually("the group is empty, and its offsets are moved", || {
        let (done, said) = told(shared().tool(GROUPS, &args).unwrap());
        // It says so, with a good status, as long as a member is there.
        (done && !said.contains("Error")).then_some(())
    });
}

fn sink(sandbox: &Sandbox) -> Daemon {
    Daemon::of(sandbox, sandbox.command(&["sink"])).ready()
}

#[test]
fn offsets_that_somebody_moves_change_nothing() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let drop_in = |from: usize, to: usize| {
        for (number, (photo, _)) in photos.good.iter().enumerate().take(to).skip(from) {
            sandbox.drop_photo(photo, format!("photo-{number:05}.jpg"));
        }
    };
    drop_in(0, 12);
    let of = |stage: &str| Daemon::of(&sandbox, sandbox.command(&[stage, "--set", "ingest.run_length=1h"]));
    let (ingest, classifier) = (of("ingest").ready(), of("classify").ready());
    let before = sink(&sandbox);
    before.outcomes(12);
    before.end();
    // Back to what is in files already.
    reset(&sandbox, "--to-earliest");
    let back = sink(&sandbox);
    drop_in(12, 20);
    back.outcomes(8);
    back.end();
    // Over what isn't in files yet.
    drop_in(20, 30);
    eventually("ten more are classified", || {
        (classifier.metric("autorma_classifier_predictions_total")? >= 30.0).then_some(())
    });
    reset(&sandbox, "--to-latest");
    let over = sink(&sandbox);
    over.outcomes(10);
    ingest.end();
    eventually("the run is finished", || {
        let runs = sandbox.status()["runs"].clone();
        runs.as_array()?.iter().all(|run| run["state"] == "finished").then_some(())
    });
    over.end();
    classifier.end();
    let names = (0..30).map(|number| format!("photo-{number:05}.jpg")).collect();
    sandbox.results().expect(&names, &BTreeSet::new()).unwrap();
}

#[test]
fn what_has_no_run_is_not_lost_either() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let classifier = Daemon::of(&sandbox, sandbox.command(&["classify"])).ready();
    let produce = |from: usize, to: usize| {
        let files = photos.good[from..to].iter().map(|(photo, _)| photo.to_str().unwrap());
        sandbox.run(&[&["produce", "--inline"], &*files.collect::<Vec<_>>()].concat()).expect(0);
        eventually("they are classified", || {
            (classifier.metric("autorma_classifier_predictions_total")? >= to as f64).then_some(())
        });
    };
    produce(0, 3);
    let before = sink(&sandbox);
    before.outcomes(3);
    before.end();
    produce(3, 8);
    reset(&sandbox, "--to-latest");
    let over = Daemon::of(&sandbox, sandbox.command(&["sink", "--set", "sink.run_length=1s"])).ready();
    over.outcomes(5);
    eventually("all are in finished runs", || {
        let runs = sandbox.status()["runs"].clone();
        let finished = runs.as_array()?.iter().filter(|run| run["state"] == "finished");
        (finished.filter_map(|run| run["predictions"].as_u64()).sum::<u64>() == 8).then_some(())
    });
    over.end();
    classifier.end();
}
