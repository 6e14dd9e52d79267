//! Data sets prepared and checked, and classifiers trained on them.
//!
//! [`train`] makes a model of photos whose labels are known: a backbone that others have trained says numbers about each
//! photo and its variations, and a head learns to tell by them what a photo shows; the backbone may be tuned with it, and
//! is quantized. [`Ensemble`] makes one model of several.

mod augment;
mod cache;
mod card;
mod contents;
pub mod dataset;
mod decisions;
mod dice;
mod enough;
mod ensemble;
mod error;
mod features;
mod files;
mod graph;
mod head;
mod heads;
mod lbfgs;
mod made;
mod memory;
mod metrics;
mod onnx;
mod photos;
mod quantize;
mod recipe;
mod report;
mod trained;
mod training;
mod tuner;
mod tuning;
mod views;

pub use decisions::UnknownErrors;
pub use ensemble::{Component, Ensemble};
pub use error::Error;
pub use metrics::{InFloats, Metrics, Quality, Section};
pub use photos::Folders;
pub use recipe::{Augmentation, Calibration, Head, Precision, Recipe, Targets, Tuning, Weights};
pub use training::{Training, train};

/// How far a training, or a data set, is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// Another one is done of what is looked at one by one.
    Count {
        /// What is counted.
        what: What,
        /// How many are done.
        done: usize,
        /// Of how many.
        of: usize,
    },
    /// Another step of a backbone that is tuned.
    Tuning {
        /// The backbone: first those that judge, then the one that is shipped.
        number: usize,
        /// How many backbones are tuned.
        of: usize,
        /// How many steps are done.
        step: u32,
        /// Of how many.
        steps: u32,
        /// The loss.
        loss: f64,
    },
    /// Another iteration of a head.
    Head {
        /// The head: first those that judge, then the one that is shipped.
        number: usize,
        /// How many heads there are.
        of: usize,
        /// Which iteration, from 1.
        iteration: usize,
        /// The most of a head.
        iterations: usize,
        /// The loss.
        loss: f64,
    },
}

/// What is looked at one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Photos whose files have been read for the first time.
    Read,
    /// Photos that were copied into a data set.
    Copied,
    /// Scenes that are ready for articles to be pasted on.
    Scenes,
    /// Photos by which it is seen how large the numbers within the backbone become.
    Calibration,
    /// Photos that judge: looked at as the model that ships does, or by a backbone that was tuned without them.
    Judged,
    /// Photos and variations whose features are known.
    Features,
    /// Photos of `test` that a model was asked about which is about to be written: each of them once for what ships, and once
    /// for what that was quantized from, if it was. This goes on to its end.
    Tested,
}

impl What {
    /// As people are told of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "files of photos",
            Self::Copied => "copies of photos",
            Self::Scenes => "scenes",
            Self::Calibration => "calibration photos",
            Self::Judged => "judging photos",
            Self::Features => "views of photos",
            Self::Tested => "test photos",
        }
    }
}
