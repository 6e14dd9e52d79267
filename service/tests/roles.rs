//! Role locks within a process, and against another one that is killed.

mod shared;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use autorma_service::roles::{RoleError, RoleLock};
use shared::passes_under;

const CHILD: &str = "ROLES_TEST_CHILD";
const NEEDY: &str = "ROLES_TEST_NEEDY_CHILD";

/// Files of Linux that nobody may write to, or read, root neither: they stand for locks of another user.
const UNWRITABLE: &str = "/proc/sys/kernel/ostype";
const UNREADABLE: &str = "/proc/sys/vm/drop_caches";

fn lock_of_another_user(folder: &Path, role: &str, file: &str) {
    let locks = folder.join("locks");
    std::fs::create_dir_all(&locks).unwrap();
    std::os::unix::fs::symlink(file, locks.join(format!("{role}.lock"))).unwrap();
}

#[test]
fn a_role_has_one_holder_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let take = || RoleLock::take(folder.path(), "ingest", "autorma up");
    let lock = take().unwrap();
    let error = take().unwrap_err();
    let RoleError::Held { holder, .. } = &error else { panic!("{error}") };
    assert_eq!((holder.process, holder.command.as_str()), (std::process::id(), "autorma up"));
    assert_eq!(
        error.to_string(),
        format!(
            "the role ingest of the folder {} is held by `autorma up` (process {}, since {})",
            folder.path().display(),
            std::process::id(),
            holder.since
        )
    );
    assert_eq!(holder.since.len(), "2026-11-24 20:01:02+01:00".len());
    RoleLock::take(folder.path(), "sink", "autorma sink").unwrap();
    drop(lock);
    take().unwrap();
}

#[test]
fn the_living_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    assert!(RoleLock::holders(folder.path()).unwrap().living.is_empty());
    let _sink = RoleLock::take(folder.path(), "sink", "autorma sink").unwrap();
    let _ingest = RoleLock::take(folder.path(), "ingest", "autorma ingest").unwrap();
    drop(RoleLock::take(folder.path(), "classifier-0", "autorma classify").unwrap());
    let holders = RoleLock::holders(folder.path()).unwrap();
    let listed: Vec<_> = holders.living.iter().map(|it| (it.role.as_str(), it.command.as_str())).collect();
    assert_eq!(listed, [("ingest", "autorma ingest"), ("sink", "autorma sink")]);
}

#[test]
fn looking_never_keeps_anybody_from_a_role() {
    let folder = tempfile::tempdir().unwrap();
    drop(RoleLock::take(folder.path(), "ingest", "autorma up").unwrap());
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let path = folder.path();
        scope.spawn(move || {
            while stopped.try_recv().is_err() {
                drop(RoleLock::holders(path).unwrap())
            }
        });
        for _ in 0..200 {
            drop(RoleLock::take(path, "ingest", "autorma up").unwrap());
        }
        stop.send(()).unwrap();
    });
}

#[test]
fn the_first_free_number_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let take = |count| RoleLock::take_first_free(folder.path(), "classifier-", 0..count, "autorma classify");
    let (zero, number) = take(64).unwrap();
    assert_eq!(number, 0);
    let (_one, number) = take(64).unwrap();
    assert_eq!(number, 1);
    let living = RoleLock::holders(folder.path()).unwrap().living;
    assert!(living.iter().map(|it| &it.role).eq(["classifier-0", "classifier-1"]));
    drop(zero);
    let (_zero, number) = take(2).unwrap();
    assert_eq!(number, 0);
    let error = take(2).unwrap_err();
    assert!(matches!(error, RoleError::NoneFree { count: 2, .. }), "{error}");
}

#[test]
fn a_lock_of_another_user_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let take = |count| RoleLock::take_first_free(folder.path(), "producer-", 0..count, "autorma produce");
    lock_of_another_user(folder.path(), "producer-0", UNWRITABLE);
    let error = take(1).unwrap_err();
    assert!(matches!(error, RoleError::Forbidden { .. }), "{error}");
    let told = error.to_string();
    assert!(told.contains("producer-0.lock") && told.contains("another user"), "{told}");
    let (_one, number) = take(2).unwrap();
    assert_eq!(number, 1);
    let error = take(2).unwrap_err();
    assert!(matches!(error, RoleError::NoneFree { count: 2, .. }), "to wait helps: {error}");
}

#[test]
fn a_lock_that_can_t_be_opened_hides_nobody_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    lock_of_another_user(folder.path(), "ingest", UNREADABLE);
    lock_of_another_user(folder.path(), "classifier-0", UNREADABLE);
    let _sink = RoleLock::take(folder.path(), "sink", "autorma sink").unwrap();
    let holders = RoleLock::holders(folder.path()).unwrap();
    let listed: Vec<_> = holders.living.iter().map(|it| it.role.as_str()).collect();
    assert_eq!(listed, ["sink"]);
    assert_eq!(holders.unknown, ["classifier-0", "ingest"]);
}

#[test]
fn names_stay_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["", "../ingest", "a/b", "a\nb"] {
        let error = RoleLock::take(folder.path(), name, "test").unwrap_err();
        assert!(matches!(error, RoleError::Name(_)), "{error}");
    }
}

/// In a process of its own, called by the test below: takes the role and waits to be killed.
#[test]
fn a_child_that_holds_a_role() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let _lock = RoleLock::take(Path::new(&folder), "ingest", "autorma child").unwrap();
    println!("\nlocked");
    loop {
        std::thread::park();
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn death_releases_a_role() {
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_child_that_holds_a_role", "--nocapture"])
        .env(CHILD, folder.path())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = Killed(child.unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"));

    let error = RoleLock::take(folder.path(), "ingest", "autorma up").unwrap_err();
    let RoleError::Held { holder, .. } = &error else { panic!("{error}") };
    assert_eq!((holder.process, holder.command.as_str()), (child.0.id(), "autorma child"));
    assert_eq!(&RoleLock::holders(folder.path()).unwrap().living, std::slice::from_ref(holder));

    drop(child);
    assert!(RoleLock::holders(folder.path()).unwrap().living.is_empty());
    RoleLock::take(folder.path(), "ingest", "autorma up").unwrap();
}

/// In a process of its own, which may open few files; called by the test below.
#[test]
fn a_child_that_has_no_more_files() {
    let Some(folder) = std::env::var_os(NEEDY) else { return };
    let all: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let refused = RoleLock::take(Path::new(&folder), "sink", "autorma sink");
    drop(all);
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("sink.lock") && told.contains("ulimit -n"), "{told}");
}

#[test]
fn who_has_no_file_left_for_a_lock_is_told_what_to_do() {
    passes_under("ulimit -n 64", "a_child_that_has_no_more_files", NEEDY);
}
