use super::*;
use notify::event::{DataChange, MetadataKind, RemoveKind};
use std::sync::mpsc::sync_channel;

fn heard(kind: EventKind, path: &str, recursive: bool) -> Option<Signal> {
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    interpret(Event::new(kind).add_path(path.into()), Path::new("/in"), recursive, &metrics)
}

#[test]
fn events_mean_little() {
    let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
    let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    let chmod = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
    let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
    let photo = || PathBuf::from("/in/a.jpg");
    assert_eq!(heard(close, "/in/a.jpg", false), Some(Signal::Complete(photo())));
    assert_eq!(heard(written, "/in/a.jpg", false), Some(Signal::Written(photo())));
    assert_eq!(heard(chmod, "/in/a.jpg", false), Some(Signal::Look(photo())));
    assert_eq!(heard(renamed(RenameMode::To), "/in/a.jpg", false), Some(Signal::Complete(photo())));
    assert_eq!(heard(renamed(RenameMode::From), "/in/a.jpg", false), Some(Signal::Gone(photo())));
    assert_eq!(heard(renamed(RenameMode::Both), "/in/a.jpg", false), None);
    assert_eq!(heard(EventKind::Access(AccessKind::Open(AccessMode::Any)), "/in/a.jpg", false), None);
    for name in ["/in/a.txt", "/in/.a.jpg", "/in/a.jpg.part", "/in/.hidden/a.jpg", "/elsewhere/a.jpg", "/in"]
    {
        assert_eq!(heard(close, name, true), None, "{name}");
    }
    let folder = EventKind::Create(CreateKind::Folder);
    assert_eq!(heard(folder, "/in/sub", true), Some(Signal::Look("/in/sub".into())));
    assert_eq!(heard(folder, "/in/sub", false), None);
    assert_eq!(heard(folder, "/in/.sub", true), None);
    let removed = EventKind::Remove(RemoveKind::Folder);
    assert_eq!(heard(removed, "/in", false), Some(Signal::Gone("/in".into())));
}

#[test]
fn what_there_is_no_room_for_stays_in_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let (queue, signals) = sync_channel(9);
    let mut ears = Ears::new(&root, false, &metrics, queue.clone());
    (0..3).for_each(|_| queue.send(Signal::Wake).unwrap());
    let mut heard = Heard::new(2);
    assert!(!ears.catch_up(&signals, &mut heard));
    assert!(!heard.has_room() && !ears.lost_some());
    assert_eq!(signals.try_recv(), Ok(Signal::Wake));
    assert!(!ears.catch_up(&signals, &mut heard), "still no room");
}

#[test]
fn a_mark_that_could_not_be_made_is_made_as_soon_as_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let (queue, signals) = sync_channel(9);
    let mut ears = Ears::new(&root, false, &metrics, queue);
    let mut heard = Heard::new(9);
    // Where everything is the input there is no place for one.
    let marks = std::mem::replace(&mut ears.marks, Marks::new(Path::new("/")));
    ears.mark = None;
    assert!(!ears.catch_up(&signals, &mut heard), "something may be missing");
    ears.marks = marks;
    assert!((0..60).any(|_| ears.catch_up(&signals, &mut heard)), "one may be late");
}
