use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{
    ANY, Home, Outcome, at, fresh, join, join_with, numbers, outputs, publish, settle, shares, take, work,
};
use crate::{
    Advance, Error, NextOffset, NoRebalance, PollLimit, Producer, Rebalance, Result, Subscription,
    TopicPartition, Transaction,
};

/// Who leaves needn't be waited for.
pub fn a_leaving_member_hands_over_at_once(home: Home<'_>, soon: Duration) -> Outcome {
    let (open, log) = fresh(home, 3)?;
    let (ear, heard) = Ear::new();
    let mut first = join_with(&*log, "a", Box::new(ear))?;
    settle(&mut [&mut *first], || Ok(shares(&*log)? == [3]))?;
    let mut second = join(&*open(), "b")?;
    publish(&*log, 3, 0..3)?;
    let begun = Instant::now();
    first.leave()?;
    assert_eq!(take(&mut *second, 3)?.len(), 3);
    assert!(begun.elapsed() < soon, "handed over after {:?}", begun.elapsed());
    let heard = heard.lock();
    assert_eq!(heard.assigned.len(), 3);
    assert_eq!((heard.revoked.len(), heard.lost.len()), (3, 0));
    Ok(())
}

/// Partitions that went to another while the stage had no room, and came back, are read once, and wholly.
pub fn what_went_while_there_was_no_room_goes_on_when_it_is_back(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 2)?;
    publish(&*log, 2, 0..1000)?;
    let mut first = join(&*log, "a")?;
    settle(&mut [&mut *first], || Ok(shares(&*log)? == [2]))?;
    // Time to read ahead as far as it may.
    for _ in 0..50 {
        first.poll(PollLimit::NOTHING, Duration::from_millis(20))?;
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut second = join(&*open(), "b")?;
    settle(&mut [&mut *first, &mut *second], || Ok(shares(&*log)? == [1, 1]))?;
    // It has room again, and what comes back finds it so.
    let mut records = take(&mut *first, 500)?;
    second.leave()?;
    records.extend(take(&mut *first, 500)?);
    let places: BTreeSet<_> = records.iter().map(|it| (&it.stored.at, it.stored.offset)).collect();
    assert_eq!((records.len(), places.len()), (1000, 1000));
    Ok(())
}

/// Who is silent for too long loses its partitions, hears of it when it is back, and can't commit its work on them.
pub fn a_dead_member_s_partitions_go_to_the_others(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 2)?;
    publish(&*log, 2, 0..4)?;
    let (ear, heard) = Ear::new();
    let mut silent = join_with(&*log, "a", Box::new(ear))?;
    let records = take(&mut *silent, 4)?;
    let mut other = join(&*open(), "b")?;
    assert_eq!(take(&mut *other, 4)?.len(), 4);
    let late = log.producer("a")?.commit(&work(&*silent, &records));
    assert!(matches!(late, Err(Error::AssignmentEnded(_))));
    assert!(outputs(&*log)?.is_empty());
    assert!(records[0].assignment.is_alive(), "it doesn't know yet");
    silent.poll(PollLimit::NOTHING, Duration::ZERO)?;
    assert!(records.iter().all(|record| !record.assignment.is_alive()));
    assert_eq!(heard.lock().lost.len(), 2);
    settle(&mut [&mut *silent, &mut *other], || Ok(shares(&*log)? == [1, 1]))?;
    Ok(())
}

/// A partition that went and came back is worked on anew: what the same member had done of it before, and not committed, is
/// refused, or it would be there twice.
pub fn work_of_an_ended_assignment_is_refused_when_the_partition_is_back(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 2)?;
    publish(&*log, 2, 0..6)?;
    let mut member = join(&*log, "a")?;
    let mut producer = log.producer("a")?;
    let before = take(&mut *member, 6)?;
    // Another takes one of the partitions, or both, and leaves.
    let mut other = join(&*open(), "b")?;
    settle(&mut [&mut *member, &mut *other], || Ok(shares(&*log)? == [1, 1]))?;
    other.leave()?;
    settle(&mut [&mut *member], || Ok(shares(&*log)? == [2]))?;
    let ended: Vec<_> = before.iter().filter(|record| !record.assignment.is_alive()).cloned().collect();
    assert!(ended.len() >= 3, "a partition went and came back");
    let again = take(&mut *member, ended.len())?;

    let late = producer.commit(&work(&*member, &ended[..1]));
    assert!(matches!(late, Err(Error::AssignmentEnded(_))), "{late:?}");
    producer.commit(&work(&*member, &again))?;
    let mut expected = numbers(&again);
    let mut outputs = outputs(&*log)?;
    expected.sort_unstable();
    outputs.sort_unstable();
    assert_eq!(outputs, expected);
    Ok(())
}

/// A slot's next incarnation needn't wait for the lease of a predecessor that may be dead; if it is alive, it is out.
pub fn the_same_slot_takes_over_at_once_and_fences_the_zombie(home: Home<'_>, soon: Duration) -> Outcome {
    let (open, log) = fresh(home, 2)?;
    publish(&*log, 2, 0..6)?;
    let (ear, heard) = Ear::new();
    let mut zombie = join_with(&*log, "a", Box::new(ear))?;
    let mut producer = log.producer("zombie")?;
    let records = take(&mut *zombie, 6)?;
    let begun = Instant::now();
    let mut successor = join(&*open(), "a")?;
    assert!(matches!(producer.commit(&work(&*zombie, &records)), Err(Error::AssignmentEnded(_))));
    let again = take(&mut *successor, 6)?;
    assert!(begun.elapsed() < soon, "took over after {:?}", begun.elapsed());
    let fenced = zombie.poll(ANY, Duration::from_secs(10));
    assert!(matches!(fenced, Err(Error::Fenced { slot }) if slot == "a"));
    assert_eq!(heard.lock().lost.len(), 2);
    zombie.leave()?;
    producer.commit(&work(&*successor, &again))?;
    let mut outputs = outputs(&*log)?;
    outputs.sort_unstable();
    assert_eq!(outputs, [0, 1, 2, 3, 4, 5]);
    Ok(())
}

/// A slot that comes back with fewer topics leaves the others' partitions to those who want them.
pub fn a_topic_that_is_given_up_goes_to_the_others(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 2)?;
    let subscribe = |topics: &[&str], slot: &str| {
        let topics = topics.iter().map(|topic| topic.to_string()).collect();
        log.subscribe(Subscription { group: "g".into(), topics, slot: slot.into() }, Box::new(NoRebalance))
    };
    let mut before = subscribe(&["in", "out"], "a")?;
    settle(&mut [&mut *before], || Ok(shares(&*log)? == [3]))?;
    // It dies, in a way.
    std::mem::forget(before);
    let mut first = subscribe(&["in"], "a")?;
    let mut second = subscribe(&["out"], "b")?;
    settle(&mut [&mut *first, &mut *second], || Ok(shares(&*open())? == [2, 1]))?;
    Ok(())
}

/// Until the listener returns, the partitions are still the member's.
pub fn work_is_committed_while_partitions_are_handed_over(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 2)?;
    publish(&*log, 2, 0..10)?;
    let desk = Arc::new(Mutex::new(None));
    let finisher = Finisher { desk: Arc::clone(&desk), producer: log.producer("worker")? };
    let mut first = join_with(&*log, "a", Box::new(finisher))?;
    let records = take(&mut *first, 10)?;
    *desk.lock() = work(&*first, &records).advance;
    let mut second = join(&*open(), "b")?;
    settle(&mut [&mut *first, &mut *second], || Ok(shares(&*log)? == [1, 1]))?;
    publish(&*log, 2, 10..12)?;
    let next = take(&mut *second, 1)?;
    let moved = &next[0].stored.at;
    assert_eq!(
        numbers(&next),
        [10 + moved.partition],
        "it starts behind what was committed in the hand-over"
    );
    let ended = records.iter().filter(|record| !record.assignment.is_alive());
    assert!(ended.map(|record| &record.stored.at).eq([moved; 5]));
    Ok(())
}

/// Commits what is on the desk of partitions that go.
struct Finisher {
    desk: Arc<Mutex<Option<Advance>>>,
    producer: Box<dyn Producer>,
}

impl Rebalance for Finisher {
    fn assigned(&mut self, _: &TopicPartition) -> Result<Option<NextOffset>> {
        Ok(None)
    }

    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) {
        assert!(!lost);
        let mut desk = self.desk.lock();
        if let Some(Advance { offsets, .. }) = &mut *desk {
            let offsets = offsets.extract_if(.., |at, _| partitions.contains(at)).collect();
            let advance = desk.clone().map(|all| Advance { offsets, ..all });
            let committed = self.producer.commit(&Transaction { appends: Vec::new(), advance });
            committed.expect("the partitions are still this member's");
        }
    }
}

/// `Some` of the listener overrides what the group committed.
pub fn the_listener_chooses_where_to_start(home: Home<'_>) -> Outcome {
    let (_open, log) = fresh(home, 2)?;
    publish(&*log, 2, 0..10)?;
    let third = log.read(&at(0), NextOffset::START, 3)?[2].offset;
    let starts = StartAt(at(0), NextOffset(third.0));
    let mut consumer = join_with(&*log, "a", Box::new(starts))?;
    let mut values = numbers(&take(&mut *consumer, 8)?);
    values.sort_unstable();
    assert_eq!(values, [1, 3, 4, 5, 6, 7, 8, 9], "from the third on in one partition, all of the other");
    Ok(())
}

#[derive(Default)]
struct Heard {
    assigned: Vec<TopicPartition>,
    revoked: Vec<TopicPartition>,
    lost: Vec<TopicPartition>,
}

/// Remembers what it hears.
struct Ear(Arc<Mutex<Heard>>);

impl Ear {
    fn new() -> (Self, Arc<Mutex<Heard>>) {
        let heard = Arc::default();
        (Self(Arc::clone(&heard)), heard)
    }
}

impl Rebalance for Ear {
    fn assigned(&mut self, at: &TopicPartition) -> Result<Option<NextOffset>> {
        self.0.lock().assigned.push(at.clone());
        Ok(None)
    }

    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) {
        let mut heard = self.0.lock();
        let list = if lost { &mut heard.lost } else { &mut heard.revoked };
        list.extend(partitions.iter().cloned());
    }
}

struct StartAt(TopicPartition, NextOffset);

impl Rebalance for StartAt {
    fn assigned(&mut self, at: &TopicPartition) -> Result<Option<NextOffset>> {
        Ok((*at == self.0).then_some(self.1))
    }

    fn revoked(&mut self, _: &[TopicPartition], _: bool) {}
}
