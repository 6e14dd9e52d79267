use super::*;
use std::fs;
use std::os::unix::fs::symlink;

use autorma_schemas::topics;
use autorma_service::http::Health;
use autorma_service::logging::{self, Format};
use autorma_stream::embedded::Embedded;
use autorma_stream::{Retention, Topic};

fn config(input: PathBuf) -> Config {
    let hour = Duration::from_secs(3600);
    Config {
        input,
        recursive: false,
        reprocess: None,
        settle: Duration::from_secs(2),
        rescan: hour,
        run_length: hour,
        max_ahead: 1_000_000,
        patience: hour,
    }
}

fn log() -> Embedded {
    let log = Embedded::in_memory().unwrap();
    let topic = |name: &str| Topic { name: name.into(), partitions: 1, retention: Retention::Compact };
    log.create(&[topics::IMAGES, topics::RUNS, topics::LEDGER].map(topic)).unwrap();
    log
}

/// Runs `test` with a daemon that hears nothing but what it is given, and whose rescan is an hour away. Nobody is at the
/// other end of its queue, so it never waits.
fn with_daemon(folder: &Path, test: impl FnOnce(&mut Daemon<'_>, &Receiver<Signal>)) {
    let (config, log, shutdown) = (config(folder.to_owned()), log(), Shutdown::new());
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let root = Root::open(&config.input).unwrap();
    let ears = Ears::deaf(&root);
    let mut intake =
        Intake::start(&config, root, &log, &metrics, &shutdown, RunKind::Stream, MOST_PENDING).unwrap();
    intake.hold();
    let mut daemon = Daemon::new(&config, intake, ears, Health::default().stage("ingest"));
    daemon.rescans.begin(Instant::now());
    let (_, signals) = sync_channel(1);
    test(&mut daemon, &signals);
}

/// How the stage is, and why.
fn health(daemon: &Daemon<'_>) -> String {
    format!("{:?}", daemon.health)
}

#[test]
fn a_turn_publishes_some_of_what_was_heard_before_it_reads_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().canonicalize().unwrap();
    with_daemon(&input, |daemon, signals| {
        for number in 0..2 * TURN + 10 {
            let path = input.join(format!("{number:03}.jpg"));
            fs::write(&path, number.to_string()).unwrap();
            daemon.heard.push(Signal::Complete(path));
        }
        for published in [TURN, 2 * TURN, 2 * TURN + 10] {
            assert!(daemon.time_to_wait(Instant::now()).is_none(), "there is something to do");
            daemon.turn(signals).unwrap();
            assert_eq!(daemon.intake.publisher.published(), published as u64);
        }
        assert!(daemon.time_to_wait(Instant::now()).is_some());
    });
}

#[test]
fn a_file_that_is_written_again_later_than_a_turn_reaches_is_not_read_half_way() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().canonicalize().unwrap();
    let path = input.join("a.jpg");
    fs::write(&path, "half").unwrap();
    with_daemon(&input, |daemon, signals| {
        daemon.heard.push(Signal::Complete(path.clone()));
        (0..2 * TURN).for_each(|_| daemon.heard.push(Signal::Wake));
        daemon.heard.push(Signal::Written(path.clone()));
        daemon.turn(signals).unwrap();
        assert_eq!(daemon.intake.publisher.published(), 0);
        daemon.heard.push(Signal::Complete(path));
        (0..2).for_each(|_| daemon.turn(signals).unwrap());
        assert_eq!(daemon.intake.publisher.published(), 1);
    });
}

#[test]
fn a_file_that_is_read_for_long_is_told_of_once_each_time() {
    let lines = tempfile::NamedTempFile::new().unwrap();
    let writer = lines.reopen().unwrap();
    logging::init(Format::Text, "warn", move || writer.try_clone().unwrap()).unwrap();
    let told = || fs::read_to_string(lines.path()).unwrap().matches("is still being read").count();
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().canonicalize().unwrap();
    let path = input.join("a.jpg");
    with_daemon(&input, |daemon, signals| {
        for (patience, times) in [(Duration::MAX, 0), (Duration::ZERO, 1), (Duration::ZERO, 2)] {
            daemon.intake.patience = patience;
            // It is read in several pieces.
            fs::write(&path, vec![times as u8; 1 << 20]).unwrap();
            daemon.heard.push(Signal::Complete(path.clone()));
            daemon.turn(signals).unwrap();
            assert_eq!(told(), times, "{patience:?}");
        }
    });
}

#[test]
fn an_empty_file_waits_as_long_as_a_copy_that_stalls() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().canonicalize().unwrap();
    let path = input.join("a.jpg");
    fs::write(&path, "").unwrap();
    with_daemon(&input, |daemon, signals| {
        daemon.heard.push(Signal::Complete(path));
        daemon.turn(signals).unwrap();
        let due = daemon.intake.settling.next_due().unwrap();
        assert!(due > Instant::now() + daemon.config.settle * 5, "its content may still come");
    });
}

#[test]
fn an_input_that_can_not_be_read_is_looked_at_again_soon() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().canonicalize().unwrap().join("in");
    fs::create_dir(&input).unwrap();
    with_daemon(&input, |daemon, signals| {
        fs::remove_dir(&input).unwrap();
        daemon.rescans.hurry(Instant::now());
        daemon.turn(signals).unwrap();
        let wait = daemon.time_to_wait(Instant::now());
        assert!(wait.is_some_and(|wait| wait <= AGAIN), "{wait:?}");
    });
}

#[test]
fn an_input_that_leads_elsewhere_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("in");
    for name in ["one", "other"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    symlink("one", &link).unwrap();
    with_daemon(&link, |daemon, signals| {
        fs::remove_file(&link).unwrap();
        symlink("other", &link).unwrap();
        daemon.rescans.hurry(Instant::now());
        let begun = Instant::now();
        let mut said = String::new();
        while !(said.contains("other") && said.contains("start again")) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{said}");
            daemon.turn(signals).unwrap();
            said = health(daemon);
        }
        let (named, former) = (link.display().to_string(), daemon.intake.root.text());
        assert!(said.contains(&named) && said.contains(former), "{said}");
    });
}

#[test]
fn an_input_whose_link_is_gone_does_not_lead_here_again() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("in");
    fs::create_dir(folder.path().join("one")).unwrap();
    symlink("one", &link).unwrap();
    with_daemon(&link, |daemon, _| {
        let root = daemon.intake.root.path().to_owned();
        let mut is_elsewhere = || {
            daemon.folder_works(&root);
            health(daemon).contains("start again")
        };
        fs::remove_file(&link).unwrap();
        assert!(!is_elsewhere(), "another may be about to be made");
        symlink("nowhere", &link).unwrap();
        assert!(is_elsewhere());
        fs::remove_file(&link).unwrap();
        assert!(is_elsewhere(), "it leads nowhere, and so not here");
        symlink("one", &link).unwrap();
        assert!(!is_elsewhere());
    });
}

#[test]
fn a_folder_that_no_file_was_left_for_is_looked_at_again_soon_and_not_counted() {
    const EMFILE: i32 = 24;
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().canonicalize().unwrap();
    with_daemon(&input, |daemon, _| {
        daemon.folder_failed(&input.join("below"), &io::Error::from_raw_os_error(EMFILE));
        let wait = daemon.time_to_wait(Instant::now());
        assert!(wait.is_some_and(|wait| wait <= AGAIN), "{wait:?}");
        assert_eq!(daemon.intake.metrics.unreadable_folders.get(), 0);
        assert!(!health(daemon).contains("ulimit -n"), "the others are read");
        daemon.folder_failed(&input, &io::Error::from_raw_os_error(EMFILE));
        assert!(health(daemon).contains("ulimit -n"), "nothing is read");
        daemon.folder_works(&input);
        assert!(!health(daemon).contains("ulimit -n"));
        assert_eq!(daemon.intake.metrics.unreadable_folders.get(), 0);
    });
}
