//! What the tests of the whole system share: a [`Sandbox`] with folders of its own, the real program in it, real
//! photographs, and the checks that must hold whatever happened.
//!
//! The program is `target/e2e/autorma`, which `make e2e-program` builds with the places where it can be killed
//! (`failpoints`); `AUTORMA_PROGRAM` names another.

mod chaos;
mod daemon;
mod examples;
mod photos;
mod process;
mod random;
mod results;
mod sandbox;
mod versions;
mod watcher;

pub use chaos::{Outcome, daemons_die_everywhere, die_everywhere, name, play};
pub use daemon::Daemon;
pub use examples::Examples;
pub use photos::{Photos, shared};
pub use process::{Ended, Process};
pub use random::{Random, seeds};
pub use results::{Results, json_files, read_json};
pub use sandbox::Sandbox;
pub use versions::{
    alone, check_against_each_alone, drop_colour, drop_picture, known, labelled, model, models, register,
};
pub use watcher::Watcher;

use std::process::Command;
use std::time::{Duration, Instant};

/// Waits until `condition` holds; panics with `what` when it takes longer than anything should.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(240), "waited in vain: {what}");
        // Who asks by starting a program leaves half of the time to what is waited for.
        std::thread::sleep(asked.elapsed().max(Duration::from_millis(5)));
    }
}

/// Runs a command that must succeed; what it wrote to standard output.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{told}\n{errors}", output.status);
    told
}
