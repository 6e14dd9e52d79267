//! What every process needs around its stages: [`settings`] with where each comes from, [`Shutdown`] and [`signals`],
//! [`logging`], [`metrics`] and health over [`http`], the [`lag`] of the stages, what the clients of [`kafka`] do, what the system knows of the
//! [`process`], [`files`] that others write, [`threads`] that the system doesn't give, and the locks that keep two processes from
//! the same role ([`roles`]).

pub mod files;
pub mod http;
pub mod kafka;
pub mod lag;
pub mod logging;
pub mod metrics;
pub mod process;
pub mod roles;
pub mod settings;
mod shutdown;
pub mod signals;
pub mod threads;

pub use settings::Settings;
pub use shutdown::{Listening, Shutdown};
