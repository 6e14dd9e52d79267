use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{
    ANY, Home, Outcome, PATIENCE, fresh, join, numbers, outputs, publish, settle, shares, take, work,
};
use crate::{Error, Log, Offset, PollLimit, Record, Subscription, TopicPartition};

/// No more records or bytes than there is room for; a large one comes alone, and nothing is passed over.
pub fn polls_keep_to_their_limits(home: Home<'_>) -> Outcome {
    let (_open, log) = fresh(home, 3)?;
    publish(&*log, 3, 100..160)?;
    let mut consumer = join(&*log, "a")?;
    let begun = Instant::now();
    let (mut all, mut sizes) = (Vec::new(), HashSet::new());
    // Three digits each: seven bytes are room for two.
    let limits = [(7, usize::MAX), (100, 7), (100, 1)];
    let limits = limits.map(|(records, bytes)| PollLimit { records, bytes });
    for limit in limits.iter().cycle() {
        assert!(consumer.poll(PollLimit::NOTHING, Duration::ZERO)?.is_empty());
        let records = consumer.poll(*limit, Duration::from_millis(50))?;
        assert!(records.len() <= limit.records);
        assert!(records.len() <= (limit.bytes / 3).max(1));
        sizes.insert(records.len());
        all.extend(numbers(&records));
        if all.len() >= 60 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
    }
    assert!(sizes.is_superset(&HashSet::from([1, 2, 7])), "the limits are used: {sizes:?}");
    for partition in 0..3 {
        let of_partition = all.iter().copied().filter(|number| number % 3 == partition);
        assert!(of_partition.eq((100..160).filter(|number| number % 3 == partition)));
    }
    Ok(())
}

/// Who waits for records gets them when another handle commits them, not when the wait is over.
pub fn a_waiting_poll_wakes_up_for_news(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 2)?;
    let mut consumer = join(&*log, "a")?;
    settle(&mut [&mut *consumer], || Ok(shares(&*log)? == [2]))?;
    assert!(consumer.poll(ANY, Duration::ZERO)?.is_empty());
    let other = open();
    thread::scope(|threads| {
        let published = threads.spawn(|| publish(&*other, 2, 0..1));
        let begun = Instant::now();
        let records = consumer.poll(ANY, PATIENCE)?;
        assert_eq!(numbers(&records), [0]);
        assert!(begun.elapsed() < PATIENCE / 4, "woke up after {:?}", begun.elapsed());
        published.join().expect("the publisher doesn't panic")?;
        Ok(())
    })
}

/// A topic that doesn't exist has no members.
pub fn unknown_topics_can_t_be_subscribed_to(home: Home<'_>) -> Outcome {
    let (_open, log) = fresh(home, 1)?;
    let subscription = Subscription { group: "g".into(), topics: vec!["nowhere".into()], slot: "a".into() };
    let joined = log.subscribe(subscription, Box::new(crate::NoRebalance));
    assert!(matches!(joined.map(drop), Err(Error::UnknownTopic(_))));
    assert_eq!(log.groups()?, []);
    Ok(())
}

/// Members that come, go and die at random, each working under its slot, with a producer of that name.
pub fn every_record_is_processed_once_whoever_comes_and_goes(home: Home<'_>) -> Outcome {
    const RECORDS: i32 = 3000;
    let (open, log) = fresh(home, 4)?;
    let in_work = InWork::default();
    thread::scope(|threads| {
        let members = [1, 2, 3].map(|seed| {
            threads.spawn({
                let (log, in_work) = (open(), &in_work);
                move || come_and_go(&*log, seed, RECORDS as usize, in_work)
            })
        });
        for first in (0..RECORDS).step_by(100) {
            publish(&*log, 4, first..first + 100)?;
        }
        for member in members {
            member.join().expect("a member doesn't panic")?;
        }
        Ok::<_, Error>(())
    })?;
    let outputs = outputs(&*log)?;
    for partition in 0..4 {
        let of_partition = outputs.iter().copied().filter(|number| number % 4 == partition);
        let expected = (0..RECORDS).filter(|number| number % 4 == partition);
        assert!(of_partition.eq(expected), "partition {partition}: each once, in order");
    }
    Ok(())
}

fn come_and_go(log: &dyn Log, seed: u64, records: usize, in_work: &InWork) -> crate::Result<()> {
    let (mut dice, mut zombies) = (Dice(seed), 0);
    let (slot, begun) = (seed.to_string(), Instant::now());
    while outputs(log)?.len() < records {
        assert!(begun.elapsed() < PATIENCE * 2, "the work is never done");
        match stay(log, &slot, &mut dice, in_work, &mut zombies) {
            // Who was forgotten isn't dead. When the group has forgotten it too, because its successor has left, librdkafka
            // joins anew without being polled, and has the slot for as long as nobody else comes.
            Err(Error::Fenced { .. }) if zombies > 0 => {}
            stayed => stayed?,
        }
    }
    Ok(())
}

/// Works for a while, dies now and then, and leaves.
fn stay(
    log: &dyn Log,
    slot: &str,
    dice: &mut Dice,
    in_work: &InWork,
    zombies: &mut usize,
) -> crate::Result<()> {
    let (mut consumer, mut producer) = (join(log, slot)?, log.producer(slot)?);
    for _ in 0..dice.below(30) {
        let limit = PollLimit { records: 1 + dice.below(40), bytes: usize::MAX };
        // Long enough to hear of a rebalance: who is never there for its end only keeps the others from work.
        let records = consumer.poll(limit, Duration::from_millis(100))?;
        in_work.begin(&records);
        let dies = !records.is_empty() && dice.below(10) == 0;
        let works = !dies && !records.is_empty();
        let committed = if works { producer.commit(&work(&*consumer, &records)) } else { Ok(()) };
        in_work.end(&records);
        committed?;
        if dies {
            // Nobody hears of it. Its slot's next incarnation comes at once.
            std::mem::forget(consumer);
            *zombies += 1;
            consumer = join(log, slot)?;
        }
    }
    consumer.leave()
}

/// The records that some member is working on.
#[derive(Default)]
struct InWork(Mutex<HashSet<(TopicPartition, Offset)>>);

impl InWork {
    fn begin(&self, records: &[Record]) {
        let mut all = self.0.lock();
        for Record { stored, .. } in records {
            let first = all.insert((stored.at.clone(), stored.offset));
            assert!(first, "two members work on {} {:?} at once", stored.at, stored.offset);
        }
    }

    fn end(&self, records: &[Record]) {
        let mut all = self.0.lock();
        for Record { stored, .. } in records {
            all.remove(&(stored.at.clone(), stored.offset));
        }
    }
}

/// Random enough, and the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> usize {
        for shift in [-13, 7, -17_i32] {
            self.0 ^= if shift < 0 { self.0 << -shift } else { self.0 >> shift };
        }
        (self.0 % limit) as usize
    }
}

/// Two members share the partitions evenly, and what one gets the other doesn't.
pub fn a_member_works_on_its_share_alone(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 4)?;
    let (mut first, mut second) = (join(&*log, "a")?, join(&*open(), "b")?);
    settle(&mut [&mut *first, &mut *second], || Ok(shares(&*log)? == [2, 2]))?;
    publish(&*log, 4, 0..40)?;
    let all = [&mut first, &mut second].map(|consumer| take(&mut **consumer, 20));
    let partitions = |records: &[Record]| -> HashSet<TopicPartition> {
        records.iter().map(|record| record.stored.at.clone()).collect()
    };
    let [mine, others] = all;
    let (mine, others) = (partitions(&mine?), partitions(&others?));
    assert!(mine.is_disjoint(&others) && mine.len() == 2 && others.len() == 2);
    let groups = log.groups()?;
    assert_eq!(groups[0].members.iter().map(|member| member.slot.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let nothing: &[Record] = &first.poll(ANY, Duration::ZERO)?;
    assert!(nothing.is_empty());
    Ok(())
}
