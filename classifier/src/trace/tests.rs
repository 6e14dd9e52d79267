use autorma_stream::{Offset, TopicPartition};

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn record(headers: &[(&str, &str)]) -> StoredRecord {
    StoredRecord {
        at: TopicPartition::new("images", 1),
        offset: Offset(7),
        headers: headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect(),
        ..StoredRecord::default()
    }
}

fn origin() -> Origin {
    Origin { topic: "images".into(), partition: 1, offset: 7 }
}

/// What the outcome of a record with these headers has.
fn carried(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let text = |(name, value)| (name, String::from_utf8(value).unwrap());
    super::carried(&record(headers), Some("1"), &origin()).into_iter().map(text).collect()
}

#[test]
fn the_trace_goes_on_below_a_span_of_its_own() {
    let carried = carried(&[("other", "x"), (PARENT, VALID), (STATE, "a=1,b=2")]);
    let [(parent, value), state] = &carried[..] else { panic!("{carried:?}") };
    assert_eq!((parent.as_str(), state.0.as_str(), state.1.as_str()), (PARENT, STATE, "a=1,b=2"));
    let made = Parent::parse(value.as_bytes()).unwrap();
    assert_eq!((made.trace, made.flags), (TRACE, 1));
    assert_ne!(made.span, "00f067aa0ba902b7");
}

#[test]
fn the_span_is_the_same_again_and_another_for_another_record() {
    let first = span(Some("1"), &origin());
    assert_eq!(first, span(Some("1"), &origin()));
    assert_eq!(first, "f3d1bdf3d46ba20b", "another version of autorma may do the record again");
    assert_ne!(first, span(Some("2"), &origin()));
    assert_ne!(first, span(Some("1"), &Origin { offset: 8, ..origin() }));
    assert!(is_hex(&first, 16));
}

#[test]
fn what_is_no_traceparent_is_dropped() {
    let invalid = [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
        " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0é",
    ];
    for value in invalid {
        assert_eq!(carried(&[(PARENT, value), (STATE, "a=1")]), [], "{value:?}");
    }
    assert_eq!(carried(&[(STATE, "a=1")]), []);
    assert_eq!(carried(&[(PARENT, VALID), (PARENT, VALID)]), [], "nobody can say which is meant");
    let binary = StoredRecord { headers: vec![(PARENT.into(), vec![0xff; LENGTH])], ..record(&[]) };
    assert_eq!(super::carried(&binary, None, &origin()), []);
}

#[test]
fn later_versions_are_read_as_the_first() {
    for value in [VALID.replacen("00", "01", 1), VALID.replacen("00", "cc", 1) + "-what-comes-then"] {
        let made = carried(&[("TraceParent", &value)]);
        assert!(made[0].1.starts_with(&format!("00-{TRACE}-")), "{made:?}");
    }
    let flags = carried(&[(PARENT, &VALID.replace("-01", "-ff"))]);
    assert!(flags[0].1.ends_with("-03"), "flags without a meaning are zero: {flags:?}");
}

#[test]
fn a_state_that_can_t_be_carried_costs_itself_only() {
    let state = |values: &[&str]| {
        let parent = [(PARENT, VALID)].into_iter();
        let headers: Vec<_> = parent.chain(values.iter().map(|value| (STATE, *value))).collect();
        carried(&headers).get(1).map(|(_, value)| value.clone())
    };
    assert_eq!(state(&["a=1", "b=2"]).as_deref(), Some("a=1,b=2"));
    assert_eq!(state(&[]), None);
    assert_eq!(state(&[" "]), None);
    assert_eq!(state(&["a=\u{e9}"]), None);
    assert_eq!(state(&["a=\n"]), None);
    let long = |length| format!("a={}", "1".repeat(length - 2));
    assert_eq!(state(&[&long(LONGEST_STATE)]), Some(long(LONGEST_STATE)));
    assert_eq!(state(&[&long(LONGEST_STATE + 1)]), None);
    assert_eq!(state(&[&["a=1"; MOST_MEMBERS + 1].join(",")]), None);
}
