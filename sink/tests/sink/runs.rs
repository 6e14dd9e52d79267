//! Which run an outcome goes to, and what readers of the output folder see.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use autorma_schemas::{DeadLetter, Origin, RunState, topics};
use autorma_sink::Counts;
use autorma_stream::{Append, Log, NoRebalance, PollLimit, Subscription, Transaction};
use serde_json::Value;

use crate::faulty::{Fault, Faulty};
use crate::workplace::{
    LONG, Workplace, append, dead_letter, entries, is_filed, is_lag_zero, outcome, outcome_in, prediction,
    run,
};

const RUN: &str = "20261123_153147";
const NEXT: &str = "20261123_160000";
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn two_runs_at_a_time() {
    let workplace = Workplace::new();
    let sink = workplace.sink();
    for number in 1..=50 {
        workplace.append([outcome(RUN, number), outcome(NEXT, number)]);
    }
    sink.wait_for_outcomes(100);
    let open = sink.progress.snapshot().open;
    assert_eq!(open[RUN], Counts { images: None, predictions: 38, dead_letters: 12, duplicates: 0 });
    workplace.append([run(NEXT, RunState::Closed, 50)]);
    sink.wait_for_run(NEXT);
    assert!(sink.progress.snapshot().open.contains_key(RUN));
    workplace.append([run(RUN, RunState::Closed, 50)]);
    sink.wait_for_run(RUN);
    // Its own records are read as well: then nothing is left to do.
    sink.wait(|snapshot| is_filed(snapshot, &workplace));
    assert_eq!(sink.metrics.runs_finished.get(), 2);
    sink.stop();
    assert_eq!(entries(&workplace.results(RUN), "predictions").len(), 38);
    assert_eq!(workplace.summary(NEXT).discovered, 50);
    assert!(is_lag_zero(&workplace));
}

#[test]
fn a_run_without_images_has_files_too() {
    let workplace = Workplace::new();
    workplace.append([run(RUN, RunState::Open, 0), run(RUN, RunState::Closed, 0)]);
    let sink = workplace.sink();
    sink.wait_for_run(RUN);
    sink.stop();
    assert_eq!(entries(&workplace.results(RUN), "predictions"), Vec::<Value>::new());
    assert_eq!((workplace.summary(RUN).images, workplace.summary(RUN).confidence), (0, None));
}

#[test]
fn duplicates_are_dropped_and_counted_wherever_they_come() {
    let workplace = Workplace::new();
    // In the same flush, in a later one, after a restart, and as another kind of outcome.
    workplace.append([outcome(RUN, 1), outcome(RUN, 1), outcome(RUN, 2)]);
    let sink = workplace.sink();
    sink.wait_for_outcomes(2);
    workplace.append([outcome(RUN, 2)]);
    sink.wait(|snapshot| snapshot.open.get(RUN).is_some_and(|counts| counts.duplicates == 2));
    sink.stop();
    let sink = workplace.sink();
    workplace.append([append(topics::DEAD_LETTERS, &dead_letter(Some(RUN), 1)), outcome(RUN, 3)]);
    workplace.append([run(RUN, RunState::Closed, 6)]);
    sink.wait_for_run(RUN);
    sink.stop();
    let summary = workplace.summary(RUN);
    assert_eq!((summary.predictions, summary.dead_letters, summary.duplicates), (3, 0, 3));
    assert_eq!(entries(&workplace.results(RUN), "predictions").len(), 3);
}

#[test]
fn what_no_run_takes_gets_files_of_its_own() {
    let workplace = Workplace::new();
    workplace.append([outcome(RUN, 1), run(RUN, RunState::Closed, 1)]);
    let sink = workplace.sink();
    sink.wait_for_run(RUN);
    // Late, without a run, and records that aren't image events: two of them are two.
    let unreadable = |offset| DeadLetter {
        event_id: None,
        run_id: None,
        name: String::new(),
        uri: None,
        origin: Origin { topic: topics::IMAGES.into(), partition: 0, offset },
        ..dead_letter(None, 1)
    };
    workplace.append([outcome(RUN, 2), outcome_in(None, 3)]);
    workplace.append([7, 8, 7].map(|offset| append(topics::DEAD_LETTERS, &unreadable(offset))));
    sink.wait_for_outcomes(5);
    sink.wait(|snapshot| snapshot.open.values().any(|counts| counts.duplicates == 1));
    let outside = sink.progress.snapshot().open.keys().next().unwrap().clone();
    assert!(outside.starts_with("outside_"), "{outside}");
    sink.stop();

    // It goes on after a restart, and ends when its time is over.
    let sink = workplace.sink();
    workplace.append([outcome_in(None, 5)]);
    sink.wait_for_outcomes(1);
    assert_eq!(sink.progress.snapshot().open.keys().collect::<Vec<_>>(), [&outside]);
    sink.stop();
    let log = Arc::new(workplace.log.clone());
    let sink = workplace.sink_on(log, workplace.output.path(), Duration::from_millis(1));
    sink.wait_for_run(&outside);
    sink.stop();
    let summary = workplace.summary(&outside);
    assert_eq!((summary.predictions, summary.dead_letters, summary.duplicates), (3, 2, 1));
    assert_eq!((summary.images, &*summary.input), (6, "outside"));
    assert_eq!(workplace.states(&outside), [RunState::Finished]);
    let failed = entries(&workplace.results(&outside), "failed_images");
    assert_eq!(failed[0]["image_name"], "images-0@7");
    assert_eq!(workplace.summary(RUN).discovered, 1, "a finished run stays as it is");
}

/// As after the machine has slept: the sink reads on where it was, whatever the group has committed.
#[test]
fn partitions_that_went_away_come_back() {
    let workplace = Workplace::new();
    let sink = workplace.sink();
    workplace.append((1..=10).map(|number| outcome(RUN, number)));
    sink.wait_for_outcomes(10);
    let topics = [topics::PREDICTIONS, topics::DEAD_LETTERS, topics::RUNS].map(String::from).into();
    let subscription = Subscription { group: autorma_sink::GROUP.into(), topics, slot: "another".into() };
    let mut other = workplace.log.subscribe(subscription, Box::new(NoRebalance)).unwrap();
    let (mut taken, begun) = (Vec::new(), std::time::Instant::now());
    workplace.append((11..=60).map(|number| outcome(RUN, number)));
    while taken.is_empty() && begun.elapsed() < LONG {
        taken = other.poll(PollLimit { records: 1, bytes: 1 << 20 }, Duration::from_millis(50)).unwrap();
        workplace.append([outcome(RUN, 1)]);
    }
    assert!(!taken.is_empty(), "the other member has got a partition");
    other.leave().unwrap();
    sink.wait_for_outcomes(60);
    workplace.append([outcome(RUN, 61)]);
    sink.wait_for_outcomes(61);
    sink.wait(|snapshot| is_filed(snapshot, &workplace));
    let images = sink.progress.snapshot().open[RUN].duplicates + 61;
    workplace.append([run(RUN, RunState::Closed, images as i64)]);
    sink.wait_for_run(RUN);
    sink.wait(|snapshot| is_filed(snapshot, &workplace));
    sink.stop();
    assert_eq!(workplace.summary(RUN).discovered, 61);
    assert!(is_lag_zero(&workplace));
}

/// Nor does the group come to know later: no outcome comes after the one whose offsets it has refused.
#[test]
fn offsets_that_were_refused_are_committed_though_nothing_new_comes() {
    let workplace = Workplace::new();
    workplace.sink().stop();
    let log = Faulty::new(&workplace.log, Fault::AssignmentEnds);
    let sink = workplace.sink_on(Arc::<Faulty>::clone(&log), workplace.output.path(), HOUR);
    workplace.append([outcome(RUN, 1)]);
    sink.wait_for_outcomes(1);
    assert!(log.has_failed());
    let begun = std::time::Instant::now();
    while !is_lag_zero(&workplace) {
        assert!(begun.elapsed() < LONG, "the lag stays");
        std::thread::sleep(Duration::from_millis(5));
    }
    sink.stop();
}

#[test]
fn what_is_no_outcome_is_passed_over_and_what_is_newer_stops_the_sink() {
    let workplace = Workplace::new();
    let raw = |topic: &str, value: &[u8]| Append {
        topic: topic.into(),
        partition: Some(0),
        value: value.to_vec(),
        ..Append::default()
    };
    // In Confluent's framing, which is no autorma's: for the start, and for a sink at work.
    let foreign = b"\0\0\0\0\x01of another system";
    workplace.append([raw(topics::PREDICTIONS, b"hello"), raw(topics::RUNS, foreign), outcome(RUN, 1)]);
    let sink = workplace.sink();
    sink.wait_for_outcomes(1);
    let topics = [topics::PREDICTIONS, topics::DEAD_LETTERS, topics::RUNS];
    workplace.append(topics.map(|topic| raw(topic, foreign)));
    workplace.append([outcome(RUN, 2)]);
    sink.wait_for_outcomes(2);
    sink.wait(|snapshot| is_filed(snapshot, &workplace));
    workplace.append([raw(topics[0], b"\xC3\x01\x00\x01\x02\x03\x04\x05\x06\x07\x08")]);
    let error = sink.fail();
    assert!(matches!(error, autorma_sink::Error::Newer { .. }), "{error}");
}

/// Whatever the moment: the files ending in `.json` are whole, and no event is in two of them or twice in one.
#[test]
fn readers_see_whole_files_and_each_prediction_once() {
    let workplace = Workplace::new();
    let (stop, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                look(workplace.output.path());
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        let sink = workplace.sink();
        for number in 0..10 {
            let name = format!("20261123_16{number:02}00");
            let images = (1..=40)
                .map(|image| append(topics::PREDICTIONS, &prediction(Some(&name), number * 100 + image)));
            workplace.append(images);
            workplace.append([run(&name, RunState::Closed, 40)]);
        }
        sink.wait(|snapshot| snapshot.finished.len() == 10);
        sink.stop();
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(look(workplace.output.path()), 400);
    assert!(looks.into_inner() > 1);
}

pub(crate) fn look(output: &std::path::Path) -> usize {
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(output).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            for entry in entries(&fs::read(&path).unwrap(), "predictions") {
                let event_id = entry["event_id"].as_str().unwrap().to_owned();
                assert!(seen.insert(event_id), "{} has an event a second time", path.display());
            }
        }
    }
    seen.len()
}

/// A hundred thousand images: `cargo test --release -p autorma-sink -- --ignored --nocapture`.
#[test]
#[ignore = "takes seconds, for looking at time and memory"]
fn a_large_run() {
    let workplace = Workplace::new();
    let mut producer = workplace.log.producer("many").unwrap();
    for thousand in 0..100 {
        let appends = (1..=1000).map(|number| outcome(RUN, thousand * 1000 + number)).collect();
        producer.commit(&Transaction { appends, advance: None }).unwrap();
    }
    let before = memory();
    let begun = std::time::Instant::now();
    let sink = workplace.sink();
    sink.wait_for_outcomes(100_000);
    println!("durable after {:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    workplace.append([run(RUN, RunState::Closed, 100_000)]);
    sink.wait_for_run(RUN);
    println!("finished in {:?}; {} kB of memory, {before} kB before", begun.elapsed(), memory());
    sink.stop();
    assert_eq!(workplace.summary(RUN).discovered, 100_000);
}

/// The most memory that this process has had, in kB.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Not a benchmark: a guard against something that waits for a second.
#[test]
fn an_idle_sink_is_quick() {
    let workplace = Workplace::new();
    let sink = workplace.sink();
    let mut fastest = LONG;
    for number in 1..=10 {
        let begun = std::time::Instant::now();
        workplace.append([outcome(RUN, number)]);
        sink.wait_for_outcomes(number as u64);
        fastest = fastest.min(begun.elapsed());
    }
    sink.stop();
    assert!(fastest < Duration::from_millis(900), "{fastest:?}");
}
