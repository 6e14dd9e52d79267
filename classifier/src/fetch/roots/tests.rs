use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use autorma_schemas::{Micros, RunKind};
use autorma_stream::embedded::Embedded;
use autorma_stream::{
    Append, Bounds, Consumer, Group, Housekeeping, Producer, Rebalance, Retention, StoredRecord,
    Subscription, Topic, Transaction,
};

use super::*;

fn log() -> Embedded {
    let log = Embedded::in_memory().unwrap();
    let runs = Topic { name: topics::RUNS.into(), partitions: 1, retention: Retention::Compact };
    log.create(&[runs]).unwrap();
    log
}

fn allows(roots: &Roots<'_>, path: &str) -> bool {
    let (readers, over) = (Readers::default(), Shutdown::new());
    roots.are_above(Path::new(path), (&readers, &over)).unwrap()
}

/// Ingest has published from there.
fn publish(log: &Embedded, input: &str) {
    let run = RunRecord::open("20261124_220330", RunKind::Stream, input, Micros(0));
    let append = Append { topic: topics::RUNS.into(), value: run.encode(), ..Append::default() };
    let mut producer = log.producer("ingest").unwrap();
    producer.commit(&Transaction { appends: vec![append], advance: None }).unwrap();
}

#[test]
fn folders_that_ingest_published_from_are_allowed_where_none_is_configured() {
    let log = log();
    let roots = Roots::new(&[], &log);
    let allows = |path: &str| allows(&roots, path);
    assert!(!allows("/photos/a.jpg"));
    publish(&log, "/photos");
    assert!(allows("/photos/a.jpg"));
    assert_eq!(published_folders(&log).unwrap(), [PathBuf::from("/photos")]);
    assert!(!allows("/photos-of-others/a.jpg"));
    let configured = Roots::new(&["/elsewhere".into()], &log);
    assert!(!self::allows(&configured, "/photos/a.jpg"));
    assert!(!is_below(Path::new("nowhere"), &["/".into()]));
    assert!(!is_below(Path::new("/photos/a.jpg"), &["".into()]));
}

/// A log that says that it settles, and waits until it may have.
#[derive(Debug)]
struct Slow {
    log: Embedded,
    says: Sender<()>,
    may: Mutex<Receiver<()>>,
}

impl Log for Slow {
    fn identity(&self) -> Result<String> {
        self.log.identity()
    }

    fn create(&self, topics: &[Topic]) -> Result<()> {
        self.log.create(topics)
    }

    fn topics(&self) -> Result<Vec<Topic>> {
        self.log.topics()
    }

    fn subscribe(
        &self,
        subscription: Subscription,
        rebalance: Box<dyn Rebalance>,
    ) -> Result<Box<dyn Consumer>> {
        self.log.subscribe(subscription, rebalance)
    }

    fn producer(&self, slot: &str) -> Result<Box<dyn Producer>> {
        self.log.producer(slot)
    }

    fn read(&self, at: &TopicPartition, from: NextOffset, max: usize) -> Result<Vec<StoredRecord>> {
        self.log.read(at, from, max)
    }

    fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        self.log.bounds(topic)
    }

    fn settle(&self, _: &[&str]) -> Result<()> {
        self.says.send(()).unwrap();
        let may = self.may.lock().recv_timeout(Duration::from_secs(60));
        assert!(may.is_ok(), "somebody has waited for it who needn't");
        Ok(())
    }

    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, NextOffset>> {
        self.log.committed(group)
    }

    fn groups(&self) -> Result<Vec<Group>> {
        self.log.groups()
    }

    fn housekeep(&self) -> Result<Housekeeping> {
        self.log.housekeep()
    }
}

#[test]
fn a_path_that_the_log_is_asked_for_holds_up_no_other() {
    let ((says, said), (let_it, may)) = (channel(), channel());
    let slow = Slow { log: log(), says, may: Mutex::new(may) };
    let roots = Roots::new(&[], &slow);
    let allows = |path: &str| allows(&roots, path);
    publish(&slow.log, "/photos");
    let_it.send(()).unwrap();
    assert!(allows("/photos/a.jpg"));
    said.recv().unwrap();
    std::thread::scope(|scope| {
        let elsewhere = [1, 2].map(|_| scope.spawn(|| allows("/elsewhere/a.jpg")));
        said.recv().unwrap();
        assert!(allows("/photos/b.jpg"));
        publish(&slow.log, "/elsewhere");
        let_it.send(()).unwrap();
        assert!(elsewhere.into_iter().all(|it| it.join().unwrap()));
    });
    assert!(said.try_recv().is_err(), "what one has read the other needn't");
}

#[test]
fn a_folder_that_was_moved_is_found_by_the_link_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let [input, moved, other] = ["input", "moved", "other"].map(|name| folder.join(name));
    std::fs::create_dir(&input).unwrap();
    std::fs::create_dir(&other).unwrap();
    let ((says, said), (let_it, may)) = (channel(), channel());
    let slow = Slow { log: log(), says, may: Mutex::new(may) };
    publish(&slow.log, input.to_str().unwrap());
    std::fs::rename(&input, &moved).unwrap();
    symlink(&moved, &input).unwrap();
    let roots = Roots::new(&[], &slow);
    let allows = |folder: &Path| allows(&roots, folder.join("a.jpg").to_str().unwrap());
    let_it.send(()).unwrap();
    assert!(allows(&moved));
    said.recv().unwrap();
    assert!(allows(&moved) && said.try_recv().is_err(), "the log isn't asked for each of its photos");
    let_it.send(()).unwrap();
    assert!(!allows(&other));
    // Of one that is configured only what its link says now counts.
    let configured = Roots::new(std::slice::from_ref(&input), &slow);
    let allows = |folder: &Path| self::allows(&configured, folder.join("a.jpg").to_str().unwrap());
    assert!(allows(&moved) && !allows(&other));
    std::fs::remove_file(&input).unwrap();
    symlink(&other, &input).unwrap();
    assert!(allows(&other) && !allows(&moved));
}

#[test]
fn that_nobody_can_say_where_a_folder_leads_refuses_no_photo() {
    fn resolve(folder: &Path) -> io::Result<PathBuf> {
        match folder.ends_with("a-stale") {
            true => Err(io::ErrorKind::StaleNetworkFileHandle.into()),
            false => folder.canonicalize(),
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let [stale, input, moved] = ["a-stale", "input", "moved"].map(|name| folder.join(name));
    std::fs::create_dir(&moved).unwrap();
    symlink(&moved, &input).unwrap();
    let log = log();
    publish(&log, stale.to_str().unwrap());
    publish(&log, input.to_str().unwrap());
    let (readers, over) = (Readers::default(), Shutdown::new());
    for roots in [Roots::new(&[], &log), Roots::new(&[stale, input], &log)] {
        let roots = Roots { resolve, ..roots };
        let elsewhere = roots.are_above(Path::new("/elsewhere/a.jpg"), (&readers, &over));
        assert!(matches!(elsewhere, Err(Trouble::Passing(_))), "{elsewhere:?}");
        assert!(allows(&roots, moved.join("a.jpg").to_str().unwrap()), "it is below another one");
    }
}

/// As where it was mounted anew, and an earlier look at it never ends.
#[test]
fn a_folder_that_hangs_leads_where_it_led_before() {
    /// It hangs while this is held.
    static AWAY: Mutex<()> = Mutex::new(());
    fn resolve(folder: &Path) -> io::Result<PathBuf> {
        drop(AWAY.lock());
        folder.canonicalize()
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let [link, photos] = ["link", "photos"].map(|name| folder.join(name));
    std::fs::create_dir(&photos).unwrap();
    symlink(&photos, &link).unwrap();
    let log = log();
    let allows = |roots: &Roots<'_>, folder: &Path| allows(roots, folder.join("a.jpg").to_str().unwrap());
    let roots = Roots { resolve, ..Roots::new(std::slice::from_ref(&link), &log) };
    assert!(allows(&roots, &photos));
    let away = AWAY.lock();
    let roots = Roots { patience: Duration::ZERO, ..roots };
    for why in ["it is asked", "it isn't asked again"] {
        assert!(allows(&roots, &photos) && !allows(&roots, &folder), "{why}");
    }
    // What it says counts again when it says something, as that it is gone.
    std::fs::remove_file(&link).unwrap();
    drop(away);
    let begun = Instant::now();
    while allows(&roots, &photos) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is asked again when it has answered");
    }
}

/// As over a slow network.
#[test]
fn a_folder_that_is_never_in_time_leads_where_it_said_last() {
    /// It hangs while this is held.
    static AWAY: Mutex<()> = Mutex::new(());
    static RESOLVED: AtomicUsize = AtomicUsize::new(0);
    fn resolve(folder: &Path) -> io::Result<PathBuf> {
        drop(AWAY.lock());
        RESOLVED.fetch_add(1, Ordering::Relaxed);
        folder.canonicalize()
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let [link, photos] = ["link", "photos"].map(|name| folder.join(name));
    std::fs::create_dir(&photos).unwrap();
    symlink(&photos, &link).unwrap();
    let log = log();
    let roots = Roots::new(std::slice::from_ref(&link), &log);
    let roots = Roots { resolve, patience: Duration::ZERO, ..roots };
    let allows = || allows(&roots, photos.join("a.jpg").to_str().unwrap());
    let away = AWAY.lock();
    assert!(!allows(), "nobody knows where it leads");
    drop(away);
    let begun = Instant::now();
    while RESOLVED.load(Ordering::Relaxed) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it answers");
        std::thread::yield_now();
    }
    let _away = AWAY.lock();
    while !allows() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it has said where it leads");
    }
}

#[test]
fn a_folder_that_hangs_is_waited_for_once_and_holds_up_no_other() {
    /// It hangs while this is held.
    static AWAY: Mutex<()> = Mutex::new(());
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    fn resolve(folder: &Path) -> io::Result<PathBuf> {
        if folder.ends_with("a-hanging") {
            ASKED.fetch_add(1, Ordering::Relaxed);
            drop(AWAY.lock());
        }
        folder.canonicalize()
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let [hanging, back, input, moved] = ["a-hanging", "back", "input", "moved"].map(|name| folder.join(name));
    let log = log();
    for (link, to) in [(&hanging, &back), (&input, &moved)] {
        std::fs::create_dir(to).unwrap();
        symlink(to, link).unwrap();
        publish(&log, link.to_str().unwrap());
    }
    let roots = Roots { resolve, ..Roots::new(&[], &log) };
    let allows = |roots: &Roots<'_>, folder: &Path| allows(roots, folder.join("a.jpg").to_str().unwrap());
    let (away, elsewhere) = (AWAY.lock(), Path::new("/elsewhere"));
    let begun = Instant::now();
    let expect_asked = |times: usize, why: &str| {
        while ASKED.load(Ordering::Relaxed) < times {
            assert!(begun.elapsed() < Duration::from_secs(60), "{why}");
            std::thread::yield_now();
        }
        assert_eq!(ASKED.load(Ordering::Relaxed), times, "{why}");
    };
    assert!(!allows(&roots, elsewhere));
    assert!(allows(&roots, &moved) && !allows(&roots, &back));
    expect_asked(1, "it hasn't answered yet");
    // A look may never end, though others would by now.
    let again = roots.silent.lock()[&hanging].0.elapsed();
    let roots = Roots { again, ..roots };
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| allows(&roots, elsewhere));
        expect_asked(2, "it is asked again after a while");
        assert!(!allows(&roots, elsewhere));
        expect_asked(2, "one that asks it again is enough");
        drop(away);
        assert!(!asking.join().unwrap());
    });
    while !allows(&roots, &back) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is asked again when it has answered");
    }
    // So it is with those that are configured, and none is asked for what lies below one by its name.
    let (_away, asked) = (AWAY.lock(), ASKED.load(Ordering::Relaxed));
    let configured = [hanging, folder];
    let roots = Roots { resolve, patience: Duration::ZERO, ..Roots::new(&configured, &log) };
    assert!(allows(&roots, &moved));
    expect_asked(asked, "the photo is below another one by its name");
    assert!(!allows(&roots, elsewhere));
    expect_asked(asked + 1, "it is asked, and not waited for");
}
