//! Which run an outcome goes to, and what readers of the output folder see.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use autorma_schemas::{DeadLetter, Event, Micros, Origin, Prediction, RunRecord, RunState, sha256, topics};
use autorma_sink::{Counts, Snapshot};
use autorma_stream::{Append, Log, NoRebalance, PollLimit, Retention, Subscription, Transaction};
use serde_json::Value;

use crate::faulty::{Fault, Faulty};
use crate::telling::{said, said_on};
use crate::workplace::{
    LONG, OPENED, Workplace, append, dead_letter, entries, outcome, outcome_in, prediction, run,
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
    sink.stop();
    assert_eq!(entries(&workplace.results(RUN), "predictions").len(), 38);
    assert_eq!(workplace.summary(NEXT).discovered, 50);
    assert!(is_lag_zero(&workplace));
}

fn is_lag_zero(workplace: &Workplace) -> bool {
    let committed = workplace.log.committed(autorma_sink::GROUP).unwrap();
    ends(workplace).iter().all(|(at, end)| committed[at] >= *end)
}

fn ends(workplace: &Workplace) -> Vec<(autorma_stream::TopicPartition, autorma_stream::NextOffset)> {
    let of = |topic| workplace.log.bounds(topic).unwrap().into_iter().map(|it| (it.at, it.end));
    [topics::PREDICTIONS, topics::DEAD_LETTERS, topics::RUNS].into_iter().flat_map(of).collect()
}

fn is_filed(snapshot: &Snapshot, workplace: &Workplace) -> bool {
    ends(workplace).iter().all(|(at, end)| snapshot.durable.get(at).is_some_and(|durable| durable >= end))
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

#[test]
fn another_output_folder_gets_what_is_not_finished_and_nothing_twice() {
    let workplace = Workplace::new();
    workplace.append([outcome(RUN, 1), outcome(RUN, 2), run(RUN, RunState::Closed, 2)]);
    workplace.append([outcome(NEXT, 1), outcome_in(None, 1)]);
    let sink = workplace.sink();
    sink.wait_for_run(RUN);
    sink.wait_for_outcomes(4);
    sink.stop();

    let other = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(workplace.log.clone());
    let sink = workplace.sink_on(Arc::clone(&log), other.path(), HOUR);
    workplace.append([outcome(NEXT, 5), outcome(RUN, 2), outcome_in(None, 2)]);
    workplace.append([run(NEXT, RunState::Closed, 2)]);
    sink.wait_for_run(NEXT);
    sink.wait(|snapshot| is_filed(snapshot, &workplace));
    let open = sink.progress.snapshot().open;
    assert_eq!(open.len(), 1);
    assert_eq!(open.values().next().unwrap().predictions + open.values().next().unwrap().duplicates, 2);
    sink.stop();
    let text = fs::read(autorma_sink::results_path(other.path(), NEXT)).unwrap();
    assert_eq!(entries(&text, "predictions").len(), 2, "the run is whole");
    assert!(!autorma_sink::results_path(other.path(), RUN).exists());

    // Back in the first folder: the run that the other one has finished is finished.
    let sink = workplace.sink();
    sink.wait(|snapshot| is_filed(snapshot, &workplace));
    let open = sink.progress.snapshot().open;
    assert!(open.keys().all(|run_id| run_id.starts_with("outside_")), "{open:?}");
    // What has no run and came meanwhile is in both: the folder's own manifest decides, for anybody can move a group. What
    // is of a finished run, or came too late for one, is in the other.
    let counts = open.values().next().unwrap();
    assert_eq!((open.len(), counts.predictions, counts.duplicates), (1, 2, 0));
    sink.stop();
    assert!(workplace.left_over(NEXT).is_empty());
}

#[test]
fn outcomes_that_wait_in_another_output_folder_are_complained_of() {
    for (run_length, waits) in [(Duration::from_millis(1), false), (HOUR, true)] {
        let (workplace, former) = (Workplace::new(), tempfile::tempdir().unwrap());
        let without_run = Prediction { processed_at: Micros::now(), ..prediction(None, 2) };
        workplace.append([outcome(RUN, 1), run(RUN, RunState::Closed, 1)]);
        workplace.append([append(topics::PREDICTIONS, &without_run)]);
        let sink = workplace.sink_on(Arc::new(workplace.log.clone()), former.path(), run_length);
        sink.wait_for_run(RUN);
        sink.wait_for_outcomes(2);
        if !waits {
            sink.wait(|snapshot| snapshot.finished.len() == 2);
        }
        sink.stop();
        let told = said(&workplace, |snapshot| is_filed(snapshot, &workplace));
        assert_eq!(told.len(), usize::from(waits), "{told:?}");
        assert!(
            told.iter().all(|line| line.contains("once more") && line.contains("sink.output")),
            "{told:?}"
        );
    }
}

#[test]
fn a_sink_that_comes_back_to_a_folder_says_once_that_another_was_in_use() {
    let (workplace, other) = (Workplace::new(), tempfile::tempdir().unwrap());
    workplace.append([outcome(RUN, 1)]);
    let sink = workplace.sink();
    sink.wait_for_outcomes(1);
    sink.stop();
    workplace.append([outcome(RUN, 2)]);
    let sink = workplace.sink_on(Arc::new(workplace.log.clone()), other.path(), HOUR);
    sink.wait_for_outcomes(2);
    sink.stop();
    for times in [1, 0] {
        let told = said(&workplace, |snapshot| is_filed(snapshot, &workplace));
        assert_eq!(told.len(), times, "{told:?}");
        assert!(told.iter().all(|line| line.contains("further than this output folder")), "{told:?}");
    }
}

/// As with another folder each night, after a month of nights: what came meanwhile is in the others, and gone from the log.
#[test]
fn a_folder_of_long_ago_goes_on_where_the_log_begins_now() {
    for is_read in [true, false] {
        let workplace = Workplace::keeping(Retention::Age(Duration::ZERO));
        let other = tempfile::tempdir().unwrap();
        workplace.append([outcome(RUN, 1)]);
        let sink = workplace.sink();
        sink.wait_for_outcomes(1);
        sink.stop();
        workplace.append([append(topics::DEAD_LETTERS, &dead_letter(Some(RUN), 2))]);
        let sink = workplace.sink_on(Arc::new(workplace.log.clone()), other.path(), HOUR);
        sink.wait_for_outcomes(2);
        sink.stop();
        workplace.log.housekeep().unwrap();
        let bounds = workplace.log.bounds(topics::DEAD_LETTERS).unwrap();
        assert_eq!(bounds.iter().map(|it| it.end.0 - it.start.0).sum::<i64>(), 0, "all of them are gone");
        let is_filed = |snapshot: &Snapshot| is_filed(snapshot, &workplace);
        let told = match is_read {
            true => said(&workplace, is_filed),
            false => said_on(&*Faulty::new(&workplace.log, Fault::GroupForgotten), &workplace, is_filed),
        };
        assert_eq!(told.len(), usize::from(!is_read), "{told:?}");
        assert!(
            told.iter().all(|line| line.contains("records=1") && line.contains("before they were read")),
            "{told:?}"
        );
    }
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

/// The id of a run, and another that the first one's files are named after.
fn alike() -> [String; 2] {
    ["a/b".into(), format!("a_b-{}", &sha256(b"a/b")[..12])]
}

/// Two outcomes of each, as parts.
fn two_of_each(workplace: &Workplace, runs: &[String]) {
    workplace.append(runs.iter().flat_map(|run_id| [outcome(run_id, 1), outcome(run_id, 2)]));
    let sink = workplace.sink();
    sink.wait_for_outcomes(2 * runs.len() as u64);
    sink.stop();
}

/// Each by itself.
fn finishes(workplace: &Workplace, runs: &[String]) {
    let sink = workplace.sink();
    workplace.append(runs.iter().map(|run_id| run(run_id, RunState::Closed, 2)));
    runs.iter().for_each(|run_id| sink.wait_for_run(run_id));
    sink.stop();
    for run_id in runs {
        assert_eq!(entries(&workplace.results(run_id), "predictions").len(), 2);
        let summary = workplace.summary(run_id);
        assert_eq!((&summary.run_id, summary.discovered), (run_id, 2));
    }
}

#[test]
fn runs_whose_names_are_alike_have_files_of_their_own() {
    let (workplace, runs) = (Workplace::new(), alike());
    two_of_each(&workplace, &runs);
    finishes(&workplace, &runs);
}

/// As an earlier autorma had those of such runs.
#[test]
fn parts_that_lie_in_the_folder_of_another_run_are_of_their_own() {
    let (workplace, runs) = (Workplace::new(), alike());
    two_of_each(&workplace, &runs);
    let [shared, own] = [&runs[1], &format!("{}-{}", runs[1], &sha256(runs[1].as_bytes())[..12])]
        .map(|name| workplace.hidden().join(name));
    for part in fs::read_dir(own).unwrap() {
        let part = part.unwrap();
        fs::rename(part.path(), shared.join(part.file_name())).unwrap();
    }
    finishes(&workplace, &runs);
    assert_eq!(workplace.left_over(&runs[1]), Vec::<String>::new());
}

/// As where the file system doesn't tell cases apart, and the runs' names differ in nothing else.
#[test]
fn parts_of_another_run_in_the_same_folder_are_left_to_it() {
    let workplace = Workplace::new();
    let sink = workplace.sink();
    workplace.append([outcome(RUN, 1), outcome(NEXT, 2)]);
    sink.wait_for_outcomes(2);
    for name in workplace.left_over(NEXT) {
        let [from, to] = [NEXT, RUN].map(|run_id| workplace.hidden().join(run_id).join(&name));
        fs::rename(from, to).unwrap();
    }
    workplace.append([run(RUN, RunState::Closed, 1)]);
    sink.wait_for_run(RUN);
    sink.stop();
    let sink = workplace.sink();
    workplace.append([run(NEXT, RunState::Closed, 1)]);
    sink.wait_for_run(NEXT);
    sink.stop();
    for (run_id, name) in [(RUN, "img_01.jpg"), (NEXT, "img_02.jpg")] {
        let predictions = entries(&workplace.results(run_id), "predictions");
        assert_eq!((predictions.len(), &predictions[0]["image_name"]), (1, &name.into()));
    }
}

#[test]
fn results_of_a_run_of_the_same_name_on_another_log_are_kept() {
    for is_killed in [false, true] {
        let former = Workplace::new();
        former.append([outcome("monday", 1), run("monday", RunState::Closed, 1)]);
        let sink = former.sink();
        sink.wait_for_run("monday");
        sink.stop();
        // The data folder is lost, and the same command called again.
        let workplace = Workplace { log: Workplace::new().log, output: former.output };
        let output = workplace.output.path();
        let results = autorma_sink::results_path(output, "monday");
        let files = [results, autorma_sink::summary_path(output, "monday")];
        let contents = files.each_ref().map(|file| fs::read(file).unwrap());
        let kept = files.each_ref().map(|file| file.with_extension("old-1"));
        if is_killed {
            // Between the two.
            fs::rename(&files[0], &kept[0]).unwrap();
        }
        let closed = run("monday", RunState::Closed, 2);
        let record = RunRecord::decode(&closed.value).unwrap();
        let later = RunRecord { opened_at: Micros(OPENED + 60_000_000), ..record };
        let closed = Append { value: later.encode(), ..closed };
        workplace.append([outcome("monday", 2), outcome("monday", 3), closed]);
        let told = said(&workplace, |snapshot| !snapshot.finished.is_empty());
        assert!(told.len() == 1 && told[0].contains("old-1") && told[0].contains("monday"), "{told:?}");
        assert_eq!(kept.map(|file| fs::read(file).unwrap()), contents);
        assert_eq!(entries(&workplace.results("monday"), "predictions").len(), 2);
        assert_eq!(workplace.summary("monday").discovered, 2);
    }
}

/// The earlier system named its files like ours, and wrote no summaries.
#[test]
fn results_of_the_earlier_system_are_kept() {
    let workplace = Workplace::new();
    let results = autorma_sink::results_path(workplace.output.path(), RUN);
    // Facts of a photo may be called anything.
    let image =
        format!("{{\"image_name\": \"a.jpg\", \"attributes\": {{\n        \"run_id\": \"{RUN}\",\n}}}}");
    let former = format!("{{\n  \"run_timestamp\": \"{RUN}\",\n  \"predictions\": [{image}]\n}}");
    fs::write(&results, &former).unwrap();
    workplace.append([outcome(RUN, 1), run(RUN, RunState::Closed, 1)]);
    let told = said(&workplace, |snapshot| !snapshot.finished.is_empty());
    assert!(told.len() == 1 && told[0].contains("old-1") && told[0].contains(RUN), "{told:?}");
    assert_eq!(fs::read_to_string(results.with_extension("old-1")).unwrap(), former);
    assert_eq!(entries(&workplace.results(RUN), "predictions").len(), 1);
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
