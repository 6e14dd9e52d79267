//! What is there after a power cut. No test can cut the power: a library of a few lines (`power/journal.c`) notes what the program
//! syncs and what it renames, and in which order. What appears under its name must be on the disk before, and the name after.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use autorma_e2e::{Ended, Sandbox, known, model};
use autorma_models::handmade::{backbone, means, picture, write};
use serde_json::json;

/// What the program has done, of what the journal notes.
#[derive(Debug)]
enum Event {
    Synced(PathBuf),
    /// A folder.
    Made(PathBuf),
    /// A file or, with all that is in it, a folder.
    Renamed(PathBuf, PathBuf),
}

/// A sandbox whose programs are watched.
struct Watched {
    sandbox: Sandbox,
    library: PathBuf,
}

impl Watched {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let library = sandbox.path().join("journal.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/journal.c");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl");
        assert!(compile.status().unwrap().success());
        Self { sandbox, library }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.sandbox.command(arguments);
        command.env("LD_PRELOAD", &self.library).env("JOURNAL", self.sandbox.path().join("journal"));
        self.sandbox.spawn(command).wait()
    }

    fn events(&self) -> Vec<Event> {
        let journal = fs::read_to_string(self.sandbox.path().join("journal")).unwrap();
        let event = |line: &str| {
            let [what, path, to] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
            match what {
                "sync" => Event::Synced(path.into()),
                "make" => Event::Made(path.into()),
                "rename" => Event::Renamed(path.into(), to.into()),
                _ => panic!("{line:?}"),
            }
        };
        journal.lines().map(event).collect()
    }
}

/// All files in a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Whether the name is on the disk, once all of that has happened.
fn is_named(events: &[Event], path: &Path) -> bool {
    let folder = path.parent().unwrap();
    events.iter().any(|event| matches!(event, Event::Synced(path) if path == folder))
}

/// The names of all folders above that the program has made are on the disk.
#[track_caller]
fn made_durably(events: &[Event], path: &Path) {
    for (at, event) in events.iter().enumerate() {
        if let Event::Made(folder) = event
            && path.starts_with(folder)
        {
            assert!(is_named(&events[at..], folder), "the name of {} wasn't synced", folder.display());
        }
    }
}

/// Whatever has got its name by renaming was on the disk before, and its name is there after, as are those of all folders
/// above. The names.
#[track_caller]
fn appeared_durably(events: &[Event]) -> BTreeSet<String> {
    // What a file was called when it was written is looked at, too.
    let is_written = |events: &[Event], content: &Path| {
        events
            .iter()
            .any(|event| matches!(event, Event::Synced(path) | Event::Renamed(_, path) if path == content))
    };
    let mut names = BTreeSet::new();
    for (at, event) in events.iter().enumerate() {
        let Event::Renamed(from, to) = event else { continue };
        let (before, after) = events.split_at(at);
        let contents = match to.is_dir() {
            true => files(to).iter().map(|file| from.join(file.strip_prefix(to).unwrap())).collect(),
            false => vec![from.clone()],
        };
        for content in contents {
            assert!(is_written(before, &content), "{content:?} wasn't synced before it became {to:?}");
        }
        assert!(is_named(after, to), "the name of {to:?} wasn't synced");
        made_durably(events, to);
        names.insert(to.file_name().unwrap().to_string_lossy().into_owned());
    }
    names
}

/// Nothing that is named here is missing.
#[track_caller]
fn has(names: &BTreeSet<String>, expected: &[&str]) {
    let missing = expected.iter().find(|expected| !names.iter().any(|name| name.starts_with(*expected)));
    assert_eq!(missing, None, "{names:?}");
}

#[test]
fn versions_and_moves_outlive_a_power_cut() {
    let watched = Watched::new();
    let photos = known(&watched.sandbox);
    let promote = ["models", "promote", "means@staging", "--data", &photos, "--speed", "0"];
    for number in 1..=2 {
        let folder = format!("model-{number}");
        let folder = model(&watched.sandbox, &folder, &means(), "/temperature", json!(number));
        watched.run(&["models", "register", folder.to_str().unwrap(), "--alias", "staging"]).expect(0);
        watched.run(&[&promote[..], &["--calibration-error", "1"]].concat()).expect(0);
    }
    watched.run(&["models", "rollback", "means@production"]).expect(0);
    has(&appeared_durably(&watched.events()), &["1", "2", "000001.json", "000003.json"]);
}

#[test]
fn a_log_and_its_results_outlive_a_power_cut() {
    let watched = Watched::new();
    let (sandbox, model) = (&watched.sandbox, watched.sandbox.path().join("model"));
    write(&model, "means", &means()).unwrap();
    fs::write(sandbox.input().join("photo.bmp"), picture([200, 20, 20])).unwrap();
    watched.run(&["run", "--model", model.to_str().unwrap()]).expect(0);
    let events = watched.events();
    has(&appeared_durably(&events), &["predictions_", "summary.json"]);
    made_durably(&events, &sandbox.data().join("log.sqlite"));
}

#[test]
fn a_trained_model_outlives_a_power_cut() {
    let watched = Watched::new();
    let photos = known(&watched.sandbox);
    fs::write(watched.sandbox.path().join("backbone.onnx"), backbone()).unwrap();
    let train = ["train", "--data", &photos, "--backbone", "backbone.onnx", "--output", "new/training"];
    watched.run(&train).expect(0);
    let appeared = appeared_durably(&watched.events());
    has(&appeared, &["refund-classifier.onnx", "manifest.json", "CARD.md", "train.toml", "report.html"]);
}

#[test]
fn a_prepared_data_set_outlives_a_power_cut() {
    let watched = Watched::new();
    let photos = known(&watched.sandbox);
    watched.run(&["dataset", "prepare", "--from", &photos, "--to", "new/set"]).expect(0);
    has(&appeared_durably(&watched.events()), &["set"]);
}
