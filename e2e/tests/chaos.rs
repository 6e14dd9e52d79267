//! Kill seeds. `SEEDS=1000 cargo test --workspace --test chaos` plays as many as asked, `SEED=17` that one again.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use autorma_e2e::{Photos, Sandbox, daemons_die_everywhere, die_everywhere, name, play, seeds};
use serde_json::Value;

/// Games in `make test`.
const SEEDS: u64 = 12;

#[test]
fn nothing_is_lost_or_doubled_whoever_is_killed_whenever() {
    let Some(photos) = Photos::shared() else { return };
    let reference = reference(&photos);
    for seed in seeds(SEEDS) {
        let outcome = play(seed, &photos, reference);
        eprintln!("seed {seed}: {} photos, {}, {:?}", outcome.photos, outcome.topology, outcome.kills);
    }
}

#[test]
fn at_each_place_a_batch_can_die_and_the_next_one_goes_on() {
    let Some(photos) = Photos::shared() else { return };
    die_everywhere(&photos, reference(&photos));
}

#[test]
fn at_each_place_a_daemon_can_die_and_the_next_one_goes_on() {
    let Some(photos) = Photos::shared() else { return };
    // There each start takes seconds, and the games and the batch have to do.
    if std::env::var("LOG").is_ok_and(|log| log == "kafka") {
        eprintln!("skipped: only on the embedded log");
        return;
    }
    for topology in ["up", "three"] {
        daemons_die_everywhere(topology, &photos, reference(&photos));
    }
}

/// What each good photo gets when nobody is killed: the same for all tests, so they find it out once.
fn reference(photos: &Photos) -> &'static BTreeMap<String, Value> {
    static REFERENCE: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let sandbox = Sandbox::new();
        for (number, (path, _)) in photos.good.iter().enumerate() {
            sandbox.drop_photo(path, name(number));
        }
        sandbox.run_batch().expect(0);
        let predictions = sandbox.results().predictions.into_iter();
        predictions.map(|(name, mut list)| (name, list.remove(0)["probabilities"].take())).collect()
    })
}
