//! Events in the framings and versions that others write.

use autorma_broker::shared;
use autorma_e2e::{Daemon, Photos, Sandbox};
use autorma_schemas::{DeadLetter, Event, Prediction, topics};

use crate::outsider::{Outsider, append, inline, raw};

/// Of the image event's first version, as docs/events.md gives it to others.
const V1: [u8; 10] = [0xc3, 0x01, 0xf3, 0xd4, 0xa6, 0xe4, 0x4a, 0xad, 0xb3, 0x87];

#[test]
fn any_framing_is_read_and_so_are_later_versions_that_are_compatible() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let mut outsider = Outsider::of(&sandbox, shared());
    let of = |number: usize, name: &str| inline(&photos.good[number].0, name);
    let single = of(0, "single.jpg").encode();
    assert_eq!(single[..10], V1);
    let confluent = [&[0, 0, 0, 0x12, 0x34], &of(1, "confluent.jpg").encode()[10..]].concat();
    // A field more, behind the others; and one before them.
    let later = [&V1[..2], b"version9", &of(2, "later.jpg").encode()[10..], b"\x08more"].concat();
    let longer = [&[0, 0, 0, 0x12, 0x35], &of(3, "longer.jpg").encode()[10..], b"\x08more"].concat();
    let other = [&V1[..2], b"version8", b"\x08more", &of(2, "other.jpg").encode()[10..]].concat();
    let bare = of(5, "bare.jpg").encode()[10..].to_vec();
    let last = append(&of(4, "last.jpg"));
    outsider.send(vec![
        raw(single),
        raw(confluent),
        raw(later),
        raw(longer),
        raw(other.clone()),
        raw(bare),
        last,
    ]);
    let daemon = Daemon::up(&sandbox, &["sink.run_length=1s"]).ready();
    let predictions: Vec<Prediction> = outsider.events(topics::PREDICTIONS, 6);
    let mut names: Vec<_> = predictions.iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["bare.jpg", "confluent.jpg", "last.jpg", "later.jpg", "longer.jpg", "single.jpg"]);
    let letters: Vec<DeadLetter> = outsider.events(topics::DEAD_LETTERS, 1);
    assert_eq!((&*letters[0].reason, &letters[0].raw), ("unreadable-event", &Some(other)));
    assert!(letters[0].message.contains("schema"), "{}", letters[0].message);
    daemon.outcomes(7);
    daemon.end();
}
