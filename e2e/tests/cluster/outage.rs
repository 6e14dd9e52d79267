//! Brokers that die while there is work.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use autorma_broker::{Cluster, Options};
use autorma_e2e::{Daemon, Photos, Sandbox, eventually};

/// Longer than sessions and transactions live, and than the patience of a commit.
const OUTAGE: Duration = Duration::from_secs(35);
/// What may be taken beside what the work itself takes: librdkafka's queues of three stages are bounded by less.
const SPARE: u64 = 200 << 20;

#[test]
fn an_outage_longer_than_a_transaction_costs_nothing_but_time() {
    let Some(photos) = Photos::shared() else { return };
    let cluster = Cluster::start(Options::default()).unwrap();
    let sandbox = Sandbox::on_kafka(&cluster.bootstrap());
    let (first, all) = (100, 160);
    let drop_in = |from: usize, to: usize| {
        for (number, (photo, _)) in photos.good.iter().enumerate().take(to).skip(from) {
            sandbox.drop_photo(photo, format!("photo-{number:05}.jpg"));
        }
    };
    drop_in(0, first);
    let mut daemon =
        Daemon::up(&sandbox, &["log.kafka.transaction_timeout=5s", "log.kafka.session_timeout=5s"]).ready();
    eventually("it is in the middle of it", || {
        (daemon.metric("autorma_classifier_predictions_total")? >= 10.0).then_some(())
    });
    cluster.kill(0).unwrap();
    let before = daemon.memory();
    drop_in(first, all);
    // How long it lasts is what matters here.
    std::thread::sleep(OUTAGE);
    assert!(daemon.is_running(), "{}", daemon.said());
    assert_eq!((daemon.status("/health/live"), daemon.status("/health/ready")), (Some(200), Some(503)));
    let after = daemon.memory();
    assert!(after < before + SPARE, "{before} bytes before the outage, {after} after it");
    cluster.restart(0).unwrap();
    eventually("everything is in files", || {
        assert!(daemon.is_running(), "{}", daemon.said());
        let durable = sandbox.run(&["status", "--json"]);
        let lag = (durable.code == Some(0)).then(|| durable.json()["lag"].clone())?;
        let lag: i64 = lag.as_array()?.iter().map(|it| it["lag"].as_i64().unwrap()).sum();
        (lag == 0 && sandbox.published() as usize == all).then_some(())
    });
    assert!(daemon.memory() < before + SPARE, "{before} bytes before, {} at the end", daemon.memory());
    let said = daemon.said();
    assert!(said.contains("out of reach") && said.contains("within reach again"), "{said}");
    daemon.ready().end();
    let names = (0..all).map(|number| format!("photo-{number:05}.jpg")).collect();
    sandbox.results().expect(&names, &BTreeSet::new()).unwrap();
}

#[test]
fn a_stop_in_an_outage_takes_the_drain_time() {
    let Some(photos) = Photos::shared() else { return };
    let cluster = Cluster::start(Options::default()).unwrap();
    let sandbox = Sandbox::on_kafka(&cluster.bootstrap());
    let mut daemon = Daemon::up(&sandbox, &["drain=2s"]).ready();
    cluster.kill(0).unwrap();
    sandbox.drop_photo(&photos.good[0].0, "late.jpg");
    eventually("the outage is told", || daemon.said().contains("out of reach").then_some(()));
    let begun = Instant::now();
    daemon.signal("TERM");
    let ended = daemon.wait().expect(0);
    // Beside the drain time a request that was begun just before, and a goodbye; a commit's patience is longer.
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}\n{}", begun.elapsed(), ended.errors);
    cluster.restart(0).unwrap();
    sandbox.run_batch().expect(0);
    sandbox.results().expect(&["late.jpg".to_owned()].into(), &BTreeSet::new()).unwrap();
}
