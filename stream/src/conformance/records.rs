use std::collections::BTreeMap;

use super::{Home, Outcome, append, at, fresh, offsets, publish, topic};
use crate::{
    Append, Bounds, Error, NextOffset, Pages, READ_BYTES, Retention, Topic, TopicPartition, Transaction,
};

/// A topic that exists stays as it is.
pub fn creating_is_idempotent(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 2)?;
    publish(&*log, 2, 0..3)?;
    log.create(&[topic("in", 7), Topic { retention: Retention::Compact, ..topic("ledger", 1) }])?;
    open().create(&[topic("in", 2)])?;
    let topics = log.topics()?.into_iter().map(|topic| (topic.name, topic.partitions)).collect::<Vec<_>>();
    assert_eq!(topics, [("in".into(), 2), ("ledger".into(), 1), ("out".into(), 1)]);
    assert_eq!(log.bounds("in")?.len(), 2);
    assert_eq!(log.read(&at(0), NextOffset::START, 10)?.len(), 2);
    assert_eq!(log.topics()?[1].retention, Retention::Compact);
    Ok(())
}

/// All handles of a log give it the same name, and no other log has it.
pub fn the_identity_stays_and_differs_between_logs(home: Home<'_>) -> Outcome {
    let (first, second) = (home(), home());
    let handle = first();
    let identity = handle.identity()?;
    assert!(!identity.is_empty());
    assert_eq!(identity, first().identity()?);
    assert_ne!(identity, second().identity()?);
    Ok(())
}

/// Key, value and headers are those that were given, whatever their bytes.
pub fn records_come_back_as_they_were_appended(home: Home<'_>) -> Outcome {
    let (_open, log) = fresh(home, 1)?;
    let full = Append {
        topic: "in".into(),
        partition: Some(0),
        key: Some(vec![0, 255]),
        value: (0..=255).cycle().take(100_000).collect(),
        headers: vec![
            ("run".into(), b"1".to_vec()),
            (String::new(), Vec::new()),
            ("run".into(), vec![0, 200]),
        ],
    };
    let empty = Append { topic: "in".into(), ..Append::default() };
    let appends = vec![full.clone(), empty.clone()];
    log.producer("publisher")?.commit(&Transaction { appends, advance: None })?;
    let records = log.read(&at(0), NextOffset::START, 10)?;
    assert_eq!(records.len(), 2);
    for (record, append) in records.iter().zip([full, empty]) {
        assert_eq!(record.at, at(0));
        assert_eq!((&record.key, &record.value), (&append.key, &append.value));
        assert_eq!(record.headers, append.headers);
        assert!(record.appended_at > 1_500_000_000_000_000, "microseconds since 1970");
    }
    Ok(())
}

/// Wherever a key's records came from, they are in one partition, in the order of their transactions.
pub fn a_key_stays_in_its_partition_and_in_order(home: Home<'_>) -> Outcome {
    let (open, log) = fresh(home, 5)?;
    for round in 0..10 {
        let appends =
            (0..20).map(|key: i32| Append { key: Some(key.to_le_bytes().into()), ..append("in", round) });
        let transaction = Transaction { appends: appends.collect(), advance: None };
        open().producer("publisher")?.commit(&transaction)?;
    }
    let mut places = BTreeMap::<Vec<u8>, Vec<(i32, String)>>::new();
    for partition in 0..5 {
        let records = log.read(&at(partition), NextOffset::START, 1000)?;
        assert!(offsets(&records).is_sorted());
        for record in records {
            let value = String::from_utf8_lossy(&record.value).into_owned();
            places.entry(record.key.unwrap_or_default()).or_default().push((partition, value));
        }
    }
    assert_eq!(places.len(), 20);
    for rounds in places.values() {
        let partition = rounds[0].0;
        let expected = (0..10).map(|round| (partition, round.to_string())).collect::<Vec<_>>();
        assert_eq!(rounds, &expected);
    }
    Ok(())
}

/// Without key and partition, no partition gets everything.
pub fn records_without_a_key_go_to_all_partitions(home: Home<'_>) -> Outcome {
    let (_open, log) = fresh(home, 4)?;
    let appends = (0..200).map(|number| append("in", number)).collect();
    log.producer("publisher")?.commit(&Transaction { appends, advance: None })?;
    for partition in 0..4 {
        assert!(!log.read(&at(partition), NextOffset::START, 1)?.is_empty());
    }
    Ok(())
}

/// Reading begins and ends where it was told, and what isn't there is an error.
pub fn reading_has_bounds_and_limits(home: Home<'_>) -> Outcome {
    let (_open, log) = fresh(home, 2)?;
    let nothing = |partition| Bounds { at: at(partition), start: NextOffset::START, end: NextOffset::START };
    assert_eq!(log.bounds("in")?, [nothing(0), nothing(1)]);
    publish(&*log, 1, 0..10)?;
    let all = log.read(&at(0), NextOffset::START, 100)?;
    let offsets = offsets(&all);
    assert_eq!(all.len(), 10);
    let bounds = log.bounds("in")?;
    assert!(bounds[0].start <= NextOffset(offsets[0].0) && bounds[0].end >= offsets[9].next());
    assert_eq!(bounds[1], nothing(1));
    assert_eq!(log.read(&at(0), offsets[3].next(), 3)?, all[4..7]);
    assert_eq!(log.read(&at(0), bounds[0].end, 100)?, []);
    assert!(matches!(log.bounds("nowhere"), Err(Error::UnknownTopic(name)) if name == "nowhere"));
    for partition in [2, -1] {
        let read = log.read(&at(partition), NextOffset::START, 1);
        assert!(matches!(read, Err(Error::UnknownPartition(it)) if it == at(partition)));
    }
    let elsewhere = log.read(&TopicPartition::new("nowhere", 0), NextOffset::START, 1);
    assert!(matches!(elsewhere, Err(Error::UnknownTopic(_))));
    Ok(())
}

/// However many records are asked for, those that are large come a few at a time, and none is left out.
pub fn reading_takes_little_of_what_is_large(home: Home<'_>) -> Outcome {
    const SIZE: usize = 900_000;
    let (_open, log) = fresh(home, 1)?;
    let mut producer = log.producer("publisher")?;
    for first in [0, 10, 20] {
        let large = |number: u8| Append { value: vec![number; SIZE], ..append("in", 0) };
        let appends = (first..first + 10).map(large).collect();
        producer.commit(&Transaction { appends, advance: None })?;
    }
    let page = log.read(&at(0), NextOffset::START, usize::MAX)?;
    assert!((1..=READ_BYTES / SIZE + 1).contains(&page.len()), "{}", page.len());
    let end = log.bounds("in")?[0].end;
    let all = Pages::new(at(0), NextOffset::START).up_to(&*log, end);
    let numbers = all.map(|record| Ok(record?.value[0])).collect::<Result<Vec<_>, Error>>()?;
    assert!(numbers.into_iter().eq(0..30));
    Ok(())
}
