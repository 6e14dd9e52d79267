use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use autorma_models::handmade::{SIDE, means, negatives, write};
use autorma_models::registry::{FolderRegistry, Location, Registry, Signed, Source};
use autorma_schemas::Micros;
use autorma_service::settings::Settings;
use autorma_stream::embedded::Embedded;
use autorma_stream::{Assignment, Offset, Record, StoredRecord, TopicPartition};

use super::*;
use crate::fixtures::event;
use crate::outcome::{Decoded, Outcome, origin};
use crate::swapping::Opening;
use crate::{Picture, Runtime};

fn record(assignment: &Assignment, offset: i64) -> Record {
    let at = TopicPartition::new("images", 0);
    let (value, headers) = (Vec::new(), Vec::new());
    let stored = StoredRecord { at, offset: Offset(offset), key: None, value, headers, appended_at: 0 };
    Record { stored, assignment: assignment.clone() }
}

/// A grey picture, whatever the record is.
fn decoded(record: Record) -> Decoded {
    let picture = Picture(vec![100; (3 * SIDE * SIDE) as usize]);
    let origin = origin(&record.stored);
    Decoded { assignment: record.assignment, origin, event: event(), picture, trace: Vec::new() }
}

/// A desk with a micro-batch of so many pictures, and another one of a single picture behind it.
fn laid(assignment: &Assignment, pictures: usize) -> Desk {
    let desk = Desk::new(pictures + 1, pictures, Duration::from_secs(3600));
    desk.admit((0..=pictures as i64).map(|offset| record(assignment, offset)).collect());
    let begun: Vec<_> = (0..=pictures).map(|_| desk.next_task()).collect();
    for task in begun {
        match task {
            Some(Task::Decode(record)) => desk.decoded(Ok(decoded(record))),
            other => panic!("{other:?}"),
        }
    }
    desk
}

/// The versions by which both micro-batches are computed, where an alias moves from 1 to 2 during the first; and whether
/// the workers had been given 2 before the end of it.
fn computed(
    config: &Config,
    runtime: &Runtime,
    point: &dyn Fn(u64),
    pictures: usize,
) -> ([BTreeSet<String>; 2], bool) {
    let (metrics, shutdown) = (Metrics::new(&prometheus::Registry::new()).unwrap(), Shutdown::new());
    point(1);
    let Opening { manifest, mut kits, mut followers } =
        Opening::of(config, runtime, &metrics, &shutdown).unwrap().unwrap();
    point(2);
    let (kit, follower) = (kits.remove(0), followers.remove(0));
    let (log, assignment) = (Embedded::in_memory().unwrap(), Assignment::begin());
    let fetcher = Fetcher::new(&[], &[], 10, &log).unwrap();
    let (desk, rack) = (laid(&assignment, pictures), Rack::new(1));
    let bench =
        Bench { desk: &desk, fetcher: &fetcher, rack: &rack, config, metrics: &metrics, shutdown: &shutdown };
    let (bench, manifest, (tell, told)) = (&bench, &manifest, mpsc::channel());
    let is_in_time = thread::scope(|scope| {
        scope.spawn(move || work(bench, 0, kit, Decoder::new(SIDE, SIDE, bench.config.limits)));
        while bench.desk.queues().ready > 1 {
            thread::yield_now();
        }
        scope.spawn(move || follower.follow(runtime, manifest, bench, || _ = tell.send(())));
        let has_come = told.recv().is_ok();
        let is_in_time = has_come && bench.desk.queues().done == 0;
        bench.desk.close();
        bench.shutdown.request();
        is_in_time
    });
    let mut versions = [BTreeSet::new(), BTreeSet::new()];
    for outcome in desk.next_commit().unwrap().outcomes {
        let prediction = match outcome {
            Outcome::Prediction(prediction) => prediction,
            other => panic!("{other:?}"),
        };
        let batch = usize::from(prediction.origin.offset == pictures as i64);
        versions[batch].insert(prediction.model.version.clone());
    }
    (versions, is_in_time)
}

#[test]
fn a_version_that_comes_while_a_micro_batch_is_computed_waits_for_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let signed = || Signed { at: Micros(7), by: "a test".into(), why: String::new() };
    let registry = FolderRegistry::new(folder.path().join("registry"));
    for (name, onnx) in [("first", means()), ("second", negatives())] {
        write(&folder.path().join(name), "means", &onnx).unwrap();
        registry.register(&folder.path().join(name), &signed()).unwrap();
    }
    let point = |version| _ = registry.point("means", "production", version, &signed()).unwrap();
    let location = Location::Folder(folder.path().join("registry"));
    let config = Config {
        model: Source::Registered("means@production".parse().unwrap()),
        workers: 1,
        ..Config::read(&mut Settings::default(), location)
    };
    let runtime = Runtime::of_the_clone();
    // Large enough for the version to come in time, on any machine.
    let mut pictures = 1000;
    loop {
        let (versions, is_in_time) = computed(&config, &runtime, &point, pictures);
        let [first, next] = versions.each_ref().map(|it| it.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(first.len(), 1, "of several versions");
        if is_in_time && first == ["1"] {
            return assert_eq!(next, ["2"]);
        }
        pictures *= 2;
        assert!(pictures < 1_000_000, "it never comes in time");
    }
}
