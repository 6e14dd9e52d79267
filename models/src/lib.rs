//! Models as autorma knows them: a folder with an ONNX file, or those of an ensemble, and a [`Manifest`] that says what the
//! model expects, what its outputs mean and where it comes from. The classifier loads nothing that [`Model::open`] hasn't verified.

mod decide;
#[cfg(feature = "handmade")]
pub mod handmade;
mod manifest;
mod members;
mod quantized;
pub mod registry;
mod verify;

pub use decide::{NotANumber, Verdict};
pub use manifest::{File, Input, MOST_OUTPUTS, Manifest, Output, Thresholds, is_a_name, is_a_version};
pub use members::{Member, mean};
pub use verify::{Error, MANIFEST, Model};
