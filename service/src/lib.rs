//! What every process needs around its stages: [`settings`] with where each comes from, [`Shutdown`], logging,
//! metrics and health over HTTP, and the locks that keep two processes from the same role.

pub mod settings;
mod shutdown;

pub use settings::Settings;
pub use shutdown::Shutdown;
