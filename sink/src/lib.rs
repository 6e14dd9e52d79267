//! The last stage: prediction files and run summaries.
//!
//! What is read becomes durable in a flush (`flushing.rs`): *parts*, one for each run that has new outcomes, then the
//! *manifest*, which says how far the parts go, then the group's offsets, which are for watching lag. A run that is
//! closed and has an outcome for each image is finished (`finishing.rs`): results, summary, a last record in `runs`,
//! and its parts are removed. Everything is made of parts and run records alone, so that a sink that was killed at any
//! place writes the same bytes again.
//!
//! What decides is plain synchronous code: which run an outcome belongs to and when one is complete
//! (`bookkeeping.rs`), and when to flush (`pace.rs`).

mod bookkeeping;
mod buffer;
mod cleaning;
mod config;
mod coverage;
mod entry;
mod error;
mod filling;
mod finishing;
mod flushing;
mod manifest;
mod metrics;
mod moving;
mod names;
mod outcome;
mod pace;
mod part;
mod pretty;
mod progress;
mod reading;
mod recovery;
mod results;
mod stage;
mod store;
mod stranded;
mod strays;
mod summary;
mod tally;
mod texts;

pub use config::Config;
pub use error::Error;
pub use metrics::Metrics;
pub use moving::move_run;
pub use names::{is_outside, is_stamp, results_path, summary_path};
pub use progress::{Counts, Finished, Progress, Snapshot};
pub use stage::{GROUP, TOPICS, run};
pub use store::create_output;
pub use summary::{
    Agreements, ArmSummary, Confidence, Latency, ModelCount, PairSummary, ShadowSummary, Summary,
};
