use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers, Message, Timestamp};

use super::Cluster;
use crate::{Offset, StoredRecord, TopicPartition};

/// A message as ours.
pub(super) fn record(cluster: &Cluster, message: &BorrowedMessage<'_>) -> StoredRecord {
    let topic = message.topic();
    let topic = topic.strip_prefix(cluster.config.prefix.as_str()).unwrap_or(topic);
    StoredRecord {
        at: TopicPartition::new(topic, message.partition()),
        offset: Offset(message.offset()),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().unwrap_or_default().to_vec(),
        headers: message.headers().map(headers).unwrap_or_default(),
        appended_at: micros(message.timestamp()),
    }
}

/// As microseconds since 1970. Whoever wrote the record may have said anything.
fn micros(timestamp: Timestamp) -> i64 {
    timestamp.to_millis().unwrap_or(0).saturating_mul(1000)
}

/// All headers but those whose names aren't text: rdkafka panics at these, and a record that can't be read would be read
/// again for ever.
fn headers(headers: &BorrowedHeaders) -> Vec<(String, Vec<u8>)> {
    let header = |at| {
        let Header { key, value } = headers.get(at);
        (key.to_owned(), value.unwrap_or_default().to_vec())
    };
    let readable = |at| catch_unwind(AssertUnwindSafe(|| header(at))).ok();
    (0..headers.count()).filter_map(readable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_no_clock_shows_is_taken() {
        assert_eq!(micros(Timestamp::CreateTime(1_795_000_000_012)), 1_795_000_000_012_000);
        assert_eq!(micros(Timestamp::CreateTime(i64::MAX)), i64::MAX);
        assert_eq!(micros(Timestamp::CreateTime(i64::MIN)), i64::MIN);
        assert_eq!(micros(Timestamp::NotAvailable), 0);
    }
}
