//! A folder, once.

mod shared;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use autorma_ingest::{Error, Found};
use autorma_schemas::{RunKind, RunState, event_id, file_path, file_url, sha256, topics};
use autorma_service::Shutdown;
use shared::{Classifier, World, age, passes_under, run_record, text};

#[test]
fn each_photo_is_published_once_in_order() {
    let world = World::new();
    for name in ["c.jpg", "a.PNG", "b.tiff", "note.txt", ".hidden.jpg", "half.jpg.part", "old.jpg~"] {
        world.photo(name, name);
    }
    let first = world.batch();
    assert_eq!(first.found, Found { discovered: 3, published: 3, ..Found::default() });
    let run = first.run.unwrap();
    assert_eq!((run.kind, run.state, run.images), (RunKind::Batch, RunState::Closed, 3));
    assert_eq!(run.input, text(&world.input()));
    assert_eq!(world.runs(), std::slice::from_ref(&run));
    assert_eq!(world.names(), ["a.PNG", "b.tiff", "c.jpg"]);
    let event = world.events().remove(1);
    let uri = file_url(&world.path("b.tiff"));
    assert_eq!(event.event_id, event_id(&uri, &sha256(b"b.tiff")));
    assert_eq!((event.uri.as_deref(), &*event.sha256), (Some(&*uri), &*sha256(b"b.tiff")));
    assert_eq!((event.sequence, event.length, &*event.source), (2, 6, "ingest"));
    assert_eq!((event.run_id, event.bytes), (Some(run.run_id), None));
    assert_eq!((world.counted("published"), world.counted("ignored")), (3, 4));

    let second = world.batch();
    assert_eq!(second.found, Found { discovered: 3, already_done: 3, ..Found::default() });
    assert_eq!((second.run, world.events().len(), world.runs().len()), (None, 3, 1));
    assert_eq!(world.counted("known"), 3);
}

#[test]
fn new_content_is_a_new_event_and_a_touched_file_is_none() {
    let world = World::new();
    world.photo("a.jpg", "one");
    world.photo("b.jpg", "same");
    world.batch();
    world.photo("a.jpg", "two");
    age(&world.path("b.jpg"), 50);
    let second = world.batch();
    assert_eq!(second.found, Found { discovered: 2, published: 1, already_done: 1, ..Found::default() });
    let run = second.run.unwrap();
    assert_eq!((run.images, run.already_done), (1, 1));
    assert_eq!(world.events().iter().filter(|event| event.name == "a.jpg").count(), 2);
    assert_eq!((world.events().len(), world.ledger().len()), (3, 4));
    let touched = world.ledger().into_iter().rfind(|record| record.uri.ends_with("b.jpg")).unwrap();
    assert_ne!(touched.run_id, run.run_id, "it was published by the first");
    // The touch is remembered: the next time, the file isn't even read.
    assert_eq!(world.batch().found.already_done, 2);
    assert_eq!(world.ledger().len(), 4);
}

#[test]
fn names_that_are_not_utf8_are_readable_and_reversible() {
    let world = World::new();
    let path = world.input().join(OsStr::from_bytes(b"red\xff shoe\\.jpg"));
    fs::write(&path, "x").unwrap();
    age(&path, 60);
    assert_eq!(world.batch().found.published, 1);
    let event = world.events().remove(0);
    assert_eq!(event.name, "red\\xFF shoe\\x5C.jpg");
    assert_eq!(file_path(event.uri.as_deref().unwrap()), Some(path));
    assert_eq!(world.batch().found.already_done, 1);
}

#[test]
fn links_are_followed_to_files_inside_only() {
    let mut world = World::new();
    world.config.recursive = true;
    world.photo("real.jpg", "in");
    world.photo("sub/deep.jpg", "deep");
    fs::write(world.folder.path().join("secret.jpg"), "out").unwrap();
    let link = |target: &str, name: &str| symlink(target, world.path(name)).unwrap();
    link("real.jpg", "link.jpg");
    link("../secret.jpg", "out.jpg");
    link("..", "folder");
    link("sub", "folder.jpg");
    link("loop.jpg", "loop.jpg");
    let batch = world.batch();
    assert_eq!(world.names(), ["link.jpg", "real.jpg", "deep.jpg"]);
    let expected = Found { discovered: 4, published: 3, unreadable: 1, ..Found::default() };
    assert_eq!(batch.found, expected, "the loop can't be read");
}

#[test]
fn pipes_folders_and_what_may_not_be_read_stop_nothing() {
    let world = World::new();
    world.photo("a.jpg", "a");
    let denied = world.photo("denied.jpg", "d");
    fs::set_permissions(&denied, fs::Permissions::from_mode(0o0)).unwrap();
    fs::create_dir(world.path("folder.jpg")).unwrap();
    assert!(Command::new("mkfifo").arg(world.path("pipe.jpg")).status().unwrap().success());
    let batch = world.batch();
    // Those who may do everything may read it.
    let unreadable = u64::from(File::open(&denied).is_err());
    let published = 2 - unreadable;
    assert_eq!(batch.found, Found { discovered: 2, published, unreadable, ..Found::default() });
}

/// Makes folders in the input that lie so deep that no system call takes the path of the last ones: these can't be read,
/// not even by those who may read everything.
fn too_deep(world: &World, name: &str) {
    let long = |folder: PathBuf| (0..10).fold(folder, |folder, _| folder.join("x".repeat(250)));
    let lower = world.folder.path().join("lower");
    fs::create_dir_all(long(lower.clone())).unwrap();
    let upper = long(world.path(name));
    fs::create_dir_all(&upper).unwrap();
    fs::rename(lower, upper.join("lower")).unwrap();
}

#[test]
fn a_folder_that_can_not_be_read_is_counted_and_the_others_are_published() {
    let mut world = World::new();
    world.config.recursive = true;
    world.photo("a/1.jpg", "1");
    world.photo("z/2.jpg", "2");
    too_deep(&world, "deep");
    let found = Found { discovered: 2, published: 2, unreadable_folders: 1, ..Found::default() };
    assert_eq!(world.batch().found, found);
    assert_eq!(world.metrics.unreadable_folders.get(), 1);
    let again = Found { discovered: 2, already_done: 2, unreadable_folders: 1, ..Found::default() };
    assert_eq!(world.batch().found, again);
    world.config.recursive = false;
    assert_eq!(world.batch().found, Found::default(), "which folders there are isn't looked at");
}

#[test]
fn runs_name_the_input_exactly() {
    let mut world = World::new();
    world.config.input = world.folder.path().join("back\\slash");
    fs::create_dir(&world.config.input).unwrap();
    world.photo("a.jpg", "a");
    // The classifier takes this as a path.
    assert_eq!(Path::new(&world.batch().run.unwrap().input), world.input());
}

#[test]
fn reprocess_publishes_again_but_not_twice_in_a_run() {
    let mut world = World::new();
    world.photo("a.jpg", "a");
    world.photo("b.jpg", "b");
    let first = world.batch().run.unwrap();
    world.finish(&first);
    world.reprocess();
    let second = world.batch();
    assert_eq!(second.found, Found { discovered: 2, published: 2, ..Found::default() });
    let second = second.run.unwrap();
    assert_ne!(first.run_id, second.run_id, "within the same second, too");
    assert_eq!(world.events().len(), 4);

    // A third is killed after one of two: here, a record says that it is open, and the ledger what it has done.
    world.finish(&second);
    world.reprocess();
    let input = text(&world.input()).to_owned();
    let third = run_record("20990101_000000", &input);
    world.append(topics::RUNS, &third.run_id, &third);
    let uri = file_url(&world.path("a.jpg"));
    let mut known = world.ledger().into_iter().rfind(|record| record.uri == uri).unwrap();
    known.run_id = third.run_id.clone();
    world.append(topics::LEDGER, &uri, &known);
    let rest = world.batch();
    assert_eq!(rest.found, Found { discovered: 2, published: 1, ..Found::default() });
    let run = rest.run.unwrap();
    assert_eq!((&run.run_id, run.images, run.state), (&third.run_id, 2, RunState::Closed));
    assert_eq!(world.events().last().unwrap().sequence, 2);
}

#[test]
fn reprocess_leaves_to_a_run_what_that_has_not_finished() {
    let mut world = World::new();
    world.photo("a.jpg", "a");
    world.photo("b.jpg", "b");
    world.reprocess();
    let run = world.batch().run.unwrap();
    assert_eq!((run.state, run.images), (RunState::Closed, 2));
    // Stopped while it was being classified: the same command is called once more.
    world.reprocess();
    let left = Found { discovered: 2, already_done: 2, ..Found::default() };
    let again = world.batch();
    assert_eq!((again.found, again.run, world.events().len()), (left, None, 2));
    world.finish(&run);
    assert_eq!(world.batch().found, left, "the command has begun anew, and the run was finished meanwhile");
    // What is new goes into a run of its own, and what the other has published is still that's.
    world.photo("c.jpg", "c");
    let rest = world.batch();
    assert_eq!(rest.found, Found { discovered: 3, published: 1, already_done: 2, ..Found::default() });
    world.finish(&rest.run.unwrap());
    world.reprocess();
    assert_eq!(world.batch().found, Found { discovered: 3, published: 3, ..Found::default() });
}

#[test]
fn reprocess_takes_a_run_that_is_not_in_the_log_any_more_for_finished() {
    let mut world = World::new();
    world.photo("a.jpg", "a");
    world.batch();
    let mut known = world.ledger().remove(0);
    known.run_id = "20200101_000000".into();
    world.append(topics::LEDGER, &known.uri, &known);
    world.reprocess();
    assert_eq!(world.batch().found, Found { discovered: 1, published: 1, ..Found::default() });
}

#[test]
fn an_interrupted_batch_is_continued_by_the_next() {
    let world = World::new();
    (0..500).for_each(|number| drop(world.photo(&format!("{number:03}.jpg"), &number.to_string())));
    let stop = Shutdown::new();
    let interrupt = stop.clone();
    let mut tell = |found: Found| {
        if found.published > 0 {
            interrupt.request();
        }
    };
    let first = autorma_ingest::batch(&world.config, &*world.log, &world.metrics, &stop, &mut tell).unwrap();
    let published = first.found.published;
    assert!((1..500).contains(&published), "{:?}", first.found);
    let open = first.run.unwrap();
    assert_eq!((open.state, open.images as u64), (RunState::Open, published));
    assert_eq!(world.events().len() as u64, published);

    let mut heard = Vec::new();
    let second = world.batch_with(|found| heard.push(found.published));
    assert_eq!(second.found, Found { discovered: 500, published: 500 - published, ..Found::default() });
    let closed = second.run.unwrap();
    assert_eq!((&closed.run_id, closed.images, closed.state), (&open.run_id, 500, RunState::Closed));
    assert_eq!(closed.already_done, 0);
    let sequence: Vec<_> = world.events().iter().map(|event| event.sequence).collect();
    assert_eq!(sequence, (1..=500).collect::<Vec<_>>());
    assert!(heard.is_sorted() && heard.last() == Some(&(500 - published)), "{heard:?}");
}

/// A network's file system that is unmounted, and a folder that somebody renames.
#[test]
fn a_batch_whose_folder_goes_away_is_continued_when_it_is_back() {
    for is_replaced in [false, true] {
        let world = World::new();
        (0..500).for_each(|number| drop(world.photo(&format!("{number:03}.jpg"), &number.to_string())));
        let (input, away) = (world.input(), world.folder.path().join("away"));
        let mut published = 0;
        let mut tell = |found: Found| {
            if published == 0 && found.published > 0 {
                fs::rename(&input, &away).unwrap();
                if is_replaced {
                    fs::create_dir(&input).unwrap();
                }
            }
            published = found.published;
        };
        let error =
            autorma_ingest::batch(&world.config, &*world.log, &world.metrics, &world.shutdown, &mut tell);
        let error = error.unwrap_err();
        assert!(matches!(error, Error::InputGone(_)), "{error}");
        assert!((1..500).contains(&published), "{published}");
        let open = world.runs().remove(0);
        assert_eq!((open.state, open.images as u64), (RunState::Open, published));
        if is_replaced {
            fs::remove_dir(&input).unwrap();
        }
        fs::rename(&away, &input).unwrap();
        let second = world.batch();
        assert_eq!(second.found, Found { discovered: 500, published: 500 - published, ..Found::default() });
        let closed = second.run.unwrap();
        assert_eq!((&closed.run_id, closed.images, closed.state), (&open.run_id, 500, RunState::Closed));
    }
}

#[test]
fn other_open_runs_are_closed() {
    let world = World::new();
    world.photo("a.jpg", "a");
    let elsewhere = run_record("20200101_000000", "/elsewhere");
    let stream = autorma_schemas::RunRecord {
        kind: RunKind::Stream,
        ..run_record("20200101_000001", text(&world.input()))
    };
    let upload =
        autorma_schemas::RunRecord { kind: RunKind::Upload, ..run_record("20200101_000002", "upload") };
    for run in [&elsewhere, &stream, &upload] {
        world.append(topics::RUNS, &run.run_id, run);
    }
    world.batch();
    let states: Vec<_> = world.runs().into_iter().map(|run| run.state).collect();
    assert_eq!(states, [RunState::Closed, RunState::Closed, RunState::Open, RunState::Closed]);
}

#[test]
fn a_batch_waits_for_a_file_that_is_being_written_but_not_for_ever() {
    let mut world = World::new();
    world.config.settle = Duration::from_millis(100);
    fs::write(world.path("fresh.jpg"), "x").unwrap();
    let tomorrow = world.photo("tomorrow.jpg", "x");
    let later = std::time::SystemTime::now() + Duration::from_secs(86_400);
    File::options().write(true).open(tomorrow).unwrap().set_modified(later).unwrap();
    assert_eq!(world.batch().found, Found { discovered: 2, published: 2, ..Found::default() });

    world.config.settle = Duration::from_secs(60);
    world.config.patience = Duration::from_millis(50);
    fs::write(world.path("growing.jpg"), "x").unwrap();
    let begun = Instant::now();
    let batch = world.batch();
    assert_eq!(batch.found, Found { discovered: 3, already_done: 2, left_out: 1, ..Found::default() });
    assert!(batch.run.is_none() && begun.elapsed() < Duration::from_secs(5));
}

/// Whoever has an end says what there is then: a name without content.
#[test]
fn a_batch_waits_no_longer_for_an_empty_file_than_for_others() {
    let mut world = World::new();
    world.config.settle = Duration::from_secs(2);
    fs::write(world.path("empty.jpg"), "").unwrap();
    let begun = Instant::now();
    assert_eq!(world.batch().found, Found { discovered: 1, published: 1, ..Found::default() });
    assert!(begun.elapsed() < world.config.settle * 10, "{:?}", begun.elapsed());
    assert_eq!(world.events()[0].length, 0);
}

#[test]
fn a_batch_takes_a_slow_copy_whole() {
    let mut world = World::new();
    // Fifty times as long as a pause of the copy: a busy machine may make those longer.
    world.config.settle = Duration::from_secs(2);
    let path = world.path("slow.jpg");
    let mut copy = File::create(&path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..20 {
                copy.write_all(b"more").unwrap();
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        assert_eq!(world.batch().found.published, 1);
    });
    assert_eq!(world.events().remove(0).length, 80);
}

#[test]
fn ingest_waits_for_a_classifier_that_is_behind() {
    let mut world = World::new();
    world.config.max_ahead = 10;
    (0..25).for_each(|number| drop(world.photo(&format!("{number:02}.jpg"), &number.to_string())));
    let mut classifier = Classifier::join(&world);
    std::thread::scope(|scope| {
        let batch = scope.spawn(|| world.batch());
        world.until("the first ten", || world.events().len() == 10);
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(world.events().len(), 10);
        // The classifier catches up with them, and then stops the rest.
        classifier.catch_up();
        world.until("ten more", || world.events().len() == 20);
        world.shutdown.request();
        let batch = batch.join().unwrap();
        let run = batch.run.unwrap();
        assert_eq!((batch.found.published, run.images, run.state), (20, 20, RunState::Open));
    });
    world.shutdown = Shutdown::new();
    classifier.catch_up();
    assert_eq!(world.batch().run.unwrap().images, 25);
}

#[test]
fn killed_after_any_commit_nothing_is_lost_or_doubled() {
    let world = World::new();
    (0..700).for_each(|number| drop(world.photo(&format!("{number:03}.jpg"), &number.to_string())));
    let mut kills = 0;
    let last = loop {
        let killed = catch_unwind(AssertUnwindSafe(|| {
            world.batch_with(|found| {
                // Not at the end, when the run is closed.
                if world.runs().iter().any(|run| run.state == RunState::Open) {
                    assert!(found.published > 0);
                    resume_unwind(Box::new("killed"));
                }
            })
        }));
        match killed {
            Ok(batch) => break batch,
            Err(_) => kills += 1,
        }
    };
    assert!(kills >= 3, "700 photos are several transactions");
    assert_eq!((last.found.discovered, last.found.already_done), (700, 0));
    let run = last.run.unwrap();
    assert_eq!((run.images, run.state, run.already_done), (700, RunState::Closed, 0));
    assert_eq!(world.runs(), [run]);
    let sequence: Vec<_> = world.events().iter().map(|event| event.sequence).collect();
    assert_eq!(sequence, (1..=700).collect::<Vec<_>>());
    assert!(world.names().is_sorted());
}

#[test]
fn an_input_that_is_not_there_is_an_error_that_says_what_to_do() {
    let mut world = World::new();
    world.config.input = world.path("none");
    let mut nobody = |_: Found| {};
    let error =
        autorma_ingest::batch(&world.config, &*world.log, &world.metrics, &world.shutdown, &mut nobody);
    let error = error.unwrap_err();
    assert!(matches!(error, Error::InputMissing(_)), "{error}");
    assert!(error.to_string().contains("--input"), "{error}");
}

const CHILD: &str = "ONCE_TEST_CHILD";

/// In a process of its own, which may open few files; called by the test below.
#[test]
fn a_child_that_has_no_more_files() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut world = World::new();
    world.config.recursive = true;
    (0..200).for_each(|number| drop(world.photo(&format!("{number}.jpg"), "x")));
    world.photo("below/a.jpg", "x");
    let mut all = Vec::new();
    let mut take_all = |_: Found| all.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
    let mut batch =
        || autorma_ingest::batch(&world.config, &*world.log, &world.metrics, &world.shutdown, &mut take_all);
    // The first transaction takes all files, so the folder below can't be read; nor can the input the next time.
    for refused in [batch(), batch()] {
        assert!(matches!(refused, Err(Error::OutOfFiles(_))), "{refused:?}");
    }
    drop(all);
    world.batch();
    assert_eq!(world.names().len(), 201);
}

#[test]
fn want_of_files_is_no_folder_s_fault() {
    passes_under("ulimit -n 64", "a_child_that_has_no_more_files", CHILD);
}
