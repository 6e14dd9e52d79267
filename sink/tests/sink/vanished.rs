//! Files of runs that aren't finished are removed by somebody else: what can be had again is, and the rest is said.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use autorma_schemas::{RunState, topics};
use autorma_sink::{Counts, Error, Snapshot};
use autorma_stream::{Append, Log, Retention};

use crate::runs::look;
use crate::telling::said;
use crate::workplace::{LONG, Workplace, outcome, outcome_in, run};

const RUN: &str = "20261123_153147";
const NEXT: &str = "20261123_160000";

/// Outcomes of some flushes, each of which makes a part.
fn flushes(workplace: &Workplace, flushes: impl IntoIterator<Item = Vec<Append>>) {
    let sink = workplace.sink();
    let mut taken = 0;
    for outcomes in flushes {
        taken += outcomes.len() as u64;
        workplace.append(outcomes);
        sink.wait(|snapshot| {
            let duplicates = snapshot.open.values().map(|counts| counts.duplicates).sum::<u64>();
            snapshot.durable_outcomes + duplicates >= taken
        });
    }
    sink.stop();
}

/// The numbers of a run, four to a flush.
fn fours(run_id: &'static str, last: i64) -> impl Iterator<Item = Vec<Append>> {
    (1..=last / 4).map(move |four| (four * 4 - 3..=four * 4).map(|number| outcome(run_id, number)).collect())
}

fn parts(workplace: &Workplace, run_id: &str) -> Vec<PathBuf> {
    let names = workplace.left_over(run_id).into_iter().filter(|name| name.ends_with(".jsonl"));
    let mut paths: Vec<_> = names.map(|name| workplace.hidden().join(run_id).join(name)).collect();
    paths.sort();
    paths
}

/// The run's images and its predictions, when a sink has finished it.
fn finished(workplace: &Workplace) -> (u64, usize) {
    let sink = workplace.sink();
    sink.wait_for_run(RUN);
    sink.stop();
    (workplace.summary(RUN).discovered, look(workplace.output.path()))
}

fn outside(snapshot: &Snapshot) -> Option<(&String, &Counts)> {
    snapshot.open.iter().find(|(run_id, _)| run_id.starts_with("outside_"))
}

/// Finishes the sink's own run, and all that belongs into it.
fn finish_outside(workplace: &Workplace, outcomes: u64) {
    let log = Arc::new(workplace.log.clone());
    let sink = workplace.sink_on(log, workplace.output.path(), Duration::from_millis(1));
    sink.wait(|snapshot| {
        let own = snapshot.finished.iter().filter(|finished| finished.run_id.starts_with("outside_"));
        own.map(|it| it.predictions + it.dead_letters).sum::<u64>() == outcomes && snapshot.open.is_empty()
    });
    sink.stop();
}

#[test]
fn what_a_vanished_part_of_the_sinks_own_run_held_comes_again_and_nothing_else_does() {
    for vanishes in 0..4 {
        let workplace = Workplace::new();
        // Of a finished run, and of a run of the sink's own that is finished too.
        workplace.append([outcome(RUN, 1), run(RUN, RunState::Closed, 1), outcome_in(None, 2)]);
        let sink = workplace.sink();
        sink.wait_for_run(RUN);
        workplace.append([outcome(RUN, 3)]);
        sink.wait_for_outcomes(3);
        sink.stop();
        finish_outside(&workplace, 2);
        assert_eq!(look(workplace.output.path()), 3);

        // Without a run, late, and again.
        let none = |number| outcome_in(None, number);
        let late = |number| outcome(RUN, number);
        let flushed = [
            vec![none(4), none(5), late(6)],
            vec![none(7), late(8), late(9)],
            vec![none(5), late(9), none(10)],
            vec![late(11), none(12), none(13)],
        ];
        flushes(&workplace, flushed);
        let sink = workplace.sink();
        let before = sink.progress.snapshot();
        sink.stop();
        let (own, counts) = outside(&before).unwrap();
        let all = Counts { images: None, predictions: 7, dead_letters: 3, duplicates: 2 };
        assert_eq!(*counts, all);
        let held = parts(&workplace, own);
        assert!(held.len() >= 4);
        fs::remove_file(&held[vanishes]).unwrap();

        let sink = workplace.sink();
        assert_eq!(outside(&sink.progress.snapshot()), Some((own, &all)));
        sink.stop();
        finish_outside(&workplace, 10);
        assert_eq!(workplace.summary(own).duplicates, 2);
        assert_eq!(look(workplace.output.path()), 10, "each prediction is in one file");
    }
}

#[test]
fn what_is_left_stays_though_the_log_has_dropped_it_and_what_is_lost_is_said() {
    let workplace = Workplace::keeping(Retention::Age(Duration::ZERO));
    flushes(&workplace, fours(RUN, 20).chain(fours(NEXT, 8)));
    drop_all(&workplace);
    let vanished = parts(&workplace, NEXT).remove(0);
    let elsewhere = workplace.output.path().join("elsewhere");
    fs::rename(&vanished, &elsewhere).unwrap();

    let told = said(&workplace, |_| true);
    assert!(
        told[0].contains("have vanished") && told[0].contains(NEXT) && !told[0].contains(RUN),
        "{told:?}"
    );
    assert!(told[1].contains("lost=4") && told[1].contains("put the files back"), "{told:?}");
    workplace.append([run(RUN, RunState::Closed, 20)]);
    let sink = workplace.sink();
    sink.wait_for_run(RUN);
    assert_eq!(sink.progress.snapshot().open[NEXT].predictions, 3, "its other part is there");
    sink.stop();
    assert_eq!(workplace.summary(RUN).discovered, 20);

    // As it was told.
    fs::rename(&elsewhere, &vanished).unwrap();
    workplace.append([run(NEXT, RunState::Closed, 8)]);
    let sink = workplace.sink();
    sink.wait_for_run(NEXT);
    sink.stop();
    assert_eq!((workplace.summary(NEXT).discovered, workplace.summary(NEXT).duplicates), (8, 0));
}

/// Until the log has no outcome any more. Its clock must go on for that.
fn drop_all(workplace: &Workplace) {
    let begun = std::time::Instant::now();
    let is_left = |topic| workplace.log.bounds(topic).unwrap().iter().any(|it| it.start < it.end);
    while [topics::PREDICTIONS, topics::DEAD_LETTERS].into_iter().any(is_left) {
        assert!(begun.elapsed() < LONG, "the log keeps its records");
        workplace.log.housekeep().unwrap();
    }
}

#[test]
fn a_part_that_comes_back_after_it_was_filled_up_does_not_count_twice() {
    let workplace = Workplace::new();
    flushes(&workplace, fours(RUN, 20));
    let vanished = parts(&workplace, RUN).remove(1);
    let elsewhere = workplace.output.path().join("elsewhere");
    fs::rename(&vanished, &elsewhere).unwrap();
    let sink = workplace.sink();
    let all = Counts { images: None, predictions: 15, dead_letters: 5, duplicates: 0 };
    assert_eq!(sink.progress.snapshot().open[RUN], all);
    sink.stop();
    fs::rename(&elsewhere, &vanished).unwrap();
    let sink = workplace.sink();
    assert_eq!(sink.progress.snapshot().open[RUN], all);
    sink.stop();
    // Nor does it make up for what is still to come.
    workplace.append([run(RUN, RunState::Closed, 24)]);
    let sink = workplace.sink();
    assert_eq!(sink.progress.snapshot().open[RUN].predictions, 15);
    fours(RUN, 24).skip(5).for_each(|four| workplace.append(four));
    sink.wait_for_run(RUN);
    sink.stop();
    assert_eq!((workplace.summary(RUN).discovered, look(workplace.output.path())), (24, 18));
}

/// What was filled in for both is in one part.
#[test]
fn of_two_neighbours_that_vanished_one_may_come_back() {
    let workplace = Workplace::new();
    flushes(&workplace, fours(RUN, 20));
    let [vanished, lost] = [1, 2].map(|part| parts(&workplace, RUN).remove(part));
    let elsewhere = workplace.output.path().join("elsewhere");
    fs::rename(&vanished, &elsewhere).unwrap();
    fs::remove_file(&lost).unwrap();
    workplace.sink().stop();
    fs::rename(&elsewhere, &vanished).unwrap();
    workplace.append([run(RUN, RunState::Closed, 20)]);
    assert_eq!(finished(&workplace), (20, 15));
}

#[test]
fn a_part_that_vanishes_while_the_sink_works_is_missed_at_the_end_and_filled_up_by_the_next_start() {
    let workplace = Workplace::new();
    flushes(&workplace, fours(RUN, 20));
    let sink = workplace.sink();
    let held = parts(&workplace, RUN);
    fs::remove_file(&held[2]).unwrap();
    workplace.append([run(RUN, RunState::Closed, 20)]);
    let error = sink.fail();
    assert!(matches!(&error, Error::PartsMissing { run_id, .. } if run_id == RUN), "{error}");
    assert_eq!(parts(&workplace, RUN).len(), held.len() - 1, "the others are still there");
    assert!(workplace.hidden().join("manifest.json").exists(), "which knows how far they go");
    assert_eq!(finished(&workplace), (20, 15));
}

#[test]
fn parts_whose_manifest_has_vanished_are_kept_aside() {
    let workplace = Workplace::new();
    flushes(&workplace, [vec![outcome_in(None, 1)], fours(RUN, 4).flatten().collect()]);
    let held = fs::read_dir(workplace.hidden()).unwrap().count();
    fs::remove_file(workplace.hidden().join("manifest.json")).unwrap();
    let told = said(&workplace, |snapshot| snapshot.open.contains_key(RUN));
    assert!(told[0].contains("manifest has vanished") && told[0].contains("old-1"), "{told:?}");
    assert!(told.iter().all(|line| !line.contains("once more")), "no sink can be started there: {told:?}");
    let kept = workplace.hidden().with_extension("old-1");
    assert_eq!(fs::read_dir(kept).unwrap().count(), held - 1, "the runs are all there");
}
