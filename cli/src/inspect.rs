//! The commands that look and change nothing. Each returns the text that it shows.

mod dead_letters;
mod runs;
mod show;
mod status;

pub(crate) use dead_letters::{Kept, dead_letters, place};
pub(crate) use runs::{as_json as run_json, runs, show as show_run};
pub(crate) use show::show;
pub(crate) use status::status;

use serde::Serialize;

/// JSON for scripts.
pub(crate) fn json_text(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}
