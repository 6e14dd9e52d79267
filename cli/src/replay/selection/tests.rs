use std::time::Duration;

use autorma_schemas::{DeadLetter, ModelVersion, Origin, Prediction};
use autorma_stream::embedded::Embedded;
use autorma_stream::{Append, Producer, Retention, Topic, Transaction};

use super::*;

fn image(event_id: &str, run: &str) -> Vec<u8> {
    ImageEvent { event_id: event_id.into(), run_id: Some(run.into()), sequence: 1, ..ImageEvent::default() }
        .encode()
}

fn prediction(event_id: &str, class: &str, decision: Decision, at: i64) -> Vec<u8> {
    Prediction {
        event_id: event_id.into(),
        run_id: None,
        sequence: 0,
        batch_number: 1,
        source: String::new(),
        name: String::new(),
        uri: None,
        sha256: String::new(),
        attributes: BTreeMap::new(),
        predicted_class: class.into(),
        confidence: 0.5,
        probabilities: Vec::new(),
        unknown_probability: 0.0,
        decision,
        model: ModelVersion { name: String::new(), version: String::new(), sha256: String::new() },
        origin: origin(),
        seen_at: Micros(0),
        processed_at: Micros(at),
        arm: None,
        shadow: None,
    }
    .encode()
}

fn dead(event_id: &str, at: i64) -> Vec<u8> {
    DeadLetter {
        event_id: Some(event_id.into()),
        batch_number: 1,
        reason: "missing".into(),
        origin: origin(),
        failed_at: Micros(at),
        ..DeadLetter::default()
    }
    .encode()
}

fn origin() -> Origin {
    Origin { topic: topics::IMAGES.into(), partition: 0, offset: 0 }
}

/// A log of two partitions of images: a, b, something unreadable and a again; c.
fn log() -> (Embedded, Box<dyn Producer>) {
    let log = Embedded::in_memory().unwrap();
    let retention = Retention::Age(Duration::from_secs(60));
    let topic = |name: &str| Topic { name: name.into(), partitions: 2, retention };
    log.create(&[topics::IMAGES, topics::PREDICTIONS, topics::DEAD_LETTERS, topics::RUNS].map(topic))
        .unwrap();
    let mut producer = log.producer("test").unwrap();
    let images = [(0, image("a", "r")), (0, image("b", "s")), (0, vec![7]), (0, image("a", "s"))];
    for (partition, value) in images.into_iter().chain([(1, image("c", "s"))]) {
        append(&mut *producer, topics::IMAGES, partition, value);
    }
    (log, producer)
}

fn append(producer: &mut dyn Producer, topic: &str, partition: i32, value: Vec<u8>) {
    let append = Append { topic: topic.into(), partition: Some(partition), value, ..Append::default() };
    producer.commit(&Transaction { appends: vec![append], advance: None }).unwrap();
}

fn all() -> Criteria {
    let text = String::new();
    Criteria { from: None, to: None, run: None, ranges: None, class: None, decision: None, text }
}

fn places(criteria: &Criteria, log: &Embedded) -> Vec<(i32, i64)> {
    let selection = criteria.select(log).unwrap();
    let places = selection
        .offsets
        .iter()
        .flat_map(|(at, offsets)| offsets.iter().map(|offset| (at.partition, offset.0)).collect::<Vec<_>>());
    places.collect()
}

#[test]
fn the_last_record_of_each_event_is_taken() {
    let (log, _) = log();
    let selection = all().select(&log).unwrap();
    assert_eq!((selection.len(), selection.repeated, selection.unreadable), (3, 1, 1));
    assert_eq!(places(&all(), &log), [(0, 1), (0, 3), (1, 0)]);
    let of_run = |run: &str| places(&Criteria { run: Some(run.into()), ..all() }, &log);
    assert_eq!(of_run("r"), [(0, 0)], "of the run that is asked for");
    assert_eq!(of_run("s"), [(0, 1), (0, 3), (1, 0)]);
}

#[test]
fn places_and_times_are_kept() {
    let (log, _) = log();
    let within = |ranges| places(&Criteria { ranges: Some(Ranges::parse(ranges).unwrap()), ..all() }, &log);
    assert_eq!(within("images-0:0..2"), [(0, 0), (0, 1)]);
    assert_eq!(within("images-0:3..,images-1:.."), [(0, 3), (1, 0)]);
    assert_eq!(within("images-1:1.."), []);
    let outside = Criteria { ranges: Some(Ranges::parse("images-2:..").unwrap()), ..all() };
    assert!(outside.select(&log).unwrap_err().to_string().contains("no partition 2"));

    let at = TopicPartition::new(topics::IMAGES, 0);
    let first = Micros(log.read(&at, NextOffset::START, 1).unwrap()[0].appended_at);
    let from = |from| places(&Criteria { from: Some(from), ..all() }, &log).len();
    let to = |to| places(&Criteria { to: Some(to), ..all() }, &log).len();
    assert_eq!((from(first), to(first)), (3, 0), "from is part of it, to isn't");
    let later = Micros(first.0 + 60_000_000);
    assert_eq!((from(later), to(later)), (0, 3));
}

#[test]
fn the_newest_outcome_decides() {
    let (log, mut producer) = log();
    let mut say = |topic: &str, value: Vec<u8>| append(&mut *producer, topic, 1, value);
    say(topics::PREDICTIONS, prediction("a", "tops", Decision::Review, 5));
    say(topics::PREDICTIONS, prediction("a", "tops", Decision::Accept, 3));
    say(topics::PREDICTIONS, prediction("b", "tops", Decision::Review, 3));
    say(topics::DEAD_LETTERS, dead("b", 9));
    say(topics::PREDICTIONS, prediction("c", "shirts", Decision::Review, 3));
    say(topics::PREDICTIONS, prediction("other", "tops", Decision::Review, 3));
    let chosen = |class: Option<&str>, decision| {
        places(&Criteria { class: class.map(str::to_owned), decision, ..all() }, &log)
    };
    assert_eq!(chosen(Some("tops"), None), [(0, 3)]);
    assert_eq!(chosen(None, Some(Decision::Review)), [(0, 3), (1, 0)]);
    assert_eq!(chosen(Some("shirts"), Some(Decision::Review)), [(1, 0)]);
    assert_eq!(chosen(None, Some(Decision::Accept)), []);
    let of_class = |class: &str| Criteria { class: Some(class.into()), ..all() }.select(&log).unwrap();
    let repeated = ["tops", "shirts", "watches"].map(|class| of_class(class).repeated);
    assert_eq!(repeated, [1, 0, 0], "a alone is there twice, and it is of the tops");
    let former = all().select(&log).unwrap().former;
    assert_eq!(former.len(), 3);
    assert!(former[&Id::of("b")].verdict.is_dead());
}
