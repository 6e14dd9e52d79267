use autorma_schemas::{ClassProbability, Decision};
use autorma_stream::embedded::Embedded;
use autorma_stream::{Log, NextOffset, Retention, Topic, Transaction};

use super::*;
use crate::fixtures::{event, said};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn record(value: Vec<u8>) -> Record {
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let stored = StoredRecord {
        at: TopicPartition::new(topics::IMAGES, 0),
        offset: Offset(7),
        key: None,
        value,
        headers: vec![("traceparent".into(), parent.into()), ("other".into(), b"x".to_vec())],
        appended_at: 0,
    };
    Record { stored, assignment: Assignment::begin() }
}

fn decoded(event: ImageEvent) -> Decoded {
    let Record { stored, assignment } = record(Vec::new());
    let origin = origin(&stored);
    let trace = carried(&stored, Some(&event.event_id), &origin);
    Decoded { assignment, origin, event, picture: Picture(Vec::new()), trace }
}

fn model() -> ModelVersion {
    ModelVersion { name: "m".into(), version: "1".into(), sha256: String::new() }
}

/// As much as can be said: with as many classes as a model may have, whose names are as long as names may be, in an arm and
/// beside a shadow.
fn said_at_length(model: &ModelVersion) -> Said<'_> {
    let name = |number: usize| format!("{number:0128}");
    let probabilities = (0..1000).map(|number| ClassProbability { label: name(number), probability: 0.001 });
    let verdict =
        Verdict { predicted_class: name(0), probabilities: probabilities.collect(), ..said(model).verdict };
    let shadow = Shadow {
        predicted_class: name(1),
        confidence: 1.0,
        unknown_probability: 0.0,
        decision: Decision::Accept,
        model: model.clone(),
    };
    Said { verdict, model, arm: Some(&model.name), shadow: Some(shadow) }
}

/// Of the only record in that topic, after a log.
fn headers(outcome: &Outcome, topic: &str) -> Headers {
    let log = Embedded::in_memory().unwrap();
    log.create(&[Topic { name: topic.into(), partitions: 1, retention: Retention::Compact }]).unwrap();
    let transaction = Transaction { appends: vec![outcome.append()], advance: None };
    log.producer("classifier").unwrap().commit(&transaction).unwrap();
    log.read(&TopicPartition::new(topic, 0), NextOffset::START, 1).unwrap().remove(0).headers
}

#[test]
fn an_outcome_s_record_is_of_the_event_s_trace() {
    let failure = || Failure::new(Reason::Undecodable, "broken");
    let outcomes = [
        (decoded(event()).predicted(said(&model()), 10), topics::PREDICTIONS),
        (decoded(event()).failed(failure(), 10), topics::DEAD_LETTERS),
        (unreadable(record(b"?".to_vec()), "no event".into()), topics::DEAD_LETTERS),
    ];
    for (finished, topic) in outcomes {
        let headers = headers(&finished.outcome, topic);
        let [(name, value)] = &headers[..] else { panic!("{headers:?}") };
        assert_eq!(name, "traceparent", "no other header is carried");
        assert!(value.starts_with(format!("00-{TRACE}-").as_bytes()) && value.ends_with(b"-01"));
    }
}

/// Kafka's limit is on the batch: the record with its key and headers, and 70 bytes or so of its own.
fn size(append: &Append) -> usize {
    let headers = append.headers.iter().map(|(name, value)| name.len() + value.len());
    append.value.len() + append.key.as_ref().map_or(0, Vec::len) + headers.sum::<usize>() + 100
}

#[test]
fn whatever_the_record_is_its_outcome_can_be_written() {
    let mebibyte = 1 << 20;
    let dead = unreadable(record(vec![b'{'; mebibyte]), "?".repeat(mebibyte));
    assert!(size(&dead.outcome.append()) < mebibyte);

    let longest = 256 << 10;
    let events = [
        ImageEvent { event_id: "i".repeat(longest - 11), ..event() },
        ImageEvent { name: "n".repeat(longest - 7), ..event() },
        ImageEvent { attributes: [("a".repeat(1000), "b".repeat(longest - 1012))].into(), ..event() },
    ];
    let model = ModelVersion { name: "m".repeat(128), version: "1".repeat(128), sha256: "f".repeat(64) };
    for event in events {
        assert_eq!(fits(&event), Ok(()));
        let failure = Failure::new(Reason::InvalidEvent, "?".repeat(mebibyte));
        let said = said_at_length(&model);
        for finished in
            [decoded(event.clone()).predicted(said, 10), decoded(event.clone()).failed(failure, 10)]
        {
            assert!(size(&finished.outcome.append()) < mebibyte);
        }
        assert!(fits(&ImageEvent { source: "s".repeat(20), ..event }).unwrap_err().contains("262158"));
    }
}

#[test]
fn an_event_without_an_id_is_refused_since_it_would_be_taken_for_others() {
    assert!(fits(&ImageEvent { event_id: String::new(), ..event() }).unwrap_err().contains("event_id"));
}

#[test]
fn a_small_dead_letter_keeps_its_record() {
    let finished = unreadable(record(b"?".to_vec()), "no event".into());
    let letter = DeadLetter::decode(&finished.outcome.append().value).unwrap();
    assert_eq!((letter.raw, letter.headers.len()), (Some(b"?".to_vec()), 2));
    assert_eq!(letter.message, "no event");
}
