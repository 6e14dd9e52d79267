//! One game of chaos: a seed decides which photos come when, which processes there are, and when each of them is
//! killed. At its end nothing may be lost, doubled or half-written. On Kafka, processes sleep until they are zombies, guests
//! come and go, and brokers die too (`chaos/on_kafka.rs`).

mod ending;
mod everywhere;
mod on_kafka;

pub use everywhere::{daemons_die_everywhere, die_everywhere};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use autorma_broker::Cluster;
use autorma_stream::failpoint;
use serde_json::Value;

use crate::daemon::ENOUGH;
use crate::{Ended, Photos, Process, Random, Sandbox, Watcher};

/// Where each stage can be killed; `stream/src/failpoint.rs` and its callers.
const INGEST: &[&str] =
    &["ingest-before-commit", "ingest-after-commit", "log-before-commit", "log-after-commit"];
const CLASSIFIER: &[&str] =
    &["classifier-before-commit", "classifier-after-commit", "log-before-commit", "log-after-commit"];
const SINK: &[&str] = &[
    "sink-before-part",
    "sink-after-part",
    "sink-after-manifest",
    "sink-after-offsets",
    "sink-after-results",
    "sink-after-summary",
    "sink-after-finished",
    "log-before-commit",
    "log-after-commit",
];

/// The places of each stage that a process of this command has.
fn stages(command: &str) -> &'static [&'static [&'static str]] {
    match command {
        "ingest" => &[INGEST],
        "classify" => &[CLASSIFIER],
        "sink" => &[SINK],
        _ => &[INGEST, CLASSIFIER, SINK],
    }
}

/// Which processes there are: each a command with the stages in it.
type Topology = (&'static str, &'static [&'static [&'static str]]);
const TOPOLOGIES: [Topology; 4] = [
    ("batch", &[&["run", "--json"]]),
    ("up", &[&["up"]]),
    ("three", &[&["ingest"], &["classify"], &["sink"]]),
    ("two classifiers", &[&["ingest"], &["classify"], &["classify"], &["sink"]]),
];

/// What a game was like.
#[derive(Debug)]
pub struct Outcome {
    /// The processes.
    pub topology: &'static str,
    /// Photos, good and bad.
    pub photos: usize,
    /// What was done to the processes.
    pub kills: Vec<String>,
}

/// Plays the game of this seed. `reference` holds the probabilities of each good photo, by its name there.
/// Panics when something is lost, doubled, half-written or different from the reference.
pub fn play(seed: u64, photos: &Photos, reference: &BTreeMap<String, Value>) -> Outcome {
    let mut random = Random::new(seed);
    let (topology, commands) = *random.pick(&TOPOLOGIES);
    let cluster = on_kafka::cluster(&mut random);
    let coming = draw(&mut random, photos);
    // Short runs are finished while the kills go on.
    let mut game = Game::new(cluster, coming, ["1s", "3s", "1h"][random.within(0, 3)]);
    let watcher = Watcher::of(game.sandbox.output());
    game.arrive(random.within(0, 60));
    game.crew = commands.iter().map(|command| (*command, Some(game.spawn(command, None)))).collect();
    for _ in 0..random.within(1, 6) {
        game.strike(&mut random);
        game.arrive(random.within(0, 30));
    }
    game.arrive(usize::MAX);
    game.finish();
    watcher.stop();
    game.check(reference);
    Outcome { topology, photos: game.good.len() + game.bad.len(), kills: game.kills }
}

/// The name of a good photo in every game, by its number in [`Photos::good`].
pub fn name(number: usize) -> String {
    format!("photo-{number:05}.jpg")
}

/// Some good photos and a few bad ones, in any order.
fn draw(random: &mut Random, photos: &Photos) -> Vec<(PathBuf, String, bool)> {
    let mut chosen: Vec<_> = (0..photos.good.len()).filter(|_| random.chance(40)).collect();
    if chosen.is_empty() {
        chosen.push(0);
    }
    let mut all: Vec<_> =
        chosen.into_iter().map(|number| (photos.good[number].0.clone(), name(number), true)).collect();
    for number in 0..random.within(0, 8) {
        let bad = random.pick(&photos.bad);
        let extension = bad.extension().unwrap().to_str().unwrap();
        all.insert(
            random.within(0, all.len() + 1),
            (bad.clone(), format!("bad-{number}.{extension}"), false),
        );
    }
    all
}

#[derive(Debug)]
struct Game {
    sandbox: Sandbox,
    /// The brokers, if the log is on some.
    cluster: Option<&'static Cluster>,
    coming: Vec<(PathBuf, String, bool)>,
    good: BTreeSet<String>,
    bad: BTreeSet<String>,
    crew: Vec<(&'static [&'static str], Option<Process>)>,
    kills: Vec<String>,
    run_length: &'static str,
}

impl Game {
    fn new(
        cluster: Option<&'static Cluster>,
        coming: Vec<(PathBuf, String, bool)>,
        run_length: &'static str,
    ) -> Self {
        Self {
            sandbox: cluster.map_or_else(Sandbox::new, |cluster| Sandbox::on_kafka(&cluster.bootstrap())),
            cluster,
            coming,
            good: BTreeSet::new(),
            bad: BTreeSet::new(),
            crew: Vec::new(),
            kills: Vec::new(),
            run_length,
        }
    }

    /// Some of the photos that are still to come are there now.
    fn arrive(&mut self, count: usize) {
        for (path, name, is_good) in self.coming.drain(..count.min(self.coming.len())) {
            self.sandbox.drop_photo(&path, &name);
            if is_good {
                self.good.insert(name)
            } else {
                self.bad.insert(name)
            };
        }
    }

    /// Kills a process, at a moment or at a place, and starts it again.
    fn strike(&mut self, random: &mut Random) {
        if self.cluster.is_some() && random.chance(40) {
            return self.trouble(random);
        }
        let victim = random.within(0, self.crew.len());
        let command = self.crew[victim].0;
        if random.chance(50) {
            std::thread::sleep(Duration::from_millis(random.within(0, 1500) as u64));
            self.kills.push(format!("{} at a moment", command[0]));
        } else {
            let places = match stages(command[0]) {
                [one] => *one,
                several => *random.pick(several),
            };
            let place = format!("{}:{}", random.pick(places), random.within(1, 3));
            self.kill(victim);
            let mut doomed = self.spawn(command, Some(&place));
            // Something to do, so that it comes to the place.
            self.arrive(random.within(5, 30));
            let begun = Instant::now();
            while doomed.is_running() && begun.elapsed() < Duration::from_secs(3) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let struck = match doomed.is_running() {
                true => "before",
                false => {
                    let ended = doomed.wait();
                    self.expect_killed_or_done(command, &ended);
                    if ended.is_killed() { "at" } else { "after the end, not at" }
                }
            };
            self.kills.push(format!("{} {struck} {place}", command[0]));
            self.crew[victim].1 = Some(doomed);
        }
        self.kill(victim);
        self.crew[victim].1 = Some(self.spawn(command, None));
    }

    /// Starts a process, to die at a place if one is named.
    fn spawn(&self, command: &[&str], place: Option<&str>) -> Process {
        let mut command = self.sandbox.command(command);
        command.env("AUTORMA_INGEST_RUN_LENGTH", self.run_length).env("AUTORMA_DRAIN", ENOUGH);
        command.envs(on_kafka::TIMES);
        if let Some(place) = place {
            command.env(failpoint::VARIABLE, place);
        }
        self.sandbox.spawn(command)
    }

    fn kill(&mut self, victim: usize) {
        let (command, process) = (self.crew[victim].0, self.crew[victim].1.take());
        if let Some(process) = process {
            self.expect_killed_or_done(command, &process.kill_or_wait());
        }
    }

    /// What dies by itself isn't to pass for what was killed. A batch may have come to its end before; a daemon has
    /// none, but for one that a cluster throws out.
    #[track_caller]
    fn expect_killed_or_done(&self, command: &[&str], ended: &Ended) {
        let is_done = match ended.code {
            Some(0 | 2) if command[0] == "run" => true,
            Some(_) => self.cluster.is_some(),
            None => false,
        };
        assert!(is_done || ended.is_killed(), "{command:?} has ended by itself:\n{}", ended.errors);
    }
}
