//! The contracts between the stages of autorma.
//!
//! Each kind of event has an Avro schema under `schemas/avro/v<N>/`, a Rust type here, and travels as an Avro
//! [single-object encoding](https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding), whose
//! header names the schema it was written with, so that every earlier version stays readable.
//!
//! This crate does no I/O.

mod dead_letter;
mod id;
mod image_event;
mod ledger;
mod photo;
mod place;
mod prediction;
mod run;
mod time;
mod wire;

pub use dead_letter::{DeadLetter, HeaderValue, Reason};
pub use id::Id;
pub use image_event::{ImageEvent, event_id, hex, is_hex, sha256};
pub use ledger::LedgerRecord;
pub use photo::is_photo;
pub use place::{file_path, file_url, printable, readable, readable_url};
pub use prediction::{
    Agreement, ClassProbability, Decision, ModelVersion, Origin, Prediction, Shadow, batch_number,
};
pub use run::{RunKind, RunRecord, RunState, free_run_id, run_is_over};
pub use time::Micros;
pub use wire::{DecodeError, Event, compatible_versions};

/// The topics of the log, by name.
pub mod topics {
    /// Image events: photos to classify.
    pub const IMAGES: &str = "images";
    /// What the model says of each.
    pub const PREDICTIONS: &str = "predictions";
    /// Image events that can't be classified.
    pub const DEAD_LETTERS: &str = "dead-letters";
    /// Runs opened, grown and closed; keyed by run id.
    pub const RUNS: &str = "runs";
    /// What ingest remembers of each file; keyed by its URL and compacted.
    pub const LEDGER: &str = "ingest-ledger";
}
