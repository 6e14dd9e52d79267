//! One game of chaos: a seed decides which photos come when, which processes there are, and when each of them is
//! killed. At its end nothing may be lost, doubled or half-written. On Kafka, processes sleep until they are zombies, guests
//! come and go, and brokers die too (`chaos/on_kafka.rs`).

mod on_kafka;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use autorma_broker::Cluster;
use serde_json::Value;

use crate::{Photos, Process, Random, Sandbox, Watcher, eventually};

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

/// A batch dies at each place in turn, with new photos in hand, and the next one goes on. Panics as [`play`] does, and
/// where a place isn't come to.
pub fn die_everywhere(photos: &Photos, reference: &BTreeMap<String, Value>) {
    // Not a cluster of which a game beside this one kills brokers.
    let coming = draw(&mut Random::new(0), photos);
    let mut game = Game::new(on_kafka::lasting(), coming, "1h");
    for place in [INGEST, CLASSIFIER, SINK].concat().into_iter().collect::<BTreeSet<_>>() {
        game.arrive(4);
        let ended = game.spawn(&["run", "--json"], Some(place)).wait();
        assert_eq!(ended.code, None, "nothing is killed at {place}:\n{}", ended.errors);
        game.kills.push(place.to_owned());
    }
    let ended = game.spawn(&["run", "--json"], None).wait();
    assert!(matches!(ended.code, Some(0 | 2)), "{}", ended.errors);
    game.check(reference);
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
            let places = match command[0] {
                "ingest" => INGEST,
                "classify" => CLASSIFIER,
                "sink" => SINK,
                _ => *random.pick(&[INGEST, CLASSIFIER, SINK]),
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
                false => match doomed.wait() {
                    ended if ended.code.is_none() => "at",
                    // A batch may have come to its end before it came to the place; the others have none, but for whom a
                    // cluster throws out.
                    ended => {
                        let may_end = command[0] == "run" || self.cluster.is_some();
                        assert!(may_end, "{command:?} has ended by itself:\n{}", ended.errors);
                        "after the end, not at"
                    }
                },
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
        command.env("AUTORMA_INGEST_RUN_LENGTH", self.run_length);
        command.envs(on_kafka::TIMES);
        if let Some(place) = place {
            command.env("AUTORMA_FAILPOINT", place);
        }
        self.sandbox.spawn(command)
    }

    fn kill(&mut self, victim: usize) {
        if let Some(process) = self.crew[victim].1.take() {
            process.kill_or_wait();
        }
    }

    /// Without further kills, everything comes to its end.
    fn finish(&mut self) {
        if self.crew[0].0[0] == "run" {
            // Photos that came late may need a further batch.
            let (_, process) = self.crew.remove(0);
            let ended = process.unwrap().wait();
            assert!(matches!(ended.code, Some(0 | 2)), "{}", ended.errors);
            let ended = self.spawn(&["run", "--json"], None).wait();
            assert!(matches!(ended.code, Some(0 | 2)), "{}", ended.errors);
            return;
        }
        let expected = (self.good.len() + self.bad.len()) as i64;
        eventually("every photo is published", || (self.sandbox.published() >= expected).then_some(()));
        for (command, process) in &mut self.crew {
            let process = process.as_mut().unwrap();
            process.signal("TERM");
            let ended = process.wait();
            assert_eq!(ended.code, Some(0), "{command:?}\n{}", ended.errors);
            if command[0] == "ingest" {
                // Its run is closed now; the others finish it while they run.
                eventually("every run is finished", || {
                    let status = self.sandbox.status();
                    let runs = status["runs"].as_array().unwrap();
                    runs.iter().all(|run| run["state"] == "finished").then_some(())
                });
            }
        }
    }

    fn check(&self, reference: &BTreeMap<String, Value>) {
        let results = self.sandbox.results();
        let told = format!("{:?}", self.kills);
        if let Err(wrong) = results.expect(&self.good, &self.bad) {
            let logs = self.crew.iter().map(|(_, process)| process.as_ref().map(Process::said));
            panic!("{wrong}\nafter {told}\n{logs:?}");
        }
        for name in &self.good {
            assert_eq!(results.prediction(name)["probabilities"], reference[name], "{name} after {told}");
        }
        if let Some(cluster) = self.cluster {
            on_kafka::witness(cluster, &self.sandbox, &told);
        }
        let parts = walk(&self.sandbox.output());
        let left: Vec<_> =
            parts.iter().filter(|path| ![".json", ".lock"].iter().any(|end| path.ends_with(end))).collect();
        assert!(left.is_empty(), "left behind: {left:?} after {told}");
    }
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}
