//! How a game ends, and what must hold then.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Game, on_kafka};
use crate::{Process, eventually};

impl Game {
    /// Without further kills, everything comes to its end.
    pub(super) fn finish(&mut self) {
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

    /// Nothing is lost, doubled, half-written or different from the reference, and nothing is left behind.
    pub(super) fn check(&self, reference: &BTreeMap<String, Value>) {
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
