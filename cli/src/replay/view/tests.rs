use std::time::Duration;

use autorma_schemas::{Event, ImageEvent, Micros};
use autorma_stream::{Advance, Append, NoRebalance, PollLimit};

use super::*;

const EVERYTHING: PollLimit = PollLimit { records: 7, bytes: usize::MAX };

fn event(number: usize) -> ImageEvent {
    ImageEvent {
        event_id: format!("{number}"),
        run_id: Some("monday".into()),
        sequence: 900 + number as i64,
        source: "test".into(),
        name: format!("{number}.jpg"),
        uri: None,
        bytes: Some(vec![0; 10]),
        sha256: String::new(),
        length: 10,
        seen_at: Micros(number as i64),
        attributes: BTreeMap::new(),
    }
}

/// A log with so many image events in two partitions.
fn real(count: usize) -> Arc<dyn Log> {
    let log = Embedded::in_memory().unwrap();
    let retention = Retention::Age(Duration::from_secs(60));
    log.create(&[Topic { name: topics::IMAGES.into(), partitions: 2, retention }]).unwrap();
    let append = |number| Append {
        topic: topics::IMAGES.into(),
        partition: Some(number as i32 % 2),
        value: event(number).encode(),
        ..Append::default()
    };
    let transaction = Transaction { appends: (0..count).map(append).collect(), advance: None };
    log.producer("test").unwrap().commit(&transaction).unwrap();
    Arc::new(log)
}

fn view(real: &Arc<dyn Log>, chosen: &[(i32, &[i64])]) -> View {
    let offsets = chosen.iter().map(|(partition, offsets)| {
        let at = TopicPartition::new(topics::IMAGES, *partition);
        (at, offsets.iter().map(|offset| Offset(*offset)).collect())
    });
    let run = NewRun { id: "replay".into(), renumber: true };
    View::new(Arc::clone(real), run, offsets.collect(), Comparison::default()).unwrap()
}

fn subscribe(view: &View) -> Box<dyn Consumer> {
    let topics = vec![topics::IMAGES.to_owned()];
    let subscription = Subscription { group: "classifier".into(), topics, slot: "replay".into() };
    view.subscribe(subscription, Box::new(NoRebalance)).unwrap()
}

#[test]
fn the_chosen_events_are_handed_out_as_events_of_the_new_run_at_their_places() {
    let real = real(4000);
    let view = view(&real, &[(0, &[0, 3, 1999, 5000]), (1, &[2])]);
    let mut consumer = subscribe(&view);
    assert!(consumer.poll(PollLimit::NOTHING, Duration::ZERO).unwrap().is_empty());
    let one = PollLimit { records: 9, bytes: 1 };
    let mut records = consumer.poll(one, Duration::ZERO).unwrap();
    assert_eq!(records.len(), 1, "one comes however little room there is");
    records.extend(consumer.poll(EVERYTHING, Duration::ZERO).unwrap());
    assert!(consumer.poll(EVERYTHING, Duration::ZERO).unwrap().is_empty());
    let found: Vec<_> = records
        .iter()
        .map(|record| {
            let event = ImageEvent::decode(&record.stored.value).unwrap();
            assert_eq!(event.run_id.as_deref(), Some("replay"));
            (record.stored.at.partition, record.stored.offset.0, event.name, event.sequence)
        })
        .collect();
    let expected = [(0, 0, "0.jpg", 1), (0, 3, "6.jpg", 2), (0, 1999, "3998.jpg", 3), (1, 2, "5.jpg", 4)];
    assert_eq!(found, expected.map(|(at, offset, name, number)| (at, offset, name.to_owned(), number)));
    let vanished = view.reading.vanished.load(Ordering::Acquire);
    assert_eq!((view.reading.images(5), vanished), (Some(4), 1), "one isn't there any more");
    assert!(records.iter().all(|record| record.assignment.is_alive()));
    consumer.leave().unwrap();
    assert!(!records[0].assignment.is_alive());
}

#[test]
fn nothing_that_a_stage_does_comes_to_the_real_log() {
    let real = real(10);
    let before = real.bounds(topics::IMAGES).unwrap();
    let view = view(&real, &[(0, &[1])]);
    let mut consumer = subscribe(&view);
    let record = consumer.poll(EVERYTHING, Duration::ZERO).unwrap().remove(0);
    let advance = Some(Advance::behind(consumer.membership(), [&record]));
    let outcome = Append { topic: topics::PREDICTIONS.into(), value: vec![1], ..Append::default() };
    let image = Append { topic: topics::IMAGES.into(), value: vec![2], ..Append::default() };
    let mut producer = view.producer("classifier-replay").unwrap();
    producer.commit(&Transaction { appends: vec![outcome, image], advance }).unwrap();
    assert_eq!(view.bounds(topics::PREDICTIONS).unwrap()[0].end, NextOffset(1));
    assert_eq!(real.bounds(topics::IMAGES).unwrap(), before);
    assert!(real.groups().unwrap().is_empty() && real.committed("classifier").unwrap().is_empty());
}
