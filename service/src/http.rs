//! Metrics and health over HTTP: `/metrics` for Prometheus, `/health/live` and `/health/ready` for whoever restarts
//! or routes. There is no authentication, so the default address is of this machine only; another one is for a
//! network in which everybody may read these numbers.

mod config;
mod health;
mod server;

pub use config::Config;
pub use health::{Health, StageHealth};
pub use server::Server;
