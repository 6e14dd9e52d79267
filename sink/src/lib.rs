//! The last stage: prediction files and run summaries.
//!
//! What is read becomes durable in a flush: *parts*, one for each run that has new outcomes ([`part`]), then the
//! *manifest*, which says how far the parts go ([`manifest`]), then the group's offsets, which are for watching lag.
//! A run that is closed and has an outcome for each image is finished: results, summary, a last record in `runs`, and
//! its parts are removed ([`finishing`]). Everything is made from parts and run records alone, so that a sink that was
//! killed at any place writes the same bytes again.
//!
//! What decides is plain synchronous code: [`bookkeeping`] (which run an outcome belongs to, and when one is complete)
//! and [`pace`] (when to flush).

mod bookkeeping;
mod buffer;
mod cleaning;
mod config;
mod entry;
mod error;
mod finishing;
mod flushing;
mod manifest;
mod metrics;
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
mod summary;
mod tally;

pub use config::Config;
pub use error::Error;
pub use metrics::Metrics;
pub use names::{results_path, summary_path};
pub use progress::{Counts, Finished, Progress, Snapshot};
pub use stage::{GROUP, run};
pub use summary::{Confidence, Latency, ModelCount, Summary};
