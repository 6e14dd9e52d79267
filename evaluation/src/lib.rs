//! How good a model is. [`DataSet`] finds photos whose labels are known, [`judge`] asks the model about each, as the
//! classifier would, and [`Figures`] says what came of it, each share with its interval; [`Comparison`] tells two models
//! apart on the same photos, and [`speed()`] how much faster one of them is.

mod comparison;
mod dataset;
mod figures;
mod judging;
pub mod page;
pub mod parallel;
mod speed;
mod statistics;
mod strangers;
mod unknown;
mod unread;

pub use comparison::Comparison;
pub use dataset::{DataSet, DataSetError, Label, Labelled, classes_in, entries, is_stranger, plain, visible};
pub use figures::{Bin, ClassFigures, Decisions, Figures, NotJudged};
pub use judging::{Judged, Judgement, judge};
pub use speed::speed;
pub use statistics::{Estimate, Share};
pub use strangers::{FolderFigures, Strangers};
pub use unknown::UnknownErrors;
pub use unread::{UNREAD, is_unread};
