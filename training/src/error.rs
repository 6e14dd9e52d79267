use std::io;
use std::path::{Path, PathBuf};

use autorma_classifier::LoadError;
use autorma_evaluation::DataSetError;
use autorma_models::MOST_OUTPUTS;

use crate::dataset::Misnamed;
use crate::recipe::Tuning;

/// Why a model can't be trained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folders of photos aren't what they should be.
    #[error(transparent)]
    Photos(#[from] DataSetError),
    /// A list of photos can't be read.
    #[error("the list {path}: {cause}")]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A file or folder can't be read or written.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A folder is split, and photos are on none of its sides.
    #[error(
        "{folder} is split into train, val and test, and what is beside these is not used: {names}; move it into one of \
         them or out of the folder, or name it: --other or --backgrounds for what is none of the classes, --data for a \
         folder that has folders of classes in it"
    )]
    Beside {
        /// The folder.
        folder: PathBuf,
        /// What is beside them.
        names: String,
    },
    /// Sides of a split that aren't named as sides are.
    #[error(transparent)]
    Misnamed(#[from] Misnamed),
    /// No class, and no other kind, may be called that in a manifest.
    #[error(
        "the folder {0:?}: the name of a class or kind has at most 128 bytes and no control characters; rename it"
    )]
    Unnameable(String),
    /// More classes and other kinds than a manifest may have.
    #[error(
        "there are {0} classes and kinds of what is none of them, a folder each, and a model tells at most {most} apart: \
         put some of them into one folder",
        most = MOST_OUTPUTS
    )]
    TooManyKinds(usize),
    /// Another process trains in the same folder.
    #[error(
        "{0} is in use: another training is at work in this folder; wait for it, or name another with --output"
    )]
    InUse(PathBuf),
    /// The backbone can't be read.
    #[error("the backbone {path}: {cause}; `make backbone` makes it, `--backbone` names another")]
    NoBackbone {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The backbone isn't one.
    #[error("the backbone {path}: {cause}; see models/build/README.md for what a backbone is")]
    Backbone {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The backbone can be run, but not learned.
    #[error("the backbone can't be tuned: {0}; `tuning.steps = 0` leaves it as it is")]
    Untunable(String),
    /// The backbone learns in steps that are too long.
    #[error(
        "step {step} of tuning has come to what is no number: lower tuning.rate ({rate:e}) and tuning.head_rate \
         ({head_rate:e})"
    )]
    Diverged {
        /// The step.
        step: u32,
        /// The backbone's rate.
        rate: f32,
        /// The head's.
        head_rate: f32,
    },
    /// A photo that could be used before can't be any more.
    #[error("a photo that is learned from can't be used any more: {path}: {why}")]
    View {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// Whether it is away or has changed; otherwise nothing can be made of it, now or later.
        is_gone: bool,
    },
    /// Photos that could be read when the training began can't be any more.
    #[error(
        "{gone} of {of} photos are gone or have changed since the training began, the first: {path}: {why}; once they are \
         back, the same command goes on from here"
    )]
    Gone {
        /// How many.
        gone: usize,
        /// Of how many.
        of: usize,
        /// The file of the first.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The backbone can't be put into 8-bit integers.
    #[error("the backbone can't be quantized: {0}; `precision = \"fp32\"` in the recipe leaves it in floats")]
    Quantize(String),
    /// ONNX Runtime can't run the backbone, or the model that was made.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model that was made isn't one: a fault in autorma.
    #[error("what was trained can't be used: {0}")]
    Made(String),
    /// The place of an ensemble is another's.
    #[error("{0} isn't empty: name a folder with --output that isn't there yet")]
    Taken(PathBuf),
    /// The models that should be asked together can't be.
    #[error("this can't be an ensemble: {0}")]
    Ensemble(String),
    /// There is too little to learn from.
    #[error("{0}")]
    TooLittle(String),
    /// It was stopped before there was enough for a model.
    #[error("stopped before every photo was looked at once: the same command goes on from here")]
    Stopped,
}

impl Error {
    /// That this step has come to what is no number.
    pub(crate) fn diverged(step: u32, &Tuning { rate, head_rate, .. }: &Tuning) -> Self {
        Self::Diverged { step, rate, head_rate }
    }
}

/// Says of which file the system speaks.
pub(crate) fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|cause| Error::File { path: path.to_owned(), cause })
}
