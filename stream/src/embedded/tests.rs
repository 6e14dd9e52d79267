use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::database::now;
use super::*;
use crate::{Append, Error, NoRebalance, Transaction};

const HOUR: i64 = 3_600_000_000;

fn topic(name: &str) -> Topic {
    Topic { name: name.into(), partitions: 1, retention: Retention::Age(Duration::ZERO) }
}

fn bulk(records: usize) -> Transaction {
    let append = Append { topic: "in".into(), value: vec![7; 10_000], ..Append::default() };
    Transaction { appends: vec![append; records], advance: None }
}

fn end(log: &Embedded) -> i64 {
    log.bounds("in").unwrap()[0].end.0
}

/// No test can cut the power: what holds then is what SQLite promises of `synchronous = FULL`, which is 2.
#[test]
fn what_is_committed_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&folder.path().join("log.db")).unwrap();
    let producer = log.writer("publisher").unwrap();
    let level = producer
        .database
        .read(|sql| Ok(sql.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))?));
    assert_eq!(level.unwrap(), 2);
}

#[test]
fn a_full_disk_refuses_the_whole_transaction_and_is_fine_when_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&folder.path().join("log.db")).unwrap();
    log.create(&[topic("in")]).unwrap();
    let database = log.connect(Durability::Power).unwrap();
    let limit = |pages: i64| {
        let set = database.read(|sql| Ok(sql.pragma_update(None, "max_page_count", pages)?));
        set.unwrap();
    };
    let mut producer =
        producer::EmbeddedProducer::open(database.clone(), Arc::clone(&log.wake), "publisher").unwrap();
    producer.commit(&bulk(1)).unwrap();
    limit(100);
    for _ in 0..2 {
        let full = producer.commit(&bulk(100)).unwrap_err();
        assert!(matches!(&full, Error::DiskFull { place, .. } if place.ends_with("log.db")), "{full}");
    }
    assert_eq!(end(&log), 1);
    producer.commit(&bulk(1)).unwrap();
    limit(100_000);
    producer.commit(&bulk(100)).unwrap();
    assert_eq!(end(&log), 102);
    let records = log.read(&TopicPartition::new("in", 0), NextOffset::START, 1000).unwrap();
    assert!(records.iter().map(|record| record.offset.0).eq(0..102));
}

#[test]
fn what_is_not_a_log_of_this_version_says_so_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let cause = |path: &Path| match Embedded::open(path) {
        Err(Error::Storage { place, cause }) if path == Path::new(&place) => cause,
        other => panic!("{other:?}"),
    };
    fs::write(file("text"), "not a database ".repeat(100)).unwrap();
    let not_one = cause(&file("text"));
    assert!(not_one.contains("not a database") && not_one.contains("move it away"), "{not_one}");

    let foreign = rusqlite::Connection::open(file("foreign")).unwrap();
    foreign.execute_batch("CREATE TABLE cakes (name TEXT)").unwrap();
    let before = fs::read(file("foreign")).unwrap();
    assert_eq!(cause(&file("foreign")), "it is a database of another program");
    assert_eq!(fs::read(file("foreign")).unwrap(), before);

    let log = Embedded::open(&file("newer")).unwrap();
    log.database.write(|sql| Ok(sql.pragma_update(None, "user_version", 2)?)).unwrap();
    assert_eq!(cause(&file("newer")), "it is of version 2, and this autorma knows version 1");

    assert!(!cause(&file("text").join("below a file")).is_empty());
    fs::create_dir(file("folder")).unwrap();
    assert!(cause(&file("folder")).contains("look at the disk"));
}

/// Until SQLite says so takes ten seconds.
#[test]
fn a_log_that_another_process_holds_says_so() {
    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    let locked = rusqlite::Error::SqliteFailure(busy, Some("database is locked".into()));
    let told = database::error(locked.into(), "log.db").to_string();
    assert!(told.contains("another process") && told.contains("try again"), "{told}");
}

#[test]
fn many_open_a_new_log_at_once_and_find_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let identities: Vec<_> = thread::scope(|threads| {
        let open = [(); 8].map(|()| threads.spawn(|| Embedded::open(&path).unwrap().identity().unwrap()));
        open.map(|thread| thread.join().unwrap()).into()
    });
    assert!(identities.iter().all(|identity| *identity == identities[0]), "{identities:?}");
    assert_eq!(identities[0].len(), 16);
}

#[test]
fn the_write_ahead_log_is_bounded_while_many_write_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = Embedded::open(&path).unwrap();
    log.create(&[topic("in")]).unwrap();
    let written = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            while !written.load(Ordering::Relaxed) {
                log.read(&TopicPartition::new("in", 0), NextOffset(end(&log) - 10), 10).unwrap();
            }
        });
        // Handles of their own don't take turns with each other, like processes.
        let writers = ["a", "b"].map(|slot| {
            let mut producer = Embedded::open(&path).unwrap().producer(slot).unwrap();
            threads.spawn(move || (0..100).for_each(|_| producer.commit(&bulk(100)).unwrap()))
        });
        for writer in writers {
            writer.join().unwrap();
        }
        written.store(true, Ordering::Relaxed);
    });
    // 200 MB went through it.
    let size = fs::metadata(folder.path().join("log.db-wal")).unwrap().len();
    assert!(size <= 2 * database::WAL_BYTES as u64, "{size}");
}

/// As if a group had read all that there is.
fn read_by_a_group(log: &Embedded) {
    let read = "INSERT OR REPLACE INTO offsets SELECT 'group', id, next FROM partitions";
    log.database.write(|sql| Ok(sql.execute(read, [])?)).unwrap();
}

#[test]
fn a_log_keeps_records_for_as_long_as_was_set_last() {
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&folder.path().join("log.db")).unwrap();
    let hour = Duration::from_secs(3600);
    let kept = Topic { retention: Retention::Compact, ..topic("ledger") };
    log.create(&[Topic { retention: Retention::Age(hour), ..topic("in") }, kept.clone()]).unwrap();
    log.producer("publisher").unwrap().commit(&bulk(6)).unwrap();
    read_by_a_group(&log);
    assert_eq!([hour, hour].map(|age| log.keep(age).unwrap()), [false, false]);
    assert_eq!(log.housekeep().unwrap(), Housekeeping::default());
    assert!(log.keep(Duration::ZERO).unwrap());
    assert_eq!(log.topics().unwrap(), [topic("in"), kept]);
    assert_eq!(log.housekeep().unwrap(), Housekeeping { expired: 6, compacted: 0 });
}

#[test]
fn what_most_records_have_left_is_given_back_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let size = || fs::metadata(&path).unwrap().len();
    let log = Embedded::open(&path).unwrap();
    log.create(&[topic("in")]).unwrap();
    let mut producer = log.producer("publisher").unwrap();
    (0..40).for_each(|_| producer.commit(&bulk(100)).unwrap());
    read_by_a_group(&log);
    // What is young stays, wherever it lies.
    producer.commit(&bulk(100)).unwrap();
    assert_eq!(log.housekeep().unwrap().expired, 4000);
    drop((producer, log));
    assert!(size() < 20 << 20, "{}", size());
    let log = Embedded::open(&path).unwrap();
    assert_eq!(log.read(&TopicPartition::new("in", 0), NextOffset::START, 1000).unwrap().len(), 100);
}

/// A clock that was ahead once doesn't keep what was written afterwards for ever.
#[test]
fn records_from_the_future_go_with_the_old_ones_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&folder.path().join("log.db")).unwrap();
    log.create(&[Topic { retention: Retention::Age(Duration::from_secs(3600)), ..topic("in") }]).unwrap();
    log.producer("publisher").unwrap().commit(&bulk(6)).unwrap();
    read_by_a_group(&log);
    let aged = log.database.write(|sql| {
        for (offset, hours) in (0..).zip([-2, 48, -2, 48, 0, -2]) {
            let place = database::place(1, offset);
            let stamp = now() + hours * HOUR;
            sql.execute("UPDATE records SET appended_at = ? WHERE place = ?", [stamp, place])?;
        }
        Ok(())
    });
    aged.unwrap();
    // Behind the second one from the future is a young one, though an old one follows.
    assert_eq!(log.housekeep().unwrap(), Housekeeping { expired: 3, compacted: 0 });
    assert_eq!(log.housekeep().unwrap(), Housekeeping::default());
    assert_eq!(log.bounds("in").unwrap()[0].start, NextOffset(3));
}

/// Also who is waiting already: a stop is over when its time is.
#[test]
fn who_is_in_a_hurry_gives_up_a_lock_that_another_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = Embedded::open(&path).unwrap();
    log.create(&[topic("in")]).unwrap();
    let mut producer = log.producer("publisher").unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (tell, told) = mpsc::channel();
    let waiting = thread::spawn(move || {
        tell.send(()).unwrap();
        (producer.commit(&bulk(1)), producer)
    });
    told.recv().unwrap();
    thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    log.hurry();
    let (given_up, mut producer) = waiting.join().unwrap();
    assert!(matches!(given_up, Err(Error::GivenUp { .. })), "{given_up:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "given up after {:?}", begun.elapsed());
    other.execute_batch("ROLLBACK").unwrap();
    producer.commit(&bulk(1)).unwrap();
    assert_eq!(end(&log), 1);
}

/// Whichever way it is opened: news of one handle come to the other at once, and all lies beside the file itself.
#[test]
fn a_link_to_the_log_is_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (link, file) = (folder.path().join("log.db"), folder.path().join("disk").join("log.db"));
    symlink("disk/log.db", &link).unwrap();
    let linked = Embedded::open(&link).unwrap();
    let log = Embedded::open(&file).unwrap();
    assert_eq!(linked.place, file);
    assert!(Arc::ptr_eq(&linked.wake, &log.wake));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the link, and the folder of the file");
    fs::remove_file(&link).unwrap();
    symlink("log.db", &link).unwrap();
    assert!(Embedded::open(&link).is_err(), "it leads to itself");
}

#[test]
fn who_died_before_the_clock_was_set_back_is_no_member() {
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&folder.path().join("log.db")).unwrap();
    log.create(&[topic("in")]).unwrap();
    let subscription = Subscription { group: "g".into(), topics: vec!["in".into()], slot: "a".into() };
    let _member = log.subscribe(subscription, Box::new(NoRebalance)).unwrap();
    let living = || log.groups().unwrap().iter().map(|group| group.members.len()).sum::<usize>();
    assert_eq!(living(), 1);
    let later = now() + HOUR;
    log.database.write(|sql| Ok(sql.execute("UPDATE members SET alive_until = ?", [later])?)).unwrap();
    assert_eq!(living(), 0);
}

/// What is written to a file without a name is gone with the process.
#[test]
fn a_log_that_was_removed_or_replaced_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let (path, away) = (folder.path().join("log.db"), folder.path().join("away.db"));
    let log = Embedded::open(&path).unwrap();
    log.create(&[topic("in")]).unwrap();
    let mut producer = log.producer("publisher").unwrap();
    producer.commit(&bulk(1)).unwrap();
    let expect_refused = |done: Result<()>| {
        let told = done.unwrap_err();
        assert!(
            matches!(&told, Error::Storage { cause, .. } if cause.contains("removed or replaced")),
            "{told}"
        );
    };
    let (wal, shared) = (folder.path().join("log.db-wal"), folder.path().join("log.db-shm"));
    for (file, commits) in [(&path, 2), (&wal, 3), (&shared, 4)] {
        fs::rename(file, &away).unwrap();
        expect_refused(producer.commit(&bulk(1)));
        expect_refused(log.producer("another").map(drop));
        expect_refused(log.bounds("in").map(drop));
        fs::rename(&away, file).unwrap();
        producer.commit(&bulk(1)).unwrap();
        assert_eq!(end(&log), commits);
    }
    // In the middle of a transaction, of which nothing is kept.
    expect_refused(log.database.write(|sql| {
        sql.execute("DELETE FROM topics", [])?;
        fs::rename(&wal, &away).unwrap();
        Ok(())
    }));
    fs::rename(&away, &wal).unwrap();
    producer.commit(&bulk(1)).unwrap();
    fs::rename(&path, &away).unwrap();
    fs::copy(&away, &path).unwrap();
    expect_refused(producer.commit(&bulk(1)));
    expect_refused(log.producer("another").map(drop));
}

#[test]
fn a_log_whose_write_ahead_log_was_switched_off_has_one_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    drop(Embedded::open(&path).unwrap());
    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "journal_mode", "DELETE").unwrap();
    drop(other);
    let log = Embedded::open(&path).unwrap();
    log.create(&[topic("in")]).unwrap();
    log.producer("publisher").unwrap().commit(&bulk(1)).unwrap();
    assert!(folder.path().join("log.db-wal").exists());
}

const CHILD: &str = "EMBEDDED_TEST_CHILD";

/// In a process of its own, which may open few files; called by the test below.
#[test]
fn a_child_that_has_no_more_files() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let log = Embedded::open(&Path::new(&folder).join("log.db")).unwrap();
    let is_busy = |done: Result<()>| matches!(done, Err(Error::Busy(told)) if told.contains("ulimit -n"));
    let all: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let refused = log.producer("publisher").map(drop);
    let unopened = Embedded::open(&Path::new(&folder).join("other.db")).map(drop);
    drop(all);
    assert!(is_busy(refused) && is_busy(unopened));
    log.producer("publisher").unwrap();
}

#[test]
fn want_of_files_is_named_and_passes() {
    passes_under("ulimit -n 64", "a_child_that_has_no_more_files", CHILD);
}

/// A test of this file passes in a process that has these limits and a folder, named by a variable.
fn passes_under(limits: &str, test: &str, variable: &str) {
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new("sh")
        .args(["-c", &format!("{limits}; exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("embedded::tests::{test}"), "--nocapture"])
        .env(variable, folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

const GROWN: &str = "EMBEDDED_TEST_GROWN_CHILD";

/// In a process of its own, whose files may not grow large, and which no signal tells of that; called by the test below.
#[test]
fn a_child_whose_log_may_grow_no_more() {
    let Some(folder) = std::env::var_os(GROWN) else { return };
    let log = Embedded::open(&Path::new(&folder).join("log.db")).unwrap();
    log.create(&[topic("in")]).unwrap();
    let mut producer = log.producer("publisher").unwrap();
    let committed = (0..100).find_map(|_| producer.commit(&bulk(10)).err());
    let told = committed.expect("it grows on").to_string();
    assert!(told.contains("ulimit -f") && told.contains("nothing was lost"), "{told}");
    let whole = log.read(&TopicPartition::new("in", 0), NextOffset::START, 1000).unwrap();
    assert_eq!((whole.len() as i64, whole.len() % 10), (end(&log), 0));
}

#[test]
fn a_log_that_may_grow_no_more_says_what_to_do() {
    passes_under("trap '' XFSZ; ulimit -f 2000", "a_child_whose_log_may_grow_no_more", GROWN);
}
