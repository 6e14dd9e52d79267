//! Who registers, promotes, collects or moves an alias is killed at any moment, and so is the server: no version is ever there by half, no
//! alias names nothing, and the same command does what the killed one didn't.

#[path = "../../models/tests/registry/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use autorma_e2e::{Process, Random, Sandbox, known, model, seeds};
use autorma_models::handmade::means;
use serde_json::{Value, json};
use server::Mlflow;

/// A registry: in the sandbox's data folder, or on a server.
struct Home {
    sandbox: Sandbox,
    mlflow: Option<Mlflow>,
}

impl Home {
    fn start(&self, arguments: &[&str]) -> Process {
        self.sandbox.start(&[&["models"], arguments, &["--json"]].concat())
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Value {
        self.start(arguments).wait().expect(0).json()
    }

    /// How long it takes.
    #[track_caller]
    fn time(&self, arguments: &[&str]) -> Duration {
        let begun = Instant::now();
        self.run(arguments);
        begun.elapsed()
    }

    /// A model that no other is like, in a folder of its own.
    fn model(&self, number: usize) -> String {
        let temperature = json!(1.0 + number as f64 / 100.0);
        let folder = model(&self.sandbox, &format!("model-{number}"), &means(), "/temperature", temperature);
        folder.to_str().unwrap().to_owned()
    }

    /// What must hold at any time. How many versions there are.
    #[track_caller]
    fn check(&self) -> usize {
        let listed = self.run(&["list"]);
        let listed = listed.as_array().unwrap();
        let whole =
            |it: &&Value| it["problem"].is_null() && it["why"].as_str().is_some_and(|why| why.len() > 4);
        assert_eq!(listed.iter().filter(whole).count(), listed.len(), "{listed:?}");
        let contents: BTreeSet<_> = listed.iter().map(|it| it["version"].as_u64().unwrap()).collect();
        assert_eq!(contents.len(), listed.len(), "{listed:?}");
        let named = listed.iter().flat_map(|it| it["aliases"].as_array().unwrap());
        for alias in named.map(|it| it.as_str().unwrap()).collect::<BTreeSet<_>>() {
            let shown = self.run(&["show", &format!("means@{alias}")]);
            let last = shown["moves"][alias].as_array().unwrap().last().unwrap();
            assert_eq!(last["version"], shown["version"], "{shown}");
        }
        listed.len()
    }

    /// Production names what staging does, and was moved there for this reason.
    #[track_caller]
    fn has_moved_production(&self, why: &str) {
        let [production, staging] =
            ["production", "staging"].map(|alias| self.run(&["show", &format!("means@{alias}")]));
        assert_eq!(production["version"], staging["version"]);
        let last = production["moves"]["production"].as_array().unwrap().last().unwrap();
        assert!(last["why"].as_str().unwrap().starts_with(why), "{last}");
    }

    /// Kills the command, or the server, after so many hundredths of the time that it takes. Whether it was on its way.
    fn kill(
        &mut self,
        arguments: &[&str],
        takes: Duration,
        takes_the_server: bool,
        hundredths: usize,
    ) -> bool {
        let process = self.start(arguments);
        std::thread::sleep(takes.mul_f64(hundredths as f64 / 100.0));
        let ended = match &mut self.mlflow {
            Some(mlflow) if takes_the_server => {
                mlflow.kill();
                let ended = process.kill_or_wait();
                mlflow.restart();
                ended
            }
            _ => {
                let ended = process.kill_or_wait();
                let is_right = ended.is_killed() || ended.code == Some(0);
                assert!(is_right, "{arguments:?} has failed by itself:\n{}", ended.errors);
                ended
            }
        };
        // Who has only just begun has done nothing yet.
        hundredths >= 10 && ended.code != Some(0)
    }

    /// Kills commands, and checks after each that nothing is half, and that it can be done again.
    fn play(&mut self, kills: usize, random: &mut Random) {
        let photos = known(&self.sandbox);
        let promote =
            ["promote", "means@staging", "--data", &photos, "--speed", "0", "--calibration-error", "1"];
        let first = self.time(&["register", &self.model(0), "--why", "the first", "--alias", "staging"]);
        let promoting = self.time(&promote);
        let back = ["register", &self.model(1), "--why", "what can be taken back", "--alias", "staging"];
        // The quicker one: after what a busy machine once took for it, all of them would have ended.
        let quicker = first.min(self.time(&back));
        let mut takes = [quicker, promoting, quicker, quicker, quicker, quicker];
        let (mut before, mut on_the_way) = (2, 0);
        for number in 0..kills {
            let model = self.model(number + 2);
            let register = ["register", &model, "--why", "another", "--alias", "staging"];
            let to_staging = ["alias", "means@staging", "production", "--why", "better"];
            let back = ["rollback", "means@staging", "--why", "worse"];
            let collect = ["gc", "means", "--keep", "2"];
            // Each of them has something to do after the one before: production is moved to what staging has got, and to what
            // it was taken back to.
            let commands: [&[&str]; 6] = [&register, &promote, &back, &to_staging, &register[..4], &collect];
            // All of them in turn: few kills, drawn at random, would leave some out.
            let turn = number % commands.len();
            let command = commands[turn];
            // Anywhere, maybe after the end; but about each third one early.
            let hundredths = if random.chance(33) { random.within(10, 50) } else { random.within(0, 110) };
            let takes_the_server = random.chance(50);
            on_the_way += usize::from(self.kill(command, takes[turn], takes_the_server, hundredths));
            let after = self.check();
            takes[turn] = self.time(command);
            let done = self.check();
            match command[0] {
                "promote" => self.has_moved_production("passed the gate"),
                "alias" => self.has_moved_production("better"),
                _ => {}
            }
            let (fewest, most) = match command[0] {
                "register" => (before + 1, before + 1),
                "gc" => (2, before),
                _ => (before, before),
            };
            let at = format!("{before}, then {after}, then {done}: kill {number} of {command:?}");
            assert!((fewest..=most).contains(&done), "the same command again: {at}");
            assert!((before.min(done)..=before.max(done)).contains(&after), "{at}");
            before = done;
        }
        assert!(on_the_way * 3 >= kills, "only {on_the_way} of {kills} were killed on their way");
        // As a classifier would load each of them.
        assert_eq!(self.run(&["verify"]).as_array().unwrap().len(), before);
    }
}

#[test]
fn in_a_folder() {
    for seed in seeds(3) {
        Home { sandbox: Sandbox::new(), mlflow: None }.play(12, &mut Random::new(seed));
    }
}

#[test]
fn on_a_server() {
    for seed in seeds(1) {
        let Some(mlflow) = Mlflow::start() else { return };
        let mut home =
            Home { sandbox: Sandbox::new().with_registry(mlflow.variables()), mlflow: Some(mlflow) };
        home.play(6, &mut Random::new(seed));
        let shown = home.run(&["show", "means@staging"])["version"].clone();
        let program = "print(mlflow.MlflowClient().get_model_version_by_alias('means', 'staging').version)";
        let mlflow = home.mlflow.as_ref().map(|it| it.python(program, &[]));
        assert_eq!(mlflow.unwrap().trim(), shown.to_string());
    }
}
