use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Home, Open, Outcome, append, at, fresh, join, number, numbers, publish, take, topic, work};
use crate::{Append, Bounds, Housekeeping, Log, NextOffset, Retention, Topic, TopicPartition, Transaction};

fn forgetful(home: Home<'_>) -> crate::Result<(Open, Arc<dyn Log>)> {
    let open = home();
    let log = open();
    let at_once = Retention::Age(Duration::ZERO);
    log.create(&[Topic { retention: at_once, ..topic("in", 2) }, topic("out", 1)])?;
    Ok((open, log))
}

/// A record is dropped when it is old and every group has read it, not before. Where no group has come
/// yet, everything is kept for the first.
pub fn what_a_group_has_not_read_is_kept(home: Home<'_>) -> Outcome {
    let (_open, log) = forgetful(home)?;
    let mut consumer = join(&*log, "a")?;
    publish(&*log, 1, 0..10)?;
    assert_eq!(log.housekeep()?, Housekeeping::default());

    let records = take(&mut *consumer, 10)?;
    log.producer("worker")?.commit(&work(&*consumer, &records[..4]))?;
    assert_eq!(log.housekeep()?, Housekeeping { expired: 4, compacted: 0 });
    assert_eq!(log.housekeep()?, Housekeeping::default());
    let next = records[3].stored.offset.next();
    let Bounds { start, end, .. } = log.bounds("in")?[0];
    assert_eq!((start, end), (next, records[9].stored.offset.next()));
    assert_eq!(log.read(&at(0), NextOffset::START, 1)?[0], records[4].stored);

    consumer.leave()?;
    assert_eq!(log.housekeep()?, Housekeeping::default(), "the group has no members, and comes back");
    let rest = take(&mut *join(&*log, "b")?, 6)?;
    assert_eq!(numbers(&rest), [4, 5, 6, 7, 8, 9]);

    let (_open, alone) = forgetful(home)?;
    publish(&*alone, 1, 0..10)?;
    assert_eq!(alone.housekeep()?, Housekeeping::default());
    assert_eq!(take(&mut *join(&*alone, "a")?, 10)?.len(), 10, "a group that comes late finds everything");
    Ok(())
}

/// What is read stays as long as the topic says.
pub fn young_records_are_kept(home: Home<'_>) -> Outcome {
    let (_open, log) = fresh(home, 1)?;
    publish(&*log, 1, 0..10)?;
    let mut consumer = join(&*log, "a")?;
    let records = take(&mut *consumer, 10)?;
    log.producer("worker")?.commit(&work(&*consumer, &records))?;
    assert_eq!(log.housekeep()?, Housekeeping::default());
    assert_eq!(log.read(&at(0), NextOffset::START, 100)?.len(), 10);
    Ok(())
}

/// Of each key the newest record is left, with its offset; records without a key are left, and so are other topics.
pub fn compaction_keeps_the_newest_of_each_key(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 2)?;
    log.create(&[Topic { retention: Retention::Compact, ..topic("ledger", 2) }])?;
    let mut producer = log.producer("publisher")?;
    let keyed = |topic: &str, value: i32| {
        let key = (value % 7 != 0).then(|| vec![(value % 10) as u8]);
        Append { partition: Some(value % 2), key, ..append(topic, value) }
    };
    for round in 0..5 {
        let values = round * 100..(round + 1) * 100;
        let appends = values.flat_map(|value| [keyed("ledger", value), keyed("in", value)]).collect();
        producer.commit(&Transaction { appends, advance: None })?;
    }
    let (mut newest, mut kept) = (BTreeMap::new(), Vec::new());
    for value in 0..500 {
        match value % 7 {
            0 => kept.push(value),
            _ => drop(newest.insert(value % 10, value)),
        }
    }
    kept.extend(newest.into_values());
    kept.sort_unstable();

    let before = everything(&*log, "in")?.len();
    let done = open().housekeep()?;
    assert_eq!(done, Housekeeping { expired: 0, compacted: 500 - kept.len() as u64 });
    assert_eq!(everything(&*log, "ledger")?, kept);
    assert_eq!(everything(&*log, "in")?.len(), before);
    assert_eq!(log.housekeep()?, Housekeeping::default());
    Ok(())
}

fn everything(log: &dyn Log, topic: &str) -> crate::Result<Vec<i32>> {
    let mut all = Vec::new();
    for partition in 0..2 {
        let records = log.read(&TopicPartition::new(topic, partition), NextOffset::START, usize::MAX)?;
        all.extend(records.iter().map(|record| number(&record.value)));
    }
    all.sort_unstable();
    Ok(all)
}
