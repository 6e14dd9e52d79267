//! Data sets: [`prepare`] makes a split one from a folder of class folders or from Kaggle's Fashion Product Images,
//! [`check`] says what is wrong with one.
//!
//! Photos are found by the names of their folders, read and decoded as the classifier does, and held against each other by
//! SHA-256 and [`PerceptualHash`]. What looks alike, and what belongs to one contributor, is one group (single linkage), and a
//! group is on one side of the split.

mod alike;
mod checking;
mod columns;
mod error;
mod found;
mod grouping;
mod groups;
mod hash;
mod info;
mod manifest;
mod place;
mod preparing;
mod reading;
mod sampling;
mod sheet;
mod split;

pub use alike::NEAR;
use alike::{Alike, pairs};
pub use checking::{Across, Check, IMBALANCE, Imbalance, Near, check};
pub use error::{DatasetError, Misnamed};
pub use found::Kind;
pub(crate) use found::is_of_training;
use found::{Candidate, Found};
pub use grouping::GroupBy;
pub(crate) use groups::Groups;
pub use hash::{PerceptualHash, SIDE};
pub(crate) use info::MANIFEST;
pub use info::{DatasetInfo, Largest, MeanSize, SHEET};
use info::{FORMAT, INFO};
pub use preparing::{Cost, Options, prepare};
pub use reading::Broken;
use split::assign;
pub(crate) use split::misnamed;
pub use split::{Ratio, Split};
