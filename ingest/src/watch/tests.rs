use super::*;
use std::fs;

use autorma_schemas::topics;
use autorma_service::http::Health;
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
