//! One death at each place, whatever a seed would have drawn.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Game, TOPOLOGIES, draw, on_kafka, stages};
use crate::{Photos, Random};

/// A batch dies at each place in turn, with new photos in hand, and the next one goes on. Panics as
/// [`super::play`] does, and where a place isn't come to.
pub fn die_everywhere(photos: &Photos, reference: &BTreeMap<String, Value>) {
    let mut game = game(photos, "1h");
    for place in places("run") {
        game.die_at(&["run", "--json"], place);
    }
    let ended = game.spawn(&["run", "--json"], None).wait();
    assert!(matches!(ended.code, Some(0 | 2)), "{}", ended.errors);
    game.check(reference);
}

/// The daemons of a topology do the same one after the other, each beside the others that live.
pub fn daemons_die_everywhere(topology: &str, photos: &Photos, reference: &BTreeMap<String, Value>) {
    let (_, commands) = TOPOLOGIES.into_iter().find(|(name, _)| *name == topology).unwrap();
    // Short runs: the sink comes to some of its places only when it finishes one.
    let mut game = game(photos, "1s");
    game.crew = commands.iter().map(|command| (*command, Some(game.spawn(command, None)))).collect();
    for (victim, command) in commands.iter().enumerate() {
        game.kill(victim);
        for place in places(command[0]) {
            game.die_at(command, place);
        }
        game.crew[victim].1 = Some(game.spawn(command, None));
    }
    game.finish();
    game.check(reference);
}

/// Not on a cluster of which a game beside this one kills brokers.
fn game(photos: &Photos, run_length: &'static str) -> Game {
    Game::new(on_kafka::lasting(), draw(&mut Random::new(0), photos), run_length)
}

/// All places of a process of this command; stages share some.
fn places(command: &str) -> BTreeSet<&'static str> {
    stages(command).concat().into_iter().collect()
}

impl Game {
    /// A process of this command dies at the place, with new photos in hand.
    fn die_at(&mut self, command: &[&str], place: &str) {
        self.arrive(4);
        let ended = self.spawn(command, Some(place)).wait();
        assert!(ended.is_killed(), "nothing kills {command:?} at {place}:\n{}", ended.errors);
        self.kills.push(format!("{} at {place}", command[0]));
    }
}
