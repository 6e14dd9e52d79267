//! The contracts are kept: each event survives the wire, and every earlier version of each schema can be read.

use std::collections::BTreeMap;

use autorma_schemas::{
    ClassProbability, DeadLetter, Decision, DecodeError, Event, HeaderValue, ImageEvent, LedgerRecord,
    Micros, ModelVersion, Origin, Prediction, Reason, RunKind, RunRecord, RunState, Shadow,
    compatible_versions,
};
use proptest::prelude::*;

fn image_event() -> ImageEvent {
    ImageEvent {
        event_id: "7f".repeat(16),
        run_id: Some("20261123_153147".into()),
        sequence: 12,
        source: "ingest".into(),
        name: "red\\xFFshoe.jpg".into(),
        uri: Some("file:///photos/red%FFshoe.jpg".into()),
        bytes: Some(vec![0, 1, 255]),
        sha256: "ab".repeat(32),
        length: 3,
        seen_at: Micros(1_795_000_000_123_456),
        attributes: BTreeMap::from([("order".into(), "4711".into())]),
    }
}

fn origin() -> Origin {
    Origin { topic: "images".into(), partition: 2, offset: 4_000_000_000 }
}

fn prediction() -> Prediction {
    let image = image_event();
    Prediction {
        event_id: image.event_id,
        run_id: image.run_id,
        sequence: image.sequence,
        batch_number: 2,
        source: image.source,
        name: image.name,
        uri: image.uri,
        sha256: image.sha256,
        attributes: image.attributes,
        predicted_class: "tops".into(),
        confidence: 0.1 + 0.2,
        probabilities: vec![ClassProbability { label: "tops".into(), probability: 0.1 + 0.2 }],
        unknown_probability: 1e-300,
        decision: Decision::Unknown,
        model: ModelVersion {
            name: "refund-classifier".into(),
            version: "1".into(),
            sha256: "cd".repeat(32),
        },
        origin: origin(),
        seen_at: Micros(-1),
        processed_at: Micros(i64::MAX),
        arm: None,
        shadow: None,
    }
}

fn shadow() -> Shadow {
    let model = ModelVersion { version: "2".into(), ..prediction().model };
    Shadow {
        predicted_class: "shirts".into(),
        confidence: 0.25,
        unknown_probability: 0.75,
        decision: Decision::Review,
        model,
    }
}

/// A prediction without what version 2 has added, as version 1 wrote it: the new fields are the last two, and null is a
/// byte.
fn first_version(of: &Prediction) -> Vec<u8> {
    assert!(of.arm.is_none() && of.shadow.is_none());
    let newest = of.encode();
    let (datum, nulls) = newest[10..].split_at(newest.len() - 12);
    assert_eq!(nulls, [0, 0]);
    [&[0xc3, 0x01, 0x33, 0xd0, 0xaa, 0x6f, 0x14, 0xf9, 0xc7, 0x0d], datum].concat()
}

fn dead_letter() -> DeadLetter {
    DeadLetter {
        event_id: None,
        run_id: None,
        sequence: 0,
        batch_number: 1,
        source: String::new(),
        name: String::new(),
        uri: None,
        sha256: String::new(),
        attributes: BTreeMap::new(),
        reason: Reason::UnreadableEvent.to_string(),
        message: "not an image event".into(),
        raw: Some(vec![9; 300]),
        headers: BTreeMap::from([("trace".into(), HeaderValue(vec![0, 255]))]),
        origin: origin(),
        seen_at: Micros(0),
        failed_at: Micros(1),
    }
}

fn run() -> RunRecord {
    RunRecord {
        run_id: "20261123_153147".into(),
        kind: RunKind::Batch,
        state: RunState::Closed,
        input: "/photos".into(),
        images: 40,
        already_done: 2,
        opened_at: Micros(5),
        closed_at: Some(Micros(6)),
        predictions: 37,
        dead_letters: 2,
        duplicates: 1,
    }
}

fn ledger() -> LedgerRecord {
    LedgerRecord {
        uri: "file:///photos/a.jpg".into(),
        size: 3,
        modified_ns: 1,
        sha256: "ab".repeat(32),
        event_id: "7f".repeat(16),
        run_id: "20261123_153147".into(),
    }
}

fn survives<E: Event + PartialEq + std::fmt::Debug>(event: E) {
    let single_object = event.encode();
    assert_eq!(E::decode(&single_object).unwrap(), event);
    let confluent = [&[0, 0, 0, 0, 7], &single_object[10..]].concat();
    assert_eq!(E::decode(&confluent).unwrap(), event, "confluent's framing around the same datum");
    for length in 0..single_object.len() {
        assert!(E::decode(&single_object[..length]).is_err(), "cut to {length} bytes");
    }
    let longer = [&single_object[..], &[0]].concat();
    assert!(matches!(E::decode(&longer), Err(DecodeError::Trailing(1))), "not of the version that it names");
    for (version, compatible) in compatible_versions::<E>().into_iter().enumerate() {
        assert_eq!(compatible, Ok(()), "version {} of the schema", version + 1);
    }
}

#[test]
fn every_event_survives_the_wire_and_every_version_is_readable() {
    survives(image_event());
    survives(ImageEvent { bytes: None, run_id: None, uri: None, ..image_event() });
    survives(prediction());
    survives(Prediction { arm: Some("staging".into()), ..prediction() });
    survives(Prediction { shadow: Some(shadow()), ..prediction() });
    survives(Prediction { arm: Some("production".into()), shadow: Some(shadow()), ..prediction() });
    survives(dead_letter());
    survives(DeadLetter { raw: None, event_id: Some("x".into()), ..dead_letter() });
    survives(run());
    survives(ledger());
}

/// What was written before there were arms and shadows, in either framing.
#[test]
fn predictions_of_version_1_are_read() {
    let first = first_version(&prediction());
    assert_eq!(Prediction::decode(&first).unwrap(), prediction());
    let confluent = [&[0, 0, 0, 0, 7], &first[10..]].concat();
    assert_eq!(Prediction::decode(&confluent).unwrap(), prediction());
    for length in 0..first.len() {
        assert!(Prediction::decode(&first[..length]).is_err(), "cut to {length} bytes");
    }
    let longer = [&first[..], &[0]].concat();
    assert!(matches!(Prediction::decode(&longer), Err(DecodeError::Trailing(1))));
}

/// The bytes of each version, fixed for ever: a change of the schema must be a new version, not an edit of one. The
/// fingerprints are those that Avro's other libraries compute (`examples/` finds the schemas by them).
#[test]
fn versions_are_frozen() {
    let fingerprints = [
        ("image_event", image_event().encode()),
        ("prediction 1", first_version(&prediction())),
        ("prediction", prediction().encode()),
        ("dead_letter", dead_letter().encode()),
        ("run_record", run().encode()),
        ("ledger_record", ledger().encode()),
    ]
    .map(|(name, bytes)| {
        format!("{name} {}", bytes[2..10].iter().map(|b| format!("{b:02x}")).collect::<String>())
    });
    assert_eq!(
        fingerprints,
        [
            "image_event f3d4a6e44aadb387",
            "prediction 1 33d0aa6f14f9c70d",
            "prediction 617b26a0dc9b9e19",
            "dead_letter c149272b0225fceb",
            "run_record 3cf641a6bfbe087f",
            "ledger_record 4adc1670702fb882",
        ]
    );
}

/// Logs have been written whose headers have the fingerprints that apache-avro computes.
#[test]
fn early_headers_are_read() {
    let mut bytes = image_event().encode();
    bytes[2..10].copy_from_slice(&[0x67, 0xd6, 0x70, 0xe0, 0x9c, 0xc2, 0x7f, 0xef]);
    assert_eq!(ImageEvent::decode(&bytes).unwrap(), image_event());
    let mut bytes = first_version(&prediction());
    bytes[2..10].copy_from_slice(&[0xe9, 0xe3, 0xd6, 0x38, 0xcb, 0xaf, 0xb3, 0x5c]);
    assert_eq!(Prediction::decode(&bytes).unwrap(), prediction());
}

/// Whoever writes events by hand copies the header from the page.
#[test]
fn the_documented_headers_are_these() {
    let page = include_str!("../../docs/events.md");
    let predictions = [first_version(&prediction()), prediction().encode()];
    for event in
        [image_event().encode(), dead_letter().encode(), run().encode()].into_iter().chain(predictions)
    {
        let header: Vec<_> = event[..10].iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(page.contains(&header.join(" ")), "{header:?}");
    }
}

/// A version that isn't known yet may add fields, behind those that are known.
#[test]
fn an_image_event_of_a_later_compatible_version_is_read_and_another_is_not() {
    let [datum, added] = [&image_event().encode()[10..], b"\x0cpallet".as_slice()];
    for header in [b"\xc3\x01version9".as_slice(), &[0, 0, 0, 0, 7]] {
        assert_eq!(ImageEvent::decode(&[header, datum, added].concat()).unwrap(), image_event());
        let before = ImageEvent::decode(&[header, added, datum].concat()).unwrap_err();
        let other = ImageEvent::decode(&[header, &prediction().encode()[10..]].concat()).unwrap_err();
        for refused in [before, other] {
            match header[0] {
                0 => assert!(matches!(refused, DecodeError::Malformed(_)), "{refused:?}"),
                _ => assert!(matches!(refused, DecodeError::UnknownSchema), "{refused:?}"),
            }
        }
    }
    let run = [b"\xc3\x01version9", &run().encode()[10..], added].concat();
    assert!(matches!(RunRecord::decode(&run), Err(DecodeError::UnknownSchema)), "nobody else writes those");
}

/// No autorma writes in Confluent's framing, so there is no newer one that could read these.
#[test]
fn what_fits_no_version_behind_confluents_header_is_malformed() {
    fn is_malformed<E: Event>(bytes: &[u8]) -> bool {
        matches!(E::decode(bytes), Err(DecodeError::Malformed(_)))
    }
    let later = [b"\0\0\0\0\x01".as_slice(), &run().encode()[10..], b"\x0cpallet"].concat();
    for foreign in [b"\0\0\0\0\x01of another system".as_slice(), b"\0\0\0\0\x01", &later] {
        assert!(is_malformed::<RunRecord>(foreign) && is_malformed::<Prediction>(foreign), "{foreign:?}");
        assert!(is_malformed::<DeadLetter>(foreign) && is_malformed::<ImageEvent>(foreign), "{foreign:?}");
        assert!(is_malformed::<LedgerRecord>(foreign), "{foreign:?}");
    }
}

#[test]
fn an_image_event_without_a_header_is_read_and_nothing_else_is() {
    let datum = &image_event().encode()[10..];
    assert_eq!(ImageEvent::decode(datum).unwrap(), image_event());
    for length in 0..datum.len() {
        assert!(ImageEvent::decode(&datum[..length]).is_err(), "cut to {length} bytes");
    }
    let longer = [datum, &[0]].concat();
    let without_hash = ImageEvent { sha256: "none".into(), ..image_event() }.encode();
    for other in [&longer, &without_hash[10..], &run().encode()[10..], &prediction().encode()[10..]] {
        assert!(matches!(ImageEvent::decode(other), Err(DecodeError::UnknownFraming)));
    }
    assert!(RunRecord::decode(&run().encode()[10..]).is_err(), "nobody else writes those");
}

/// An event of another kind, or of an unknown schema, is an error and not a guess.
#[test]
fn another_kind_of_event_is_refused() {
    assert!(matches!(ImageEvent::decode(&run().encode()), Err(DecodeError::UnknownSchema)));
    assert!(matches!(ImageEvent::decode(b"{\"json\": true}"), Err(DecodeError::UnknownFraming)));
    assert!(matches!(ImageEvent::decode(b""), Err(DecodeError::UnknownFraming)));
}

proptest! {
    /// Bytes of any origin never panic, and never allocate what they merely claim to hold.
    #[test]
    fn hostile_bytes_are_errors(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), framing in 0..3) {
        let header = match framing { 0 => image_event().encode()[..10].to_vec(), 1 => vec![0, 0, 0, 0, 1], _ => vec![] };
        bytes.splice(0..0, header);
        let _ = ImageEvent::decode(&bytes);
    }

    #[test]
    fn any_image_event_survives(name in ".*", sequence: i64, bytes: Option<Vec<u8>>, key in ".*", value in ".*") {
        let event = ImageEvent { name, sequence, bytes, attributes: BTreeMap::from([(key, value)]), ..image_event() };
        prop_assert_eq!(ImageEvent::decode(&event.encode()).unwrap(), event);
    }
}
