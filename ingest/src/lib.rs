//! The first stage: finds photos in a folder and publishes image events.
//!
//! [`batch()`] takes what a folder holds, [`watch()`] what comes into it. Both take a file when it is complete
//! (`settle.rs`), know what was published before (`ledger.rs`), and publish in transactions that hold the image
//! events, what is remembered of the files, and the run's new count (`publish.rs`).

mod batch;
mod config;
mod content;
mod ears;
mod error;
mod heard;
mod intake;
mod ledger;
mod mark;
mod metrics;
mod names;
mod publish;
mod rescans;
mod root;
mod runs;
mod scan;
mod settle;
mod warned;
mod watch;

pub use batch::{Batch, Found, batch};
pub use config::Config;
pub use error::Error;
pub use metrics::Metrics;
pub use watch::watch;
