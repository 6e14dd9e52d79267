//! The commands that look and change nothing.

mod dead_letters;
mod runs;
mod show;
mod status;

pub(crate) use dead_letters::{Kept, dead_letters};
pub(crate) use runs::{as_json as run_json, runs, show as show_run};
pub(crate) use show::show;
pub(crate) use status::status;
