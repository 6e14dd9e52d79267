//! An older copy of the log is put back, which has the name of the newer one and other records behind it.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use autorma_schemas::{Event, Micros, RunRecord, RunState, topics};
use autorma_stream::embedded::Embedded;
use autorma_stream::{Append, Log, NextOffset, Retention, TopicPartition};
use tempfile::TempDir;

use crate::faulty::{Fault, Faulty};
use crate::runs::look;
use crate::telling::{said, said_on};
use crate::workplace::{OPENED, Workplace, outcome, run};

const BEFORE: &str = "20261123_150000";
/// It is open when the log is copied.
const OPEN: &str = "20261123_151500";
const LOST: &str = "20261123_153147";
const AFTER: &str = "20261123_160000";

/// Whose log is in this folder.
fn workplace_in(data: &Path, output: TempDir) -> Workplace {
    let workplace = Workplace { log: Embedded::open(&data.join("log.sqlite")).unwrap(), output };
    workplace.create_topics(Retention::Age(Duration::from_secs(3600)));
    workplace
}

/// A whole run.
fn publish(workplace: &Workplace, run_id: &str, images: Range<i64>) {
    let count = images.end - images.start;
    workplace.append(images.map(|number| outcome(run_id, number)));
    workplace.append([run(run_id, RunState::Closed, count)]);
}

/// What a sink says that finishes the run.
fn finish(workplace: &Workplace, run_id: &str) -> Vec<String> {
    said(workplace, |snapshot| snapshot.finished.iter().any(|finished| finished.run_id == run_id))
}

/// Where each partition ends.
fn ends(workplace: &Workplace) -> Vec<NextOffset> {
    let of = |topic| workplace.log.bounds(topic).unwrap().into_iter().map(|it| it.end);
    autorma_sink::TOPICS.into_iter().flat_map(of).collect()
}

#[test]
fn one_that_has_grown_past_the_newer_one_is_read_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let [data, copy] = ["data", "copy"].map(|name| folder.path().join(name));
    let workplace = workplace_in(&data, tempfile::tempdir().unwrap());
    publish(&workplace, BEFORE, 1..5);
    finish(&workplace, BEFORE);
    workplace.append([run(OPEN, RunState::Open, 0)]);
    // Nobody has it open while it is copied.
    let Workplace { log, output } = workplace;
    drop(log);
    fs::create_dir(&copy).unwrap();
    for file in fs::read_dir(&data).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let workplace = workplace_in(&data, output);
    publish(&workplace, LOST, 5..21);
    finish(&workplace, LOST);
    publish(&workplace, OPEN, 61..71);
    finish(&workplace, OPEN);
    let (newer, results) = (ends(&workplace), workplace.results(OPEN));

    let workplace = workplace_in(&copy, workplace.output);
    // While no sink is there.
    workplace.append([run(AFTER, RunState::Open, 0), run(AFTER, RunState::Open, 40)]);
    workplace.append([outcome(OPEN, 61), outcome(OPEN, 62), closed_later(OPEN, 2)]);
    publish(&workplace, AFTER, 21..61);
    let older = ends(&workplace);
    assert!(older.iter().zip(&newer).all(|(older, newer)| older >= newer), "{older:?} {newer:?}");
    let told = said(&workplace, |snapshot| snapshot.finished.len() == 2);
    assert!(told.len() == 2 && told[0].contains("put back") && told[0].contains("old-1"), "{told:?}");
    assert_eq!(workplace.summary(AFTER).discovered, 40);
    assert_eq!(workplace.summary(OPEN).discovered, 2);
    assert_eq!(look(workplace.output.path()), 47, "each prediction is in one file, the lost run's too");
    assert!(told[1].contains(OPEN) && told[1].contains("old-1"), "{told:?}");
    let kept = autorma_sink::results_path(workplace.output.path(), OPEN).with_extension("old-1");
    assert_eq!(fs::read(kept).unwrap(), results, "what the newer log had of it");
}

/// A run's last record, another one than the newer log has of it.
fn closed_later(run_id: &str, images: i64) -> Append {
    let closed = run(run_id, RunState::Closed, images);
    let record = RunRecord::decode(&closed.value).unwrap();
    let later = RunRecord { closed_at: Some(Micros(OPENED + 60_000_000)), ..record };
    Append { value: later.encode(), ..closed }
}

#[test]
fn one_that_lacks_the_last_record_that_was_taken_is_another_one() {
    let workplace = Workplace::new();
    publish(&workplace, BEFORE, 1..5);
    finish(&workplace, BEFORE);
    let log = Faulty::new(&workplace.log, Fault::NoSingleRecord);
    let told = said_on(&*log, &workplace, |_| true);
    assert!(told.len() == 1 && told[0].contains("put back") && told[0].contains("old-1"), "{told:?}");
}

#[test]
fn a_record_of_a_run_that_has_made_room_for_a_newer_one_is_not_missed() {
    let workplace = Workplace::keeping(Retention::Compact);
    workplace.append([run(BEFORE, RunState::Open, 0)]);
    let (sink, runs) = (workplace.sink(), TopicPartition::new(topics::RUNS, 0));
    sink.wait(|snapshot| snapshot.durable.get(&runs) == Some(&NextOffset(1)));
    sink.stop();
    workplace.append([run(BEFORE, RunState::Closed, 0)]);
    assert_eq!(workplace.log.housekeep().unwrap().compacted, 1);
    assert_eq!(finish(&workplace, BEFORE), Vec::<String>::new());
}
