//! The middle stage: image events in, predictions and dead letters out, in micro-batches through ONNX Runtime.

mod bisect;
pub mod decode;
mod failure;
mod fetch;
mod session;

pub use decode::{Decoder, Limits, Picture};
pub use failure::Failure;
pub use session::{LoadError, Runtime, Session};
