use std::collections::BTreeMap;
use std::sync::mpsc;

use autorma_stream::{Assignment, StoredRecord};

use super::*;
use crate::Picture;
use crate::fixtures::event;
use crate::outcome::{origin, unreadable};

fn desk() -> Desk {
    Desk::new(100, 10, Duration::from_secs(3600))
}

fn at() -> TopicPartition {
    TopicPartition::new("images", 0)
}

fn records(assignment: &Assignment, count: i64) -> Vec<Record> {
    let stored = |offset| StoredRecord {
        at: at(),
        offset: Offset(offset),
        key: None,
        value: Vec::new(),
        headers: Vec::new(),
        appended_at: 0,
    };
    (0..count).map(|offset| Record { stored: stored(offset), assignment: assignment.clone() }).collect()
}

fn passed(assignment: &Assignment, next: i64) -> BTreeMap<TopicPartition, Passed> {
    BTreeMap::from([(at(), Passed { next: NextOffset(next), assignment: assignment.clone() })])
}

/// What a worker gets to decode.
fn take(desk: &Desk) -> Record {
    match desk.next_task() {
        Some(Task::Decode(record)) => record,
        other => panic!("{other:?}"),
    }
}

fn die(desk: &Desk, record: Record) {
    desk.decoded(Err(unreadable(record, "a test".into())));
}

fn committable(desk: &Desk) -> (usize, Option<NextOffset>) {
    let committable = desk.state.lock().take_committable();
    (committable.outcomes.len(), committable.offsets.get(&at()).copied())
}

#[test]
fn an_outcome_waits_for_those_before_it() {
    let (desk, assignment) = (desk(), Assignment::begin());
    desk.admit(records(&assignment, 3));
    let [first, second, third] = std::array::from_fn(|_| take(&desk));
    die(&desk, third);
    die(&desk, second);
    assert_eq!(committable(&desk), (0, None));
    die(&desk, first);
    assert_eq!(committable(&desk), (3, Some(NextOffset(3))));
    desk.committed(3);
    assert!(desk.wait_until_idle(Duration::ZERO));
}

#[test]
fn work_on_a_partition_that_was_given_up_is_dropped_with_its_assignment() {
    let (desk, assignment) = (desk(), Assignment::begin());
    desk.admit(records(&assignment, 3));
    let first = take(&desk);
    desk.give_up(&[at()], Duration::ZERO);
    assert_eq!(desk.queues().to_decode, 0);
    die(&desk, first);
    assert_eq!(committable(&desk), (0, None));
    assignment.end();
    assert_eq!(committable(&desk), (0, None));
    assert!(desk.wait_until_idle(Duration::ZERO), "nothing is left of it");
}

#[test]
fn no_commit_passes_over_what_was_abandoned() {
    let (desk, assignment) = (desk(), Assignment::begin());
    desk.admit(records(&assignment, 3));
    let first = take(&desk);
    desk.abandon();
    die(&desk, first);
    assert_eq!(committable(&desk), (1, Some(NextOffset(1))));
    desk.committed(1);
    desk.close();
    assert!(desk.next_task().is_none() && desk.next_commit().is_none());
}

#[test]
fn no_commit_passes_over_what_was_left_and_nobody_waits_for_what_is_done_behind_it() {
    let (desk, assignment) = (desk(), Assignment::begin());
    desk.admit(records(&assignment, 4));
    let [first, left, behind, _in_hand] = std::array::from_fn(|_| take(&desk));
    die(&desk, first);
    die(&desk, behind);
    drop(left);
    desk.leave();
    assert_eq!(committable(&desk), (1, Some(NextOffset(1))));
    desk.committed(1);
    desk.close();
    std::thread::scope(|scope| {
        let committer = scope.spawn(|| desk.next_commit());
        let worker = scope.spawn(|| desk.next_task());
        desk.leave();
        assert!(committer.join().unwrap().is_none() && worker.join().unwrap().is_none());
    });
    desk.give_up(&[at()], Duration::from_secs(3600));
}

/// Else what was done too late for its assignment takes the room until something else is done.
#[test]
fn who_waits_for_room_in_vain_has_what_is_nobody_s_cleared_away() {
    let (desk, assignment) = (Desk::new(2, 10, Duration::from_secs(3600)), Assignment::begin());
    desk.admit(records(&assignment, 2));
    let [first, _slow] = std::array::from_fn(|_| take(&desk));
    die(&desk, first);
    desk.give_up(&[at()], Duration::ZERO);
    assignment.end();
    let (says, said) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // As the committer, which has looked before the assignment ended.
            let mut state = desk.state.lock();
            says.send(()).unwrap();
            let waited = desk.done.wait_for(&mut state, Duration::from_secs(60));
            assert!(!waited.timed_out(), "nobody has woken it");
            state.take_committable();
        });
        said.recv().unwrap();
        assert_eq!(desk.wait_for_room(1, Duration::from_millis(1)), 0);
    });
    assert_eq!(desk.wait_for_room(1, Duration::ZERO), 1);
}

#[test]
fn what_was_passed_is_committed_with_the_last_outcome_before_it() {
    let (desk, assignment) = (desk(), Assignment::begin());
    desk.admit(records(&assignment, 2));
    let [first, second] = std::array::from_fn(|_| take(&desk));
    desk.pass(passed(&assignment, 7));
    assert_eq!(committable(&desk), (0, None), "two records are before it");
    die(&desk, first);
    assert_eq!(committable(&desk), (1, Some(NextOffset(1))), "one is");
    desk.committed(1);
    die(&desk, second);
    assert_eq!(committable(&desk), (1, Some(NextOffset(7))));
    desk.committed(1);
    assert_eq!(committable(&desk), (0, None));
    desk.pass(passed(&assignment, 9));
    assert_eq!(committable(&desk), (0, Some(NextOffset(9))), "nothing is");
    desk.pass(passed(&assignment, 11));
    desk.give_up(&[at()], Duration::ZERO);
    assert_eq!(committable(&desk), (0, None), "it is another's");
}

#[test]
fn what_was_passed_is_not_committed_over_what_was_abandoned() {
    let (desk, assignment) = (desk(), Assignment::begin());
    desk.admit(records(&assignment, 2));
    desk.pass(passed(&assignment, 7));
    desk.abandon();
    assert_eq!(committable(&desk), (0, None));
}

#[test]
fn what_was_passed_is_not_committed_while_its_partition_is_handed_over() {
    let (desk, assignment) = (desk(), Assignment::begin());
    desk.admit(records(&assignment, 3));
    let first = take(&desk);
    desk.pass(passed(&assignment, 7));
    std::thread::scope(|scope| {
        let hand_over = scope.spawn(|| desk.give_up(&[at()], Duration::from_secs(3600)));
        while desk.queues().to_decode > 0 {
            std::thread::yield_now();
        }
        assert_eq!(
            committable(&desk),
            (0, None),
            "the first is in work, and the others are the next owner's"
        );
        die(&desk, first);
        assert_eq!(committable(&desk), (1, Some(NextOffset(1))));
        desk.committed(1);
        hand_over.join().unwrap();
    });
}

#[test]
fn a_lone_picture_waits_for_nobody() {
    let (desk, assignment) = (desk(), Assignment::begin());
    desk.admit(records(&assignment, 1));
    let record = take(&desk);
    let (origin, picture) = (origin(&record.stored), Picture(Vec::new()));
    let (event, trace) = (event(), Vec::new());
    desk.decoded(Ok(Decoded { assignment: record.assignment, origin, event, picture, trace }));
    assert!(matches!(desk.next_task(), Some(Task::Infer(batch)) if batch.len() == 1));
}

#[test]
fn what_is_done_waits_for_company_but_not_for_ever() {
    let (desk, assignment) = (desk(), Assignment::begin());
    desk.admit(records(&assignment, 3));
    let [first, second, third] = std::array::from_fn(|_| take(&desk));
    die(&desk, first);
    assert_eq!(desk.next_commit().map(|it| it.outcomes.len()), Some(1), "nobody has waited yet");
    let begun = Instant::now();
    desk.committed(1);
    die(&desk, second);
    assert_eq!(desk.next_commit().map(|it| it.outcomes.len()), Some(1));
    assert!(begun.elapsed() >= COMPANY, "the third might have come");
    desk.committed(1);
    die(&desk, third);
    assert!(!desk.state.lock().has_company(100), "no other is in work");
}

#[test]
fn what_is_done_does_not_wait_while_somebody_waits_for_it() {
    let (desk, assignment) = (desk(), Assignment::begin());
    desk.admit(records(&assignment, 2));
    let first = take(&desk);
    die(&desk, first);
    desk.committed(0);
    assert!(desk.state.lock().has_company(100), "the second might come");
    assert!(!desk.state.lock().has_company(2), "half of what may be in flight is done");
    std::thread::scope(|scope| {
        let hand_over = scope.spawn(|| desk.give_up(&[at()], Duration::from_secs(3600)));
        while !desk.state.lock().urgent {
            std::thread::yield_now();
        }
        assert_eq!(desk.next_commit().map(|it| it.outcomes.len()), Some(1));
        desk.committed(1);
        hand_over.join().unwrap();
    });
}
