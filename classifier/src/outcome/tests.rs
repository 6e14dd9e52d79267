use std::collections::BTreeMap;

use autorma_schemas::Decision;
use autorma_stream::memory::Memory;
use autorma_stream::{Log, NextOffset, Retention, Topic, Transaction};

use super::*;

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

fn event() -> ImageEvent {
    ImageEvent {
        event_id: "1".into(),
        run_id: None,
        sequence: 0,
        source: "a test".into(),
        name: "a.jpg".into(),
        uri: None,
        bytes: None,
        sha256: String::new(),
        length: 0,
        seen_at: Micros(0),
        attributes: BTreeMap::new(),
    }
}

fn decoded(event: ImageEvent) -> Decoded {
    let Record { stored, assignment } = record(Vec::new());
    let origin = origin(&stored);
    let trace = carried(&stored, Some(&event.event_id), &origin);
    Decoded { assignment, origin, event, picture: Picture(Vec::new()), trace }
}

fn verdict() -> Verdict {
    Verdict {
        predicted_class: "shoe".into(),
        confidence: 1.0,
        probabilities: Vec::new(),
        unknown_probability: 0.0,
        decision: Decision::Accept,
    }
}

fn model() -> ModelVersion {
    ModelVersion { name: "m".into(), version: "1".into(), sha256: String::new() }
}

/// Of the only record in that topic, after a log.
fn headers(outcome: &Outcome, topic: &str) -> Headers {
    let log = Memory::new().unwrap();
    log.create(&[Topic { name: topic.into(), partitions: 1, retention: Retention::Compact }]).unwrap();
    let transaction = Transaction { appends: vec![outcome.append()], advance: None };
    log.producer("classifier").unwrap().commit(&transaction).unwrap();
    log.read(&TopicPartition::new(topic, 0), NextOffset::START, 1).unwrap().remove(0).headers
}

#[test]
fn an_outcome_s_record_is_of_the_event_s_trace() {
    let failure = || Failure::new(Reason::Undecodable, "broken");
    let outcomes = [
        (decoded(event()).predicted(verdict(), &model(), 10), topics::PREDICTIONS),
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
