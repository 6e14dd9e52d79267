//! Everything between reading an image event and committing its outcome: where the stage's threads meet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use autorma_stream::{
    Assignment, Batcher, Cut, NextOffset, Offset, Passed, Progress, Record, TopicPartition,
};
use parking_lot::{Condvar, Mutex};

use crate::Error;
use crate::outcome::{Decoded, Finished, Outcome};

/// How long after a commit the next one waits for company while more is in work. A transaction costs the log the same
/// whatever it holds: on two processors that Kafka shares, two a second instead of fifteen halve what the broker takes of them.
const COMPANY: Duration = Duration::from_millis(500);

/// The desk: records to decode, pictures ready for the model, outcomes to commit.
#[derive(Debug)]
pub(crate) struct Desk {
    state: Mutex<State>,
    max_in_flight: usize,
    /// There is something to decode, or there may be a micro-batch to cut.
    work: Condvar,
    /// There may be something to commit.
    done: Condvar,
    /// There is room for more, or less to wait for.
    room: Condvar,
}

#[derive(Debug)]
struct State {
    to_decode: VecDeque<Record>,
    decoding: usize,
    ready: Batcher<Decoded>,
    done: BTreeMap<(TopicPartition, Offset), Finished>,
    committing: BTreeSet<TopicPartition>,
    progress: Progress,
    /// Where partitions go on behind their last record, to be committed when everything before it is.
    passed: BTreeMap<TopicPartition, Passed>,
    in_flight: usize,
    /// Until then, what is done waits for company.
    company: Instant,
    /// Somebody waits until all is committed.
    urgent: bool,
    /// No further record comes.
    closed: bool,
    failure: Option<Error>,
}

/// What a worker does.
#[derive(Debug)]
pub(crate) enum Task {
    /// Make a picture of it.
    Decode(Record),
    /// Send the micro-batch through the model.
    Infer(Vec<Decoded>),
}

/// Outcomes that may be committed together, and where the group continues then.
#[derive(Debug, Default)]
pub(crate) struct Committable {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) offsets: BTreeMap<TopicPartition, NextOffset>,
    /// Under which each partition was worked on.
    pub(crate) assignments: BTreeMap<TopicPartition, Assignment>,
}

/// How full the queues are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Queues {
    pub(crate) to_decode: usize,
    pub(crate) ready: usize,
    pub(crate) done: usize,
    pub(crate) in_flight: usize,
    /// Of the records that wait to be decoded.
    pub(crate) bytes: usize,
}

impl Committable {
    /// Whether there is nothing to commit.
    pub(crate) fn is_empty(&self) -> bool {
        self.outcomes.is_empty() && self.offsets.is_empty()
    }

    /// Leaves out a partition that another member works on now.
    pub(crate) fn drop(&mut self, at: &TopicPartition) {
        self.outcomes.retain(|outcome| !outcome.is_of(at));
        self.offsets.remove(at);
        self.assignments.remove(at);
    }

    fn advance(&mut self, at: TopicPartition, next: NextOffset, assignment: Assignment) {
        self.assignments.insert(at.clone(), assignment);
        self.offsets.insert(at, next);
    }
}

impl Desk {
    pub(crate) fn new(max_in_flight: usize, batch_size: usize, max_wait: Duration) -> Self {
        let state = State {
            to_decode: VecDeque::new(),
            decoding: 0,
            ready: Batcher::new(batch_size, max_wait),
            done: BTreeMap::new(),
            committing: BTreeSet::new(),
            progress: Progress::default(),
            passed: BTreeMap::new(),
            in_flight: 0,
            company: Instant::now(),
            urgent: false,
            closed: false,
            failure: None,
        };
        let [work, done, room] = std::array::from_fn(|_| Condvar::new());
        Self { state: Mutex::new(state), max_in_flight, work, done, room }
    }

    /// Waits until so many records have room, or `longest`. Returns how many have.
    pub(crate) fn wait_for_room(&self, wanted: usize, longest: Duration) -> usize {
        let full = |state: &mut State| self.max_in_flight - state.in_flight < wanted && !state.stopped();
        let mut state = self.state.lock();
        self.room.wait_while_for(&mut state, full, longest);
        if full(&mut state) {
            self.clear_away();
        }
        self.max_in_flight - state.in_flight
    }

    /// Records were read.
    pub(crate) fn admit(&self, records: Vec<Record>) {
        let mut state = self.state.lock();
        for record in records {
            state.progress.begin(&record.stored.at, record.stored.offset);
            state.in_flight += 1;
            state.to_decode.push_back(record);
        }
        drop(state);
        self.work.notify_all();
    }

    /// Partitions go on there, with nothing in between.
    pub(crate) fn pass(&self, passed: BTreeMap<TopicPartition, Passed>) {
        if passed.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        for (at, passed) in passed {
            state.progress.pass(&at, passed.next);
            state.passed.insert(at, passed);
        }
        drop(state);
        self.done.notify_one();
    }

    /// What a free worker should do next; None when there will be nothing any more. Micro-batches come first: they are
    /// cut late enough as it is.
    pub(crate) fn next_task(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if state.failure.is_some() {
                return None;
            }
            let coming = state.decoding > 0 || !state.to_decode.is_empty();
            let cut = state.ready.cut(Instant::now(), coming);
            if let Cut::Batch(batch) = cut {
                return Some(Task::Infer(batch));
            }
            if let Some(record) = state.to_decode.pop_front() {
                state.decoding += 1;
                return Some(Task::Decode(record));
            }
            match cut {
                Cut::Wait(longest) => _ = self.work.wait_for(&mut state, longest),
                // The other workers are done too, or still decode what one of them will infer.
                _ if state.closed && !coming => {
                    self.work.notify_all();
                    return None;
                }
                _ => self.work.wait(&mut state),
            }
        }
    }

    /// A record that [`Desk::next_task`] gave out is a picture or has failed.
    pub(crate) fn decoded(&self, result: Result<Decoded, Finished>) {
        let mut state = self.state.lock();
        state.decoding -= 1;
        match result {
            Ok(decoded) => state.ready.push(decoded, Instant::now()),
            Err(finished) => {
                self.finish_locked(&mut state, finished);
                self.done.notify_one();
            }
        }
        // Whoever waits for this one to fill a micro-batch need wait no longer.
        let last = state.decoding == 0 && state.to_decode.is_empty();
        drop(state);
        if last {
            self.work.notify_one();
        }
    }

    /// A record that [`Desk::next_task`] gave out isn't worked on any more, for all is over. It stays pending, so that no
    /// commit passes over it, and what is done behind it is left with it.
    pub(crate) fn leave(&self) {
        let mut state = self.state.lock();
        state.decoding -= 1;
        state.in_flight -= 1;
        drop(state);
        self.wake();
    }

    /// A micro-batch has its outcomes.
    pub(crate) fn finish(&self, outcomes: Vec<Finished>) {
        let mut state = self.state.lock();
        for finished in outcomes {
            self.finish_locked(&mut state, finished);
        }
        drop(state);
        self.done.notify_one();
    }

    fn finish_locked(&self, state: &mut State, finished: Finished) {
        if finished.assignment.is_alive() {
            state.progress.finish(&finished.at, finished.offset);
            let former = state.done.insert((finished.at.clone(), finished.offset), finished);
            // The same record under an assignment that has ended, and that nobody has cleared away yet.
            state.in_flight -= usize::from(former.is_some());
        } else {
            // Its next owner does it again.
            state.in_flight -= 1;
            self.room.notify_all();
        }
    }

    /// Waits for outcomes that may be committed; None when there will be none any more.
    ///
    /// An outcome stays here until all records before it in its partition have theirs: what is committed and the
    /// offsets that say so must cover the same records.
    pub(crate) fn next_commit(&self) -> Option<Committable> {
        let mut state = self.state.lock();
        loop {
            if state.failure.is_some() {
                return None;
            }
            let company = state.company.saturating_duration_since(Instant::now());
            if !company.is_zero() && state.has_company(self.max_in_flight) {
                self.done.wait_for(&mut state, company);
                continue;
            }
            let committable = state.take_committable();
            if !committable.is_empty() {
                return Some(committable);
            }
            self.room.notify_all();
            // What is done and can't be committed lies behind what was left.
            if state.closed && state.in_flight == state.done.len() {
                return None;
            }
            self.done.wait(&mut state);
        }
    }

    /// What [`Desk::next_commit`] gave out is durable, or given up with its assignment.
    pub(crate) fn committed(&self, outcomes: usize) {
        let mut state = self.state.lock();
        state.committing.clear();
        state.in_flight -= outcomes;
        state.company = Instant::now() + COMPANY;
        drop(state);
        self.room.notify_all();
    }

    /// Forgets what isn't begun of these partitions; what is, may be committed for `longest`.
    pub(crate) fn give_up(&self, partitions: &[TopicPartition], longest: Duration) {
        let mut state = self.state.lock();
        let before = state.to_decode.len();
        let (dropped, kept): (VecDeque<_>, _) =
            state.to_decode.drain(..).partition(|record| partitions.contains(&record.stored.at));
        state.to_decode = kept;
        state.in_flight -= before - state.to_decode.len();
        for record in dropped {
            // The commit passes over none of them: they are the last of their partitions.
            state.progress.withdraw(&record.stored.at, record.stored.offset);
        }
        let was_urgent = std::mem::replace(&mut state.urgent, true);
        self.done.notify_one();
        // Nothing may be coming any more for those who wait to fill a micro-batch.
        self.work.notify_all();
        let busy = |state: &mut State| !state.stopped() && partitions.iter().any(|at| state.is_busy(at));
        self.room.wait_while_for(&mut state, busy, longest);
        for at in partitions {
            state.progress.forget(at);
            state.passed.remove(at);
        }
        state.urgent = was_urgent;
        drop(state);
        self.done.notify_one();
    }

    /// Forgets what isn't begun: nothing more is decoded, and no commit passes over it.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.lock();
        for record in std::mem::take(&mut state.to_decode) {
            state.progress.withdraw(&record.stored.at, record.stored.offset);
            state.in_flight -= 1;
        }
        drop(state);
        self.wake();
    }

    /// Waits until everything is committed, or `longest`. Returns whether it is.
    pub(crate) fn wait_until_idle(&self, longest: Duration) -> bool {
        let mut state = self.state.lock();
        state.urgent = true;
        self.clear_away();
        let busy = |state: &mut State| state.in_flight > 0 && state.failure.is_none();
        self.room.wait_while_for(&mut state, busy, longest);
        state.in_flight == 0
    }

    /// Outcomes whose assignments have ended since they were done may still lie there: the committer clears them away, and
    /// nothing else would wake it.
    fn clear_away(&self) {
        self.done.notify_one();
    }

    /// No further record comes: the threads return when what is here is done.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake();
    }

    /// Everyone stops where they are; the first failure is the one that counts.
    pub(crate) fn fail(&self, error: Error) {
        self.state.lock().failure.get_or_insert(error);
        self.wake();
    }

    /// Whether something has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.lock().failure.is_some()
    }

    /// What has failed.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.state.lock().failure.take()
    }

    pub(crate) fn queues(&self) -> Queues {
        let state = self.state.lock();
        Queues {
            to_decode: state.to_decode.len(),
            ready: state.ready.len(),
            done: state.done.len(),
            in_flight: state.in_flight,
            bytes: state.to_decode.iter().map(|record| record.stored.value.len()).sum(),
        }
    }

    fn wake(&self) {
        for waiting in [&self.work, &self.done, &self.room] {
            waiting.notify_all();
        }
    }
}

impl State {
    fn stopped(&self) -> bool {
        self.closed || self.failure.is_some()
    }

    /// Whether what is done had better wait for what is in work: not if it's much already, or somebody waits for it.
    fn has_company(&self, max_in_flight: usize) -> bool {
        let in_work = self.in_flight > self.done.len();
        in_work && self.done.len() < max_in_flight / 2 && !self.urgent && !self.stopped()
    }

    fn is_busy(&self, at: &TopicPartition) -> bool {
        let waits = || self.done.keys().any(|(done, _)| done == at);
        !self.progress.is_idle(at) || self.committing.contains(at) || waits()
    }

    fn take_committable(&mut self) -> Committable {
        let mut committable = Committable::default();
        let done = std::mem::take(&mut self.done);
        for ((at, offset), finished) in done {
            let next = self.progress.committable(&at);
            if !finished.assignment.is_alive() {
                self.in_flight -= 1;
            } else if let Some(next) = next.filter(|next| offset < Offset(next.0)) {
                self.committing.insert(at.clone());
                committable.advance(at, next, finished.assignment);
                committable.outcomes.push(finished.outcome);
            } else {
                self.done.insert((at, offset), finished);
            }
        }
        // With the last outcome before it, or alone. Work that was withdrawn is nobody's and still lies before it.
        for (at, passed) in std::mem::take(&mut self.passed) {
            match self.progress.committable(&at).filter(|next| *next >= passed.next) {
                Some(next) => committable.advance(at, next, passed.assignment),
                None => drop(self.passed.insert(at, passed)),
            }
        }
        committable
    }
}

#[cfg(test)]
mod tests;
