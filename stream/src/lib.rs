//! The log between the stages: ordered, durable topics whose unit of work is a transaction, *append these records
//! and advance these input offsets, all or nothing*.
//!
//! [`Log`] is the interface; [`embedded`] is its home on one machine, or in memory for tests and replays, [`kafka`] the one on a
//! cluster. A stage doesn't know which it runs on. Beside it stands what every consumer of a log needs, as plain synchronous code:
//! the [`Batcher`], the offsets that may be committed ([`Progress`]), [`retry`] and the dead-letter policy
//! ([`DeadShare`]).

mod assignment;
mod batcher;
mod bell;
mod dead_share;
mod error;
pub mod failpoint;
mod group;
mod log;
mod pages;
mod progress;
mod record;
pub mod retry;

pub mod embedded;
pub mod kafka;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use assignment::{Assignment, Membership};
pub use batcher::{Batcher, Cut};
pub use dead_share::DeadShare;
pub use error::{Disposition, Error, Result, is_out_of_files};
pub use log::{
    Bounds, Consumer, Group, Housekeeping, Log, Member, NoRebalance, PollLimit, Producer, READ_BYTES,
    Rebalance, Retention, Subscription, Topic,
};
pub use pages::{Pages, scan};
pub use progress::Progress;
pub use record::{
    Advance, Append, NextOffset, Offset, Passed, Record, StoredRecord, TopicPartition, Transaction,
};
