use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use autorma_schemas::{Micros, RunKind, RunRecord, RunState};
use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn record(run_id: &str, state: RunState, images: i64) -> RunRecord {
    let closed_at = (state != RunState::Open).then_some(Micros(1));
    RunRecord { state, images, closed_at, ..RunRecord::open(run_id, RunKind::Batch, "/in", Micros(0)) }
}

fn take(books: &mut Bookkeeping, run: Option<&str>, id: u128) -> Place {
    books.place(run, Id(id), Kind::Prediction, false, Micros(0))
}

#[test]
fn a_run_is_complete_when_it_is_closed_and_each_image_has_an_outcome() {
    let mut books = Bookkeeping::new(HOUR, None);
    take(&mut books, Some("a"), 1);
    assert_eq!(books.open()["a"].images, None, "its record may come later");
    books.record(record("a", RunState::Open, 1));
    assert_eq!(books.complete(), [], "it may grow");
    books.record(record("a", RunState::Closed, 3));
    books.record(record("a", RunState::Open, 2));
    assert_eq!(books.open()["a"].images, Some(3), "a run that is closed stays closed");
    books.place(Some("a"), Id(2), Kind::DeadLetter, false, Micros(0));
    assert_eq!(books.complete(), []);
    assert_eq!(take(&mut books, Some("a"), 1), Place::Duplicate("a".into()));
    let counts = Counts { images: Some(3), predictions: 1, dead_letters: 1, duplicates: 1 };
    assert_eq!(books.complete()[0].counts, counts);
}

#[test]
fn a_closed_run_without_images_is_complete() {
    let mut books = Bookkeeping::new(HOUR, None);
    books.record(record("a", RunState::Closed, 0));
    assert_eq!(books.complete().len(), 1);
    books.finish("a");
    assert!(books.complete().is_empty() && books.open().is_empty());
}

#[test]
fn what_no_run_takes_goes_to_a_run_outside() {
    let mut books = Bookkeeping::new(HOUR, None);
    books.record(record("a", RunState::Finished, 1));
    let Place::Run(outside) = take(&mut books, None, 1) else { panic!("it is new") };
    assert!(outside.starts_with("outside_"), "{outside}");
    assert_eq!(
        take(&mut books, Some("a"), 2),
        Place::Run(outside.clone()),
        "it came after the end of its run"
    );
    assert_eq!(take(&mut books, None, 1), Place::Duplicate(outside.clone()));
    assert_eq!(books.place(None, Id(3), Kind::Prediction, true, Micros(0)), Place::Elsewhere);
    assert_eq!(books.place(Some("a"), Id(3), Kind::Prediction, true, Micros(0)), Place::Elsewhere);

    let over = Micros(HOUR.as_micros() as i64);
    books.close_outside(Micros(over.0 - 1));
    assert!(!books.is_outside_due(Micros(over.0 - 1)) && books.complete().is_empty());
    books.close_outside(over);
    let complete = books.complete().remove(0);
    assert_eq!((complete.record.images, complete.record.closed_at), (3, Some(over)));
    books.finish(&outside);
    assert_eq!(books.outside(), None);
    let Place::Run(next) = take(&mut books, None, 1) else { panic!("another run") };
    assert_ne!(next, outside, "though it is opened in the same second");
}

#[test]
fn a_run_outside_ends_with_a_clock_set_far_back() {
    let mut books = Bookkeeping::new(HOUR, None);
    take(&mut books, None, 1);
    let is_due = |seconds: i64| books.is_outside_due(Micros(seconds * 1_000_000));
    assert!(!is_due(0) && !is_due(-60));
    assert!(is_due(-61) && is_due(-24 * 3600));
    books.close_outside(Micros(-24 * 3_600_000_000));
    assert_eq!(books.complete().len(), 1);
}

/// What a log holds, and what happens to the sink that reads it.
#[derive(Debug, Clone)]
enum Step {
    Outcome(Option<String>, u128, Kind),
    Record(RunRecord),
    Flush,
    Crash,
}

/// Outcomes of a run and its number of duplicates.
type Lines = (Vec<(Id, Kind)>, u64);

/// What survives a crash.
#[derive(Debug, Default)]
struct Disk {
    parts: Vec<(String, Lines)>,
    next: usize,
    outside: Option<Outside>,
    finished: BTreeMap<String, Counts>,
}

impl Disk {
    /// A sink that starts: it knows all records of runs, its parts, and which runs are finished.
    fn start(&self, steps: &[Step]) -> Bookkeeping {
        let mut books = Bookkeeping::new(HOUR, self.outside.clone());
        self.finished.keys().for_each(|run_id| books.record(record(run_id, RunState::Finished, 0)));
        for step in steps {
            if let Step::Record(record) = step {
                books.record(record.clone());
            }
        }
        for (run_id, (lines, duplicates)) in &self.parts {
            if !books.is_finished(run_id) {
                books.restore_duplicates(run_id, *duplicates);
                for (id, kind) in lines {
                    books.restore(run_id, *id, *kind);
                }
            }
        }
        books.hold_outside();
        books
    }

    fn flush(
        &mut self,
        books: &mut Bookkeeping,
        buffer: &mut BTreeMap<String, Lines>,
        next: usize,
        now: Micros,
    ) {
        books.close_outside(now);
        self.parts.extend(std::mem::take(buffer));
        (self.next, self.outside) = (next, books.outside().cloned());
        for complete in books.complete() {
            let run_id = complete.record.run_id;
            let stored = self.parts.iter().filter(|part| part.0 == run_id);
            let stored: usize = stored.map(|(_, (lines, _))| lines.len()).sum();
            assert_eq!(stored as u64, complete.counts.predictions + complete.counts.dead_letters);
            books.finish(&run_id);
            assert_eq!(self.finished.insert(run_id, complete.counts), None, "finished twice");
        }
    }
}

fn play(steps: &[Step]) -> Disk {
    let (mut disk, mut survived) = (Disk::default(), BTreeSet::new());
    let (mut books, mut buffer, mut at) = (disk.start(steps), BTreeMap::<_, Lines>::new(), 0);
    while at < steps.len() {
        match &steps[at] {
            Step::Record(record) => books.record(record.clone()),
            Step::Flush => disk.flush(&mut books, &mut buffer, at, Micros(0)),
            Step::Crash if survived.insert(at) => {
                buffer.clear();
                books = disk.start(steps);
                at = disk.next;
                continue;
            }
            Step::Crash => {}
            Step::Outcome(run, id, kind) => {
                match books.place(run.as_deref(), Id(*id), *kind, false, Micros(0)) {
                    Place::Run(run_id) => buffer.entry(run_id).or_default().0.push((Id(*id), *kind)),
                    Place::Duplicate(run_id) => buffer.entry(run_id).or_default().1 += 1,
                    Place::Elsewhere => panic!("there is no other folder"),
                }
            }
        }
        at += 1;
    }
    disk.flush(&mut books, &mut buffer, at, Micros(HOUR.as_micros() as i64));
    assert!(books.open().is_empty(), "{:?}", books.open());
    disk
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Prediction), Just(Kind::DeadLetter)]
}

proptest! {
    /// However outcomes and records are interleaved, and wherever the sink is killed: each run is finished once, each
    /// of its events counts once, and all others are duplicates.
    #[test]
    fn every_outcome_counts_once(
        outcomes in proptest::collection::vec((0usize..4, 0u128..12, kind(), any::<u16>()), 0..60),
        records in proptest::collection::vec((any::<u16>(), any::<u16>()), 3),
        events in proptest::collection::vec((any::<bool>(), any::<u16>()), 0..15),
    ) {
        let run_id = |run: usize| (run < 3).then(|| format!("run-{run}"));
        let of_run = |run: usize| outcomes.iter().filter(move |outcome| outcome.0 == run);
        let mut steps: Vec<(u16, Step)> = Vec::new();
        for (run, id, kind, place) in &outcomes {
            steps.push((*place, Step::Outcome(run_id(*run), *id, *kind)));
        }
        for (run, (opened, closed)) in records.iter().enumerate() {
            let name = run_id(run).unwrap();
            steps.push((*opened, Step::Record(record(&name, RunState::Open, 1))));
            steps.push((*closed, Step::Record(record(&name, RunState::Closed, of_run(run).count() as i64))));
        }
        for (is_crash, place) in events {
            steps.push((place, if is_crash { Step::Crash } else { Step::Flush }));
        }
        steps.sort_by_key(|(place, _)| *place);
        let steps: Vec<_> = steps.into_iter().map(|(_, step)| step).collect();

        let disk = play(&steps);
        for run in 0..3 {
            let counts = disk.finished[&run_id(run).unwrap()];
            let distinct: BTreeSet<_> = of_run(run).map(|outcome| outcome.1).collect();
            prop_assert_eq!(counts.predictions + counts.dead_letters, distinct.len() as u64);
            prop_assert_eq!(counts.duplicates, (of_run(run).count() - distinct.len()) as u64);
        }
        let all: u64 = disk.finished.values().map(|it| it.predictions + it.dead_letters + it.duplicates).sum();
        prop_assert_eq!(all, outcomes.len() as u64);
    }
}
