//! Kill seeds. `SEEDS=1000 cargo test --workspace --test chaos` plays as many as asked, `SEED=17` that one again.

use std::collections::BTreeMap;

use autorma_e2e::{Photos, Sandbox, die_everywhere, name, play, seeds};
use serde_json::Value;

/// Games in `make test`.
const SEEDS: u64 = 12;

#[test]
fn nothing_is_lost_or_doubled_whoever_is_killed_whenever() {
    let Some(photos) = Photos::shared() else { return };
    let reference = reference(&photos);
    for seed in seeds(SEEDS) {
        let outcome = play(seed, &photos, &reference);
        eprintln!("seed {seed}: {} photos, {}, {:?}", outcome.photos, outcome.topology, outcome.kills);
    }
}

#[test]
fn at_each_place_a_batch_can_die_and_the_next_one_goes_on() {
    let Some(photos) = Photos::shared() else { return };
    die_everywhere(&photos, &reference(&photos));
}

/// What each good photo gets when nobody is killed.
fn reference(photos: &Photos) -> BTreeMap<String, Value> {
    let sandbox = Sandbox::new();
    for (number, (path, _)) in photos.good.iter().enumerate() {
        sandbox.drop_photo(path, name(number));
    }
    sandbox.run_batch().expect(0);
    let predictions = sandbox.results().predictions.into_iter();
    predictions.map(|(name, mut list)| (name, list.remove(0)["probabilities"].take())).collect()
}
