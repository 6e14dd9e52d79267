//! What every home of the log must hold, as tests that any home can run: [`conformance_tests!`](crate::conformance_tests)
//! makes one of each property. A property takes the [`Home`], makes fresh logs there, and fails by an error or a panic.

mod groups;
mod housekeeping;
mod rebalances;
mod records;
mod transactions;

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{
    Advance, Append, Consumer, Log, NextOffset, NoRebalance, Offset, PollLimit, Rebalance, Record, Retention,
    Subscription, Topic, TopicPartition, Transaction,
};

pub use groups::*;
pub use housekeeping::*;
pub use rebalances::*;
pub use records::*;
pub use transactions::*;

/// Makes a new, empty log.
pub type Home<'a> = &'a dyn Fn() -> Open;

/// Opens the log once more: another handle, through the file where there is one.
pub type Open = Arc<dyn Fn() -> Arc<dyn Log> + Send + Sync>;

/// How a property turned out.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// One test for each property, run on the home that the expression gives.
#[macro_export]
macro_rules! conformance_tests {
    ($home:expr) => {
        $crate::conformance_tests! { $home;
            creating_is_idempotent
            the_identity_stays_and_differs_between_logs
            records_come_back_as_they_were_appended
            a_key_stays_in_its_partition_and_in_order
            records_without_a_key_go_to_all_partitions
            reading_has_bounds_and_limits
            reading_takes_little_of_what_is_large
            transactions_are_all_or_nothing
            a_later_producer_of_the_slot_fences_the_earlier
            offsets_and_records_survive_reopening
            offsets_never_go_back
            polls_keep_to_their_limits
            a_waiting_poll_wakes_up_for_news
            every_record_is_processed_once_whoever_comes_and_goes
            a_member_works_on_its_share_alone
            a_dead_member_s_partitions_go_to_the_others
            work_of_an_ended_assignment_is_refused_when_the_partition_is_back
            a_topic_that_is_given_up_goes_to_the_others
            work_is_committed_while_partitions_are_handed_over
            what_went_while_there_was_no_room_goes_on_when_it_is_back
            the_listener_chooses_where_to_start
            unknown_topics_can_t_be_subscribed_to
        }
    };
    ($home:expr; $($property:ident)*) => {
        $(
            #[test]
            fn $property() -> $crate::conformance::Outcome {
                $crate::conformance::$property(&$home)
            }
        )*
    };
}

/// One test for each property of members that needn't be waited for until they count as dead: what they have is another's
/// within that time, which is much shorter, and nothing takes so long on the slowest machine.
#[macro_export]
macro_rules! promptness_tests {
    ($home:expr, $soon:expr) => {
        $crate::promptness_tests! { $home, $soon;
            a_leaving_member_hands_over_at_once
            the_same_slot_takes_over_at_once_and_fences_the_zombie
        }
    };
    ($home:expr, $soon:expr; $($property:ident)*) => {
        $(
            #[test]
            fn $property() -> $crate::conformance::Outcome {
                $crate::conformance::$property(&$home, $soon)
            }
        )*
    };
}

/// One test for each property of a home that drops records itself; on Kafka that is the brokers' work.
#[macro_export]
macro_rules! housekeeping_tests {
    ($home:expr) => {
        $crate::conformance_tests! { $home;
            what_a_group_has_not_read_is_kept
            young_records_are_kept
            compaction_keeps_the_newest_of_each_key
        }
    };
}

/// Nothing here takes so long, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

const ANY: PollLimit = PollLimit { records: 1000, bytes: usize::MAX };

/// A fresh log with the topics `in`, of so many partitions, and `out`.
fn fresh(home: Home<'_>, partitions: u32) -> Result<(Open, Arc<dyn Log>), crate::Error> {
    let open = home();
    let log = open();
    log.create(&[topic("in", partitions), topic("out", 1)])?;
    Ok((open, log))
}

fn topic(name: &str, partitions: u32) -> Topic {
    Topic { name: name.into(), partitions, retention: Retention::Age(Duration::from_secs(3600)) }
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("in", partition)
}

fn append(topic: &str, value: impl ToString) -> Append {
    Append { topic: topic.into(), value: value.to_string().into_bytes(), ..Append::default() }
}

/// Appends the numbers to `in`, in turn to its partitions.
fn publish(log: &dyn Log, partitions: i32, numbers: std::ops::Range<i32>) -> crate::Result<()> {
    let appends = numbers
        .map(|number| Append { partition: Some(number % partitions), ..append("in", number) })
        .collect();
    log.producer("publisher")?.commit(&Transaction { appends, advance: None })
}

fn join(log: &dyn Log, slot: &str) -> crate::Result<Box<dyn Consumer>> {
    join_with(log, slot, Box::new(NoRebalance))
}

fn join_with(log: &dyn Log, slot: &str, listener: Box<dyn Rebalance>) -> crate::Result<Box<dyn Consumer>> {
    let subscription = Subscription { group: "g".into(), topics: vec!["in".into()], slot: slot.into() };
    log.subscribe(subscription, listener)
}

/// Polls until there are so many records.
fn take(consumer: &mut dyn Consumer, count: usize) -> crate::Result<Vec<Record>> {
    let begun = Instant::now();
    let mut records = Vec::new();
    while records.len() < count {
        assert!(begun.elapsed() < PATIENCE, "only {} of {count} records came", records.len());
        records.extend(consumer.poll(ANY, Duration::from_secs(1))?);
    }
    Ok(records)
}

/// Lets the members rebalance until it is as it should be.
fn settle(
    members: &mut [&mut dyn Consumer],
    mut settled: impl FnMut() -> crate::Result<bool>,
) -> crate::Result<()> {
    let begun = Instant::now();
    while !settled()? {
        assert!(begun.elapsed() < PATIENCE, "the members have not settled");
        for member in &mut *members {
            member.poll(PollLimit::NOTHING, Duration::from_millis(5))?;
        }
    }
    Ok(())
}

/// How many partitions each living member of the group holds, by slot.
fn shares(log: &dyn Log) -> crate::Result<Vec<usize>> {
    let groups = log.groups()?;
    let members = groups.iter().flat_map(|group| &group.members);
    Ok(members.map(|member| member.partitions.len()).collect())
}

/// A copy of each record to `out`, and the offsets behind them.
fn work(consumer: &dyn Consumer, records: &[Record]) -> Transaction {
    let appends =
        records.iter().map(|record| Append { value: record.stored.value.clone(), ..append("out", "") });
    let advance = Advance::behind(consumer.membership(), records);
    Transaction { appends: appends.collect(), advance: Some(advance) }
}

/// The numbers in `out`, as they came.
fn outputs(log: &dyn Log) -> crate::Result<Vec<i32>> {
    let records = log.read(&TopicPartition::new("out", 0), NextOffset::START, usize::MAX)?;
    Ok(records.iter().map(|record| number(&record.value)).collect())
}

fn number(value: &[u8]) -> i32 {
    String::from_utf8_lossy(value).parse().unwrap_or(-1)
}

fn numbers(records: &[Record]) -> Vec<i32> {
    records.iter().map(|record| number(&record.stored.value)).collect()
}

fn offsets(records: &[crate::StoredRecord]) -> Vec<Offset> {
    records.iter().map(|record| record.offset).collect()
}
