//! Another output folder than before.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use autorma_schemas::{Micros, Prediction, RunState, topics};
use autorma_sink::Snapshot;
use autorma_stream::{Log, Retention};

use crate::faulty::{Fault, Faulty};
use crate::telling::{said, said_on};
use crate::workplace::{
    Workplace, append, dead_letter, entries, is_filed, outcome, outcome_in, prediction, run,
};

const RUN: &str = "20261123_153147";
const NEXT: &str = "20261123_160000";
const HOUR: Duration = Duration::from_secs(3600);

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
