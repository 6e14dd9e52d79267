//! A sink that dies at any place is continued by the next one: the same bytes, and nothing twice.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use autorma_schemas::RunState;
use autorma_sink::Error;
use autorma_stream::Log;

use crate::faulty::{Fault, Faulty};
use crate::workplace::{Workplace, outcome, run};

const RUN: &str = "20261123_153147";
const HOUR: Duration = Duration::from_secs(3600);

/// The results that a sink writes to which nothing happens.
fn undisturbed() -> Vec<u8> {
    let workplace = Workplace::new();
    workplace.append((1..=20).map(|number| outcome(RUN, number)));
    workplace.append([run(RUN, RunState::Closed, 20)]);
    let sink = workplace.sink();
    sink.wait_for_run(RUN);
    sink.stop();
    workplace.results(RUN)
}

/// Continues, and checks that everything is as if nothing had happened.
fn continues(workplace: &Workplace) {
    let sink = workplace.sink();
    let is_done =
        |it: &autorma_sink::Snapshot| it.open.is_empty() && it.durable.values().any(|next| next.0 > 0);
    sink.wait(is_done);
    sink.stop();
    assert_eq!(workplace.results(RUN), undisturbed());
    assert_eq!(workplace.summary(RUN).discovered, 20);
    assert_eq!(workplace.left_over(RUN), Vec::<String>::new());
    assert_eq!(*workplace.states(RUN).last().unwrap(), RunState::Finished);
    let results = fs::read_dir(workplace.output.path()).unwrap();
    let results = results.filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    assert_eq!(results, 1, "nothing else was written");
}

fn with_fault(fault: Fault) -> Workplace {
    let workplace = Workplace::new();
    workplace.append((1..=20).map(|number| outcome(RUN, number)));
    workplace.append([run(RUN, RunState::Closed, 20)]);
    let log = Faulty::new(&workplace.log, fault);
    let error = workplace.sink_on(log, workplace.output.path(), HOUR).fail();
    assert!(matches!(error, Error::Log(_)), "{error}");
    workplace
}

#[test]
fn between_manifest_and_offsets() {
    let workplace = with_fault(Fault::AtOffsets);
    assert!(workplace.log.committed(autorma_sink::GROUP).unwrap().values().all(|next| next.0 == 0));
    continues(&workplace);
}

#[test]
fn between_summary_and_finished() {
    let workplace = with_fault(Fault::AtFinished);
    let (results, summary) = (workplace.results(RUN), workplace.summary(RUN));
    assert_eq!(workplace.states(RUN), [RunState::Closed]);
    continues(&workplace);
    assert_eq!((workplace.results(RUN), workplace.summary(RUN)), (results, summary), "the same bytes again");
    assert_eq!(workplace.states(RUN), [RunState::Closed, RunState::Finished]);
}

#[test]
fn between_results_and_summary() {
    let workplace = with_fault(Fault::AtFinished);
    fs::remove_file(autorma_sink::summary_path(workplace.output.path(), RUN)).unwrap();
    continues(&workplace);
}

#[test]
fn while_writing_results() {
    let workplace = with_fault(Fault::AtFinished);
    let results = autorma_sink::results_path(workplace.output.path(), RUN);
    fs::remove_dir_all(workplace.output.path().join("runs")).unwrap();
    fs::rename(&results, format!("{}#1", results.display())).unwrap();
    continues(&workplace);
}

#[test]
fn between_finished_and_the_removal_of_parts() {
    let workplace = with_fault(Fault::AfterFinished);
    assert!(!workplace.left_over(RUN).is_empty());
    continues(&workplace);
    assert_eq!(workplace.states(RUN), [RunState::Closed, RunState::Finished], "said once");
}

/// As where the cluster was out of reach when it had committed: who waits in the same process must not miss the run.
#[test]
fn what_a_sink_has_finished_without_hearing_so_is_told_by_the_next_one_in_its_process() {
    let workplace = Workplace::new();
    workplace.append((1..=20).map(|number| outcome(RUN, number)));
    workplace.append([run(RUN, RunState::Closed, 20)]);
    let log = Faulty::new(&workplace.log, Fault::FinishedUnheard);
    let sink = workplace.sink_on(log, workplace.output.path(), HOUR);
    let progress = sink.progress.clone();
    let error = sink.fail();
    assert!(matches!(&error, Error::Log(error) if error.may_begin_anew()), "{error}");
    assert_eq!(workplace.states(RUN), [RunState::Closed, RunState::Finished]);
    assert!(progress.snapshot().finished.is_empty() && progress.snapshot().open.contains_key(RUN));
    let sink = workplace.sink_after(progress);
    sink.wait_for_run(RUN);
    let snapshot = sink.progress.snapshot();
    assert!(snapshot.open.is_empty(), "{snapshot:?}");
    let told: Vec<_> = snapshot.finished.iter().map(|it| (it.predictions, it.dead_letters)).collect();
    assert_eq!(told, [(15, 5)], "once");
    sink.stop();
    assert_eq!(workplace.results(RUN), undisturbed());
    assert_eq!(workplace.left_over(RUN), Vec::<String>::new());
}

#[test]
fn between_part_and_manifest() {
    let workplace = Workplace::new();
    let sink = workplace.sink();
    // Nothing can be renamed to the name of a folder that isn't empty.
    let obstacle = workplace.hidden().join("manifest.json");
    let first = fs::read(&obstacle).unwrap();
    fs::remove_file(&obstacle).unwrap();
    fs::create_dir_all(obstacle.join("x")).unwrap();
    workplace.append((1..=20).map(|number| outcome(RUN, number)));
    let error = sink.fail();
    assert!(matches!(&error, Error::Output { place, .. } if place.ends_with("manifest.json")), "{error}");
    assert!(!workplace.left_over(RUN).is_empty(), "there is an orphan");
    let committed = workplace.log.committed(autorma_sink::GROUP).unwrap();
    assert!(committed.values().all(|next| next.0 == 0), "a lag of 0 stands for what is in the manifest");
    fs::remove_dir_all(&obstacle).unwrap();
    fs::write(&obstacle, first).unwrap();
    workplace.append([run(RUN, RunState::Closed, 20)]);
    continues(&workplace);
}

#[test]
fn in_the_middle_of_a_run_with_all_kinds_of_remains() {
    let workplace = Workplace::new();
    writes_nine(&workplace);
    let part = part_of(&workplace);
    let parts = part.parent().unwrap();
    // A part that was to be the next, half a part, half a manifest.
    fs::copy(&part, parts.join("00009000.jsonl")).unwrap();
    fs::write(parts.join("00009001.jsonl#1"), "{\"part\":").unwrap();
    fs::write(workplace.hidden().join("manifest.json#1"), "{").unwrap();
    goes_on(&workplace);
    assert!(!workplace.hidden().join("manifest.json#1").exists());
}

/// A sink has the first nine of its run in parts, and has stopped.
fn writes_nine(workplace: &Workplace) {
    workplace.append((1..=9).map(|number| outcome(RUN, number)));
    let sink = workplace.sink();
    sink.wait_for_outcomes(9);
    sink.stop();
}

/// The rest of the twenty comes, and the next sink finishes them.
fn goes_on(workplace: &Workplace) {
    workplace.append((10..=20).map(|number| outcome(RUN, number)));
    workplace.append([run(RUN, RunState::Closed, 20)]);
    continues(workplace);
}

/// A part of the run.
fn part_of(workplace: &Workplace) -> PathBuf {
    fs::read_dir(workplace.hidden().join(RUN)).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn a_part_that_cannot_be_read_back_stops_the_sink_before_it_changes_anything() {
    let workplace = Workplace::new();
    writes_nine(&workplace);
    let part = part_of(&workplace);
    let content = fs::read(&part).unwrap();
    fs::write(&part, &content[..content.len() / 2]).unwrap();
    let error = workplace.sink().fail();
    assert!(matches!(&error, Error::Unreadable { place, .. } if place.ends_with(".jsonl")), "{error}");
    fs::write(&part, &content).unwrap();
    goes_on(&workplace);
}

#[test]
fn a_part_that_cannot_be_read_back_is_moved_away_as_it_was_told() {
    let (workplace, away) = (Workplace::new(), tempfile::tempdir().unwrap());
    writes_nine(&workplace);
    let part = part_of(&workplace);
    fs::write(&part, "{").unwrap();
    let told = workplace.sink().fail().to_string();
    assert!(told.starts_with(part.to_str().unwrap()), "{told}");
    assert!(told.contains("move this file away and start again") && !told.contains("folder"), "{told}");
    fs::rename(&part, away.path().join("part")).unwrap();
    goes_on(&workplace);
}

#[test]
fn a_manifest_that_cannot_be_read_back_is_moved_away_alone_as_it_was_told() {
    let (workplace, away) = (Workplace::new(), tempfile::tempdir().unwrap());
    writes_nine(&workplace);
    let (manifest, held) = (workplace.hidden().join("manifest.json"), workplace.left_over(RUN));
    fs::write(&manifest, "{").unwrap();
    let told = workplace.sink().fail().to_string();
    assert!(told.starts_with(manifest.to_str().unwrap()), "{told}");
    assert!(told.contains("move this file away, and no other") && told.contains("old-1"), "{told}");
    fs::rename(&manifest, away.path().join("manifest")).unwrap();
    goes_on(&workplace);
    let kept = workplace.hidden().with_extension("old-1").join(RUN);
    assert_eq!(fs::read_dir(kept).unwrap().count(), held.len(), "as it was told");
}

#[test]
fn while_filling_up_what_a_vanished_part_held() {
    let workplace = Workplace::new();
    workplace.append((1..=20).map(|number| outcome(RUN, number)));
    let sink = workplace.sink();
    sink.wait_for_outcomes(20);
    sink.stop();
    let held = workplace.left_over(RUN);
    fs::remove_file(workplace.hidden().join(RUN).join(&held[0])).unwrap();
    let log = Faulty::new(&workplace.log, Fault::AtDeadLetters);
    let error = workplace.sink_on(log, workplace.output.path(), HOUR).fail();
    assert!(matches!(error, Error::Log(_)), "{error}");
    assert!(!workplace.left_over(RUN).is_empty(), "there are orphans");
    workplace.append([run(RUN, RunState::Closed, 20)]);
    continues(&workplace);
}

/// As where the working folder of a daemon gets another name: its paths would lead to a new one.
#[test]
fn an_output_folder_that_was_moved_away_is_not_made_anew() {
    let (workplace, away) = (Workplace::new(), tempfile::tempdir().unwrap());
    writes_nine(&workplace);
    let (output, moved) = (workplace.output.path(), away.path().join("output"));
    let sink = workplace.sink();
    fs::rename(output, &moved).unwrap();
    workplace.append([run(RUN, RunState::Open, 9)]);
    let error = sink.fail();
    assert!(matches!(&error, Error::Output { cause, .. } if cause.contains("moved")), "{error}");
    // Nor by one that begins anew in the same process: the lock is in the folder that was moved.
    let error = workplace.sink().fail();
    assert!(matches!(error, Error::Output { .. }), "{error}");
    assert!(!output.exists(), "it was made anew");
    fs::rename(&moved, output).unwrap();
    goes_on(&workplace);
}

/// `mount -t tmpfs -o size=1m tmpfs DIR; AUTORMA_TINY_DISK=DIR cargo test -p autorma-sink -- --ignored full_disk`.
#[test]
#[ignore = "needs a file system of about 1 MB"]
fn a_full_disk_loses_nothing() {
    let disk =
        std::env::var_os("AUTORMA_TINY_DISK").expect("AUTORMA_TINY_DISK names a folder on a small disk");
    let workplace = Workplace::on(std::path::Path::new(&disk));
    let ballast = workplace.output.path().join("ballast");
    fs::write(&ballast, vec![0; 960 << 10]).unwrap();
    workplace.append((1..=300).map(|number| outcome(RUN, number)));
    let sink = workplace.sink();
    let error = sink.fail();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    // Room for the parts, none for the results.
    fs::write(&ballast, vec![0; 700 << 10]).unwrap();
    let sink = workplace.sink();
    sink.wait(|snapshot| snapshot.open.get(RUN).is_some_and(|counts| counts.predictions == 225));
    workplace.append([run(RUN, RunState::Closed, 300)]);
    let error = sink.fail();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    fs::remove_file(&ballast).unwrap();
    let sink = workplace.sink();
    sink.wait(|snapshot| snapshot.open.is_empty());
    sink.stop();
    assert_eq!(workplace.summary(RUN).discovered, 300);
    assert!(workplace.left_over(RUN).is_empty());
}
