//! The daemon, on a real file system with its events.

mod shared;

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use autorma_schemas::{RunKind, RunState, sha256, topics};
use autorma_service::http::Health;
use autorma_service::logging::{self, Format};
use shared::{Classifier, World, age, passes_under, run_record, text};

/// Runs the daemon around `test`, and stops it.
fn watched<T>(world: &World, test: impl FnOnce() -> T) -> T {
    watched_with(world, |_| test())
}

/// The same with a test that looks at how the stage is.
fn watched_with<T>(world: &World, test: impl FnOnce(&Health) -> T) -> T {
    std::thread::scope(|scope| {
        let health = Health::default();
        let stage = health.stage("ingest");
        let (config, log, metrics, shutdown) = (&world.config, &*world.log, &world.metrics, &world.shutdown);
        let daemon = scope.spawn(move || autorma_ingest::watch(config, log, metrics, shutdown, stage));
        // The daemon ends also when the test fails: otherwise the scope would wait for it.
        let stop = Stop(world);
        world.until("ready", || health.is_ready());
        let result = test(&health);
        drop(stop);
        daemon.join().unwrap().unwrap();
        result
    })
}

struct Stop<'a>(&'a World);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.shutdown.request();
    }
}

/// Waits until the first scan is over: what comes then, comes by events.
fn first_scan(world: &World) {
    world.until("the first scan", || world.metrics.rescan_seconds.get_sample_count() > 0);
}

fn restarted(world: World) -> World {
    World { shutdown: autorma_service::Shutdown::new(), ..world }
}

#[test]
fn a_file_renamed_into_place_is_published_at_once() {
    let world = World::on_disk();
    let mut times = Vec::new();
    watched(&world, || {
        first_scan(&world);
        for number in 0..20 {
            let (part, whole) =
                (world.path(&format!("{number:02}.part")), world.path(&format!("{number:02}.jpg")));
            fs::write(&part, number.to_string()).unwrap();
            let begun = Instant::now();
            fs::rename(part, whole).unwrap();
            world.until("it", || world.events().len() > number);
            times.push(begun.elapsed());
        }
    });
    times.sort_unstable();
    println!("renamed to committed: median {:?}, worst {:?}", times[10], times[19]);
    assert!(times[10] < Duration::from_millis(500), "{times:?}");
    let run = world.runs().remove(0);
    assert_eq!(
        (run.kind, run.state, run.images),
        (RunKind::Stream, RunState::Closed, 20),
        "closed at the stop"
    );
    assert_eq!(world.events().last().unwrap().sequence, 20);
}

#[test]
fn a_slow_copy_is_published_once_and_whole() {
    let mut world = World::new();
    // The copy pauses for longer than the settle time, and the folder is read all the while. Fifteen settle times,
    // after which it would be taken, are longer than a busy machine makes the pause.
    world.config.settle = Duration::from_millis(300);
    world.config.rescan = Duration::from_millis(10);
    watched(&world, || {
        first_scan(&world);
        let mut copy = File::create(world.path("slow.jpg")).unwrap();
        for _ in 0..5 {
            copy.write_all(&[b'x'; 1000]).unwrap();
            std::thread::sleep(Duration::from_millis(350));
            let scans = world.metrics.rescan_seconds.get_sample_count();
            world.until("a whole scan", || world.metrics.rescan_seconds.get_sample_count() > scans + 1);
            assert!(world.events().is_empty(), "half of a copy was taken");
        }
        assert_eq!(world.metrics.pending.get(), 1);
        drop(copy);
        world.until("the copy", || !world.events().is_empty());
    });
    let [event] = &world.events()[..] else { panic!("{:?}", world.events()) };
    assert_eq!((event.length, &*event.sha256), (5000, &*sha256(&[b'x'; 5000])));
}

#[test]
fn a_copy_whose_end_nobody_saw_is_taken_in_the_end() {
    let mut world = World::new();
    world.config.settle = Duration::from_millis(10);
    watched(&world, || {
        first_scan(&world);
        let mut copy = File::create(world.path("stalled.jpg")).unwrap();
        copy.write_all(b"x").unwrap();
        world.until("the stalled copy", || !world.events().is_empty());
        // It goes on after all: that is another content.
        copy.write_all(b"y").unwrap();
        drop(copy);
        world.until("the rest", || world.events().len() == 2);
    });
}

#[test]
fn new_content_is_a_new_event_and_a_touched_file_is_none() {
    let world = World::new();
    let path = world.photo("a.jpg", "one");
    watched(&world, || {
        world.until("the first", || world.events().len() == 1);
        // The same size, perhaps within the same tick of the file system's clock.
        fs::write(&path, "two").unwrap();
        world.until("the second", || world.events().len() == 2);
        let records = world.ledger().len();
        age(&path, 1000);
        world.until("the touch", || world.ledger().len() > records);
    });
    assert_eq!(world.events().len(), 2);
}

#[test]
fn a_restart_forgets_nothing_and_repeats_nothing() {
    let world = World::new();
    world.photo("a.jpg", "a");
    watched(&world, || world.until("a", || world.events().len() == 1));
    world.photo("b.jpg", "b");
    let world = restarted(world);
    watched(&world, || world.until("b", || world.events().len() == 2));
    assert_eq!(world.names(), ["a.jpg", "b.jpg"]);
    let images: Vec<_> = world.runs().iter().map(|run| run.images).collect();
    assert_eq!(images, [1, 1], "each stop closes its run");
}

#[test]
fn a_killed_run_is_continued_while_its_time_is_not_over() {
    for (minutes_old, continued) in [(10, true), (90, false)] {
        let world = World::new();
        let mut killed = run_record("20200101_000000", text(&world.input()));
        killed.kind = RunKind::Stream;
        killed.opened_at.0 -= minutes_old * 60_000_000;
        world.append(topics::RUNS, &killed.run_id, &killed);
        world.photo("a.jpg", "a");
        watched(&world, || world.until("a", || world.events().len() == 1));
        let event = world.events().remove(0);
        assert_eq!(event.run_id == Some(killed.run_id), continued);
        assert_eq!(event.sequence, if continued { 2 } else { 1 });
        assert!(world.runs().iter().all(|run| run.state == RunState::Closed));
    }
}

#[test]
fn a_run_ends_when_its_length_is_over_even_if_nothing_comes() {
    let mut world = World::new();
    world.config.run_length = Duration::from_secs(1);
    world.photo("a.jpg", "a");
    watched(&world, || {
        world.until("the first run's end", || world.runs().iter().any(|run| run.state == RunState::Closed));
        world.photo("b.jpg", "b");
        world.until("b", || world.events().len() == 2);
        assert_eq!(world.runs().len(), 2);
    });
    let images: Vec<_> = world.runs().iter().map(|run| (run.images, run.state)).collect();
    assert_eq!(images, [(1, RunState::Closed), (1, RunState::Closed)]);
}

#[test]
fn folders_in_the_folder_are_heard_from_their_first_file_on() {
    let mut world = World::new();
    world.config.recursive = true;
    watched(&world, || {
        first_scan(&world);
        let sub = world.path("sub/deeper");
        fs::create_dir_all(&sub).unwrap();
        fs::write(sub.join("1.part"), "1").unwrap();
        fs::rename(sub.join("1.part"), sub.join("1.jpg")).unwrap();
        world.until("1", || world.events().len() == 1);
        // A folder that comes with its photos.
        let outside = world.folder.path().join("album");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("2.jpg"), "2").unwrap();
        age(&outside.join("2.jpg"), 60);
        fs::rename(&outside, world.path("album")).unwrap();
        world.until("2", || world.events().len() == 2);
        // And goes away again.
        fs::rename(world.path("album"), world.path("moved")).unwrap();
        world.until("2, elsewhere", || world.events().len() == 3);
        fs::remove_dir_all(world.path("moved")).unwrap();
        fs::create_dir(world.path(".hidden")).unwrap();
        fs::write(world.path(".hidden/3.jpg"), "3").unwrap();
        symlink(world.folder.path(), world.path("link")).unwrap();
        fs::write(world.folder.path().join("4.jpg"), "4").unwrap();
        fs::write(world.path("5.jpg"), "5").unwrap();
        world.until("5", || world.events().len() == 4);
    });
    assert_eq!(world.names(), ["1.jpg", "2.jpg", "2.jpg", "5.jpg"]);
}

#[test]
fn links_made_into_the_folder_are_taken_without_a_close() {
    let world = World::new();
    let outside = world.folder.path().join("store.jpg");
    fs::write(&outside, "x").unwrap();
    age(&outside, 60);
    watched(&world, || {
        first_scan(&world);
        fs::hard_link(&outside, world.path("hard.jpg")).unwrap();
        world.until("the hard link", || world.events().len() == 1);
        symlink("hard.jpg", world.path("soft.jpg")).unwrap();
        world.until("the soft link", || world.events().len() == 2);
        symlink(&outside, world.path("out.jpg")).unwrap();
        world.until("the link out", || world.counted("ignored") == 1);
    });
    assert_eq!(world.names(), ["hard.jpg", "soft.jpg"]);
}

#[test]
fn the_rescan_finds_what_events_missed() {
    let mut world = World::new();
    world.config.rescan = Duration::from_millis(30);
    let input = world.config.input.clone();
    let aside = world.folder.path().join("aside");
    watched(&world, || {
        first_scan(&world);
        // While the folder is elsewhere, a photo comes into it.
        fs::rename(&input, &aside).unwrap();
        let scans = world.metrics.rescan_seconds.get_sample_count();
        world.until("scans of nothing", || world.metrics.rescan_seconds.get_sample_count() > scans + 1);
        fs::write(aside.join("a.jpg"), "a").unwrap();
        age(&aside.join("a.jpg"), 60);
        std::thread::sleep(Duration::from_millis(50));
        assert!(world.events().is_empty());
        fs::rename(&aside, &input).unwrap();
        world.until("a", || world.events().len() == 1);
    });
}

#[test]
fn a_daemon_whose_input_is_gone_is_not_ready_until_it_is_back() {
    let mut world = World::new();
    world.config.rescan = Duration::from_millis(30);
    let (input, aside) = (world.config.input.clone(), world.folder.path().join("aside"));
    watched_with(&world, |health| {
        first_scan(&world);
        for number in 1..3 {
            assert!(health.is_ready());
            fs::rename(&input, &aside).unwrap();
            world.until("it isn't ready", || !health.is_ready());
            assert!(health.is_live(), "a restart would not help");
            fs::rename(&aside, &input).unwrap();
            world.until("it is again", || health.is_ready());
            world.photo(&format!("{number}.jpg"), "x");
            world.until("the photo", || world.events().len() == number);
        }
    });
}

#[test]
fn a_daemon_whose_input_leads_elsewhere_is_not_ready_until_it_leads_back() {
    let mut world = World::new();
    world.config.rescan = Duration::from_millis(30);
    let (input, link) = (world.input(), world.folder.path().join("link"));
    let lead_to = |to: &Path| {
        drop(fs::remove_file(&link));
        symlink(to, &link).unwrap();
    };
    lead_to(&input);
    world.config.input = link.clone();
    watched_with(&world, |health| {
        first_scan(&world);
        lead_to(world.folder.path());
        world.until("it isn't ready", || !health.is_ready());
        assert!(health.is_live(), "what is in hand goes on");
        lead_to(&input);
        world.until("it is again", || health.is_ready());
        world.photo("a.jpg", "x");
        world.until("the photo", || world.events().len() == 1);
    });
}

#[test]
fn when_more_events_come_than_there_is_room_for_the_folder_is_read_again() {
    let mut world = World::new();
    world.config.settle = Duration::from_millis(50);
    world.config.max_ahead = 200;
    let classifier = RefCell::new(Classifier::join(&world));
    watched(&world, || {
        first_scan(&world);
        // The classifier does nothing, so ingest waits and doesn't listen.
        const FILES: i64 = 5000;
        (0..FILES).for_each(|number| drop(world.photo(&format!("{number:05}.jpg"), &number.to_string())));
        assert!(world.events().len() <= 200);
        world.until("all", || {
            classifier.borrow_mut().catch_up();
            world.runs().first().is_some_and(|run| run.images >= FILES)
        });
        assert!(world.metrics.rescan_seconds.get_sample_count() > 1);
        assert_eq!(world.events().len() as i64, FILES);
    });
}

#[test]
fn events_are_heard_again_after_the_folder_was_replaced() {
    let mut world = World::new();
    world.config.settle = Duration::from_secs(60);
    world.config.rescan = Duration::from_millis(100);
    watched(&world, || {
        first_scan(&world);
        fs::remove_dir(&world.config.input).unwrap();
        fs::create_dir(&world.config.input).unwrap();
        let scans = world.metrics.rescan_seconds.get_sample_count();
        world.until("two scans", || world.metrics.rescan_seconds.get_sample_count() > scans + 1);
        // With this settle time, only its close can have brought this one so soon.
        let begun = Instant::now();
        fs::write(world.path("a.jpg"), "a").unwrap();
        world.until("a", || world.events().len() == 1);
        assert!(begun.elapsed() < world.config.settle);
    });
}

#[test]
fn many_files_at_once_are_each_published_once() {
    let mut world = World::new();
    world.config.rescan = Duration::from_millis(50);
    watched(&world, || {
        first_scan(&world);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let world = &world;
                scope.spawn(move || {
                    for number in 0..250 {
                        let path = world.path(&format!("{writer}-{number:03}.jpg"));
                        fs::write(path, format!("{writer}-{number}")).unwrap();
                    }
                });
            }
        });
        world.until("all", || world.runs().first().is_some_and(|run| run.images >= 1000));
    });
    let mut names = world.names();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), world.events().len()), (1000, 1000));
    assert_eq!(world.runs()[0].images, 1000);
}

#[test]
fn files_that_vanish_and_pipes_stop_nothing() {
    let world = World::new();
    watched(&world, || {
        first_scan(&world);
        for number in 0..50 {
            let path = world.path(&format!("{number}.jpg"));
            let file = File::create(&path).unwrap();
            fs::remove_file(path).unwrap();
            drop(file);
        }
        mkfifo(&world.path("pipe.jpg"));
        fs::write(world.path("last.jpg"), "x").unwrap();
        world.until("the last", || world.names().contains(&"last.jpg".into()));
        world.until("nothing is pending", || world.metrics.pending.get() == 0);
    });
    assert_eq!(world.names(), ["last.jpg"]);
}

#[test]
fn what_can_not_be_read_is_told_once() {
    let mut world = World::new();
    world.config.rescan = Duration::from_millis(10);
    symlink("loop.jpg", world.path("loop.jpg")).unwrap();
    symlink("nowhere.jpg", world.path("broken.jpg")).unwrap();
    symlink("/dev/null", world.path("out.jpg")).unwrap();
    world.photo("known.jpg", "x");
    world.photo("note.txt", "x");
    watched(&world, || {
        world.until("some scans", || world.metrics.rescan_seconds.get_sample_count() > 5);
        let counts = ["published", "known", "ignored", "unreadable"].map(|outcome| world.counted(outcome));
        assert_eq!(counts, [1, 0, 2, 2]);
        // The link gets a target.
        world.photo("nowhere.jpg", "y");
        world.until("both", || world.events().len() == 3);
    });
    assert_eq!(world.events().iter().filter(|event| event.length == 1).count(), 3);
}

#[test]
fn a_copy_right_after_another_under_the_same_name_is_not_read_half_way() {
    let world = World::new();
    watched(&world, || {
        first_scan(&world);
        for number in 0..20 {
            let path = world.path(&format!("{number:02}.jpg"));
            fs::write(&path, "first").unwrap();
            let mut second = File::create(&path).unwrap();
            second.write_all(b"sec").unwrap();
            std::thread::sleep(Duration::from_millis(20));
            second.write_all(b"ond").unwrap();
        }
        world.until("all", || {
            let whole = sha256(b"second");
            world.events().iter().filter(|event| event.sha256 == whole).count() == 20
        });
    });
    let halves = world.events().into_iter().filter(|event| event.length == 3).count();
    assert_eq!(halves, 0);
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

const CHILD: &str = "WATCH_TEST_CHILD";

/// What is logged.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// How often it has been told that files are wanting.
    fn told(&self) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches("no more files can be opened").count()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// In a process of its own, which may open few files; called by the test below.
#[test]
fn a_child_that_has_no_more_files_twice() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let lines = Lines::default();
    let writer = lines.clone();
    logging::init(Format::Text, "warn", move || writer.clone()).unwrap();
    let mut world = World::new();
    world.config.settle = Duration::from_millis(10);
    world.config.rescan = Duration::from_millis(10);
    watched_with(&world, |health| {
        for episode in 1..3 {
            let all = RefCell::new(Vec::new());
            world.until("it is told", || {
                // Those, too, that the daemon had open a moment ago.
                all.borrow_mut().extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
                lines.told() >= episode && !health.is_ready()
            });
            drop(all);
            // No photo need come before it is told again.
            let scans = world.metrics.rescan_seconds.get_sample_count();
            world.until("a whole scan", || world.metrics.rescan_seconds.get_sample_count() > scans + 1);
            assert!(health.is_ready());
        }
        world.photo("a.jpg", "x");
        world.until("the photo", || world.events().len() == 1);
    });
    assert_eq!(world.metrics.unreadable_folders.get(), 0);
}

#[test]
fn want_of_files_is_told_each_time_and_is_no_folder_s_fault() {
    passes_under("ulimit -n 64", "a_child_that_has_no_more_files_twice", CHILD);
}
