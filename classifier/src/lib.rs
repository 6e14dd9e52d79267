//! The middle stage: image events in, predictions and dead letters out, in micro-batches through ONNX Runtime.
//!
//! One thread owns the consumer ([`run`] polls on the thread that calls it), workers decode and run the model, each with
//! sessions of its own and a thread beside it that reads its photos (`fetch/readers.rs`), and one thread commits. They meet
//! at the desk (`desk.rs`), which bounds what is in flight. Where an alias names the model, or one of several, or a shadow,
//! one more thread for each follows it (`swapping.rs`). Images may be split among several versions, and another one may
//! compute along, the shadow (`arms.rs`).

mod arms;
mod bisect;
mod committing;
mod config;
mod decode;
mod decoding;
mod desk;
mod error;
mod failure;
mod fetch;
#[cfg(test)]
mod fixtures;
mod history;
mod inferring;
mod metrics;
mod outcome;
mod polling;
mod session;
mod stage;
mod swapping;
mod trace;
pub mod trial;
mod working;

pub use arms::{Cast, Split};
pub use config::Config;
pub use decode::{Decoder, Limits, Picture, contained};
pub use error::Error;
pub use failure::Failure;
pub use fetch::{StoreError, is_below, published_folders, read_file};
pub use metrics::Metrics;
pub use session::{LoadError, Runtime, Session};
pub use stage::{AT_ONCE, GROUP, run};
pub use trial::Trial;
