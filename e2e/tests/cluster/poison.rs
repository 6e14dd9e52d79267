//! Records that are no image events.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use autorma_broker::shared;
use autorma_e2e::{Daemon, Examples, Photos, Random, Sandbox, succeed};
use autorma_schemas::{DeadLetter, Prediction, topics};
use autorma_stream::Append;
use serde_json::Value;

use crate::outsider::{Outsider, append, inline, raw, with_content};

/// What the cluster takes at most, less room for what is around a value.
const LARGE: usize = 1_040_000;

#[test]
fn what_cannot_be_read_is_kept_whole_and_holds_up_nothing() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let mut outsider = Outsider::of(&sandbox, shared());
    let good = |number: usize| append(&inline(&photos.good[number].0, &format!("good-{number}")));
    let poisons = [
        br#"{"photo": "a.jpg"}"#.to_vec(),
        Vec::new(),
        b"\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08 some later schema".to_vec(),
        // Of the right schema, and cut off.
        good(9).value[..40].to_vec(),
    ];
    let headers = vec![("from".to_owned(), b"a script \xff".to_vec()), ("empty".to_owned(), Vec::new())];
    let poison = |value: &Vec<u8>| Append {
        headers: headers.clone(),
        partition: Some(1),
        key: Some(b"some key".to_vec()),
        ..raw(value.clone())
    };
    let mut all = vec![Append { partition: Some(1), ..good(0) }];
    all.extend(poisons.iter().map(poison));
    all.extend([Append { partition: Some(1), ..good(1) }, good(2)]);
    outsider.send(all);
    let daemon = Daemon::up(&sandbox, &["sink.run_length=1s"]).ready();
    let letters: Vec<DeadLetter> = outsider.events(topics::DEAD_LETTERS, poisons.len());
    let images = outsider.read(topics::IMAGES);
    for value in &poisons {
        // Without a key they may be in any partition, in any order.
        let letter = letters.iter().find(|letter| letter.raw.as_ref() == Some(value)).unwrap();
        let record = images.iter().find(|record| record.value == *value).unwrap();
        assert_eq!(letter.reason, "unreadable-event", "{letter:?}");
        assert_eq!(letter.headers["from"].0, b"a script \xff");
        assert_eq!(letter.headers["empty"].0, b"");
        assert_eq!(letter.event_id, None);
        let origin = &letter.origin;
        assert_eq!((&*origin.topic, origin.partition, origin.offset), ("images", 1, record.offset.0));
        assert!(!letter.message.is_empty());
    }
    let mut names: Vec<_> =
        outsider.events(topics::PREDICTIONS, 3).into_iter().map(|it: Prediction| it.name).collect();
    names.sort();
    assert_eq!(names, ["good-0", "good-1", "good-2"]);
    daemon.outcomes(7);
    let listed = sandbox.run(&["dead-letters", "--json"]).expect(0).json();
    let tailed =
        sandbox.run(&["tail", "--topic", "dead-letters", "--from-beginning", "--count", "4", "--json"]);
    let tailed = tailed.expect(0).output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for letters in [listed.as_array().unwrap().clone(), tailed] {
        let kept = |letter: &Value| letter["raw_base64"] == "eyJwaG90byI6ICJhLmpwZyJ9";
        let letter = letters.iter().find(|letter| kept(letter)).unwrap();
        assert_eq!(letter["headers_base64"]["from"], "YSBzY3JpcHQg/w==");
        assert_eq!(letter["headers_base64"]["empty"], "");
    }
    daemon.end();
}

/// Programs in C write whatever bytes they like.
#[test]
fn a_header_without_a_name_in_utf_8_holds_up_nothing() {
    let (Some(photos), Some(kcat)) = (Photos::shared(), Examples::new().kcat()) else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let mut outsider = Outsider::of(&sandbox, shared());
    let daemon = Daemon::up(&sandbox, &["sink.run_length=1s"]).ready();
    let record = sandbox.path().join("record");
    fs::write(&record, "no event").unwrap();
    let topic = sandbox.prefix() + topics::IMAGES;
    let mut produce = Command::new(kcat);
    produce.args(["-P", "-b", &shared().bootstrap(), "-t", &topic, "-H", "kept=yes", "-H"]);
    succeed(produce.arg(OsStr::from_bytes(b"na\xefve=no")).arg(&record));
    outsider.send(vec![append(&inline(&photos.good[5].0, "behind.jpg"))]);
    let letters: Vec<DeadLetter> = outsider.events(topics::DEAD_LETTERS, 1);
    assert_eq!(
        (letters[0].raw.as_deref(), &*letters[0].reason),
        (Some(&b"no event"[..]), "unreadable-event")
    );
    assert_eq!(letters[0].headers.keys().collect::<Vec<_>>(), ["kept"]);
    let predictions: Vec<Prediction> = outsider.events(topics::PREDICTIONS, 1);
    assert_eq!(predictions[0].name, "behind.jpg");
    daemon.end();
}

#[test]
fn records_as_large_as_the_cluster_takes_hold_up_nothing() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let mut outsider = Outsider::of(&sandbox, shared());
    // Nothing makes noise smaller.
    let mut random = Random::new(1);
    let mut noise = |bytes: usize| (0..bytes).map(|_| random.within(0, 256) as u8).collect::<Vec<_>>();
    // Decoders don't look behind the end of the picture.
    let mut content = fs::read(&photos.good[3].0).unwrap();
    content.extend(noise(LARGE - content.len()));
    let noted = Append { headers: vec![("note".into(), noise(20_000))], ..raw(noise(LARGE - 20_000)) };
    for append in [
        raw(noise(LARGE)),
        noted,
        append(&with_content(content, "large.jpg")),
        append(&inline(&photos.good[4].0, "small.jpg")),
    ] {
        outsider.send(vec![append]);
    }
    let daemon = Daemon::up(&sandbox, &["sink.run_length=1s"]).ready();
    let letters: Vec<DeadLetter> = outsider.events(topics::DEAD_LETTERS, 2);
    for letter in &letters {
        assert_eq!(letter.reason, "unreadable-event");
        let raw = letter.raw.as_ref().unwrap();
        assert!(raw.len() > LARGE / 2, "{} bytes are kept", raw.len());
        let whole = outsider.read(topics::IMAGES).into_iter().find(|record| {
            (record.at.partition, record.offset.0) == (letter.origin.partition, letter.origin.offset)
        });
        assert!(whole.unwrap().value.starts_with(raw));
    }
    let predictions: Vec<Prediction> = outsider.events(topics::PREDICTIONS, 2);
    assert!(predictions.iter().any(|it| it.name == "large.jpg"));
    daemon.outcomes(4);
    daemon.end();
}
