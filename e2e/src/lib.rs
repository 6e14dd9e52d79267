//! What the tests of the whole system share: a [`Sandbox`] with folders of its own, the real program in it, real
//! photographs, and the checks that must hold whatever happened.
//!
//! The program is `target/e2e/autorma`, which `make e2e-program` builds with the places where it can be killed
//! (`failpoints`); `AUTORMA_PROGRAM` names another.

mod chaos;
mod photos;
mod process;
mod random;
mod results;
mod sandbox;
mod watcher;

pub use chaos::{Outcome, name, play};
pub use photos::{Photos, shared};
pub use process::{Ended, Process};
pub use random::Random;
pub use results::{Results, json_files, read_json};
pub use sandbox::Sandbox;
pub use watcher::Watcher;

use std::time::{Duration, Instant};

/// Waits until `condition` holds; panics with `what` when it takes longer than anything should.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
