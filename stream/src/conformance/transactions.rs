use super::{Home, Outcome, append, at, fresh, join, numbers, outputs, publish, take, work};
use crate::{Advance, Append, Error, Membership, Transaction};

/// Records and offsets come together, and nothing of a transaction that is refused.
pub fn transactions_are_all_or_nothing(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 1)?;
    publish(&*log, 1, 0..4)?;
    let mut consumer = join(&*log, "a")?;
    let records = take(&mut *consumer, 4)?;
    let mut producer = log.producer("worker")?;
    let good = work(&*consumer, &records);
    let before = (log.bounds("out")?, log.committed("g")?);

    let mut lost = Transaction { appends: good.appends.clone(), ..good.clone() };
    lost.appends.push(append("nowhere", 1));
    assert!(matches!(producer.commit(&lost), Err(Error::UnknownTopic(_))));
    lost.appends.pop();
    lost.appends.push(Append { partition: Some(9), ..append("out", 1) });
    assert!(matches!(producer.commit(&lost), Err(Error::UnknownPartition(_))));
    let stranger = Membership { slot: "b".into(), ..consumer.membership() };
    let foreign = Advance::behind(stranger, &records);
    let foreign = Transaction { advance: Some(foreign), ..good.clone() };
    assert!(matches!(producer.commit(&foreign), Err(Error::AssignmentEnded(it)) if it == at(0)));
    assert_eq!((log.bounds("out")?, log.committed("g")?), before);

    producer.commit(&good)?;
    assert_eq!(outputs(&*open())?, [0, 1, 2, 3]);
    assert_eq!(log.committed("g")?[&at(0)], records[3].stored.offset.next());
    Ok(())
}

/// Only the newest producer of a slot writes; those of other slots aren't concerned.
pub fn a_later_producer_of_the_slot_fences_the_earlier(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 1)?;
    let transaction = |number: i32| Transaction { appends: vec![append("out", number)], advance: None };
    let (mut first, mut other) = (log.producer("a")?, log.producer("b")?);
    first.commit(&transaction(1))?;
    let mut second = open().producer("a")?;
    for _ in 0..2 {
        let fenced = first.commit(&transaction(2));
        assert!(matches!(fenced, Err(Error::Fenced { slot }) if slot == "a"));
    }
    second.commit(&transaction(3))?;
    other.commit(&transaction(4))?;
    assert_eq!(outputs(&*log)?, [1, 3, 4]);
    Ok(())
}

/// A handle that is opened later finds what was committed, and a group continues there.
pub fn offsets_and_records_survive_reopening(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 1)?;
    // Where the log is in memory, this is what keeps it.
    let later = open();
    publish(&*log, 1, 0..6)?;
    let mut consumer = join(&*log, "a")?;
    let records = take(&mut *consumer, 6)?;
    log.producer("worker")?.commit(&work(&*consumer, &records[..4]))?;
    consumer.leave()?;
    drop(log);
    drop(later);
    let log = open();
    assert_eq!(outputs(&*log)?, [0, 1, 2, 3]);
    assert_eq!(log.committed("g")?[&at(0)], records[3].stored.offset.next());
    let rest = take(&mut *join(&*log, "b")?, 2)?;
    assert_eq!(numbers(&rest), [4, 5]);
    Ok(())
}

/// Going back is refused where it would double outputs, and changes nothing where there are none.
pub fn offsets_never_go_back(home: Home<'_>) -> Outcome {
    let (_open, log) = fresh(home, 1)?;
    publish(&*log, 1, 0..4)?;
    let mut consumer = join(&*log, "a")?;
    let records = take(&mut *consumer, 4)?;
    let mut producer = log.producer("worker")?;
    producer.commit(&work(&*consumer, &records[..3]))?;
    let committed = log.committed("g")?;
    let back = work(&*consumer, &records[..1]);
    assert!(matches!(producer.commit(&back), Err(Error::AssignmentEnded(_))));
    producer.commit(&Transaction { appends: Vec::new(), ..back })?;
    assert_eq!(log.committed("g")?, committed);
    assert_eq!(outputs(&*log)?, [0, 1, 2]);
    Ok(())
}
