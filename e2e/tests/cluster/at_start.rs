//! What a daemon does that finds no brokers, or no topics.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use autorma_broker::{Cluster, Options};
use autorma_e2e::{Daemon, Photos, Sandbox, eventually};

#[test]
fn brokers_that_are_away_are_waited_for() {
    let Some(photos) = Photos::shared() else { return };
    let cluster = Cluster::start(Options::default()).unwrap();
    let sandbox = Sandbox::on_kafka(&cluster.bootstrap());
    cluster.kill(0).unwrap();
    sandbox.drop_photo(&photos.good[0].0, "early.jpg");
    let started = Instant::now();
    let mut waits = Daemon::up(&sandbox, &[]);
    // Another that nobody has patience with.
    let hasty = Sandbox::bare_on_kafka(&cluster.bootstrap());
    let mut stopped = Daemon::up(&hasty, &["drain=2s"]);
    for daemon in [&waits, &stopped] {
        eventually("the outage is told", || daemon.said().contains("out of reach").then_some(()));
    }
    let begun = Instant::now();
    stopped.signal("TERM");
    let ended = stopped.wait().expect(0);
    // Beside the drain time a request that was begun just before, and a goodbye; a commit's patience is longer.
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}\n{}", begun.elapsed(), ended.errors);
    eventually("each stage has tried twice", || {
        (waits.said().matches("beginning anew").count() >= 6).then_some(())
    });
    assert!(waits.is_running());
    assert_eq!((waits.status("/health/live"), waits.status("/health/ready")), (Some(200), Some(503)));
    let said = waits.said();
    // It is told again every half minute.
    let told = said.matches("out of reach").count() as u64;
    assert!((1..=1 + started.elapsed().as_secs() / 30).contains(&told), "{said}");
    assert!(said.lines().count() < 60, "a flood:\n{said}");
    cluster.restart(0).unwrap();
    let works = waits.ready();
    works.outcomes(1);
    // A broker that is starting comes and goes for a moment.
    let returns = works.said().matches("within reach again").count();
    assert!((1..10).contains(&returns), "{}", works.said());
    works.end();
    sandbox.results().expect(&["early.jpg".to_owned()].into(), &BTreeSet::new()).unwrap();
}

#[test]
fn topics_that_are_not_there_are_not_waited_for() {
    let sandbox = Sandbox::bare_on_kafka(&autorma_broker::shared().bootstrap());
    for command in ["up", "ingest", "classify", "sink", "run", "status"] {
        let ended = sandbox.run(&[command]).expect(1);
        assert!(ended.errors.contains("autorma topics create"), "{command}: {}", ended.errors);
    }
    sandbox.run(&["topics", "create"]).expect(0);
    Daemon::up(&sandbox, &[]).ready().end();
}
