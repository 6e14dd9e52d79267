use crate::{NextOffset, TopicPartition};

/// From which offset on a broker has nothing any more, of which topic (by its full name) and partition, if
/// that is what a line of librdkafka's log says (`rdkafka_offset.c`). It says so nowhere else, and goes on
/// with what is left.
pub(super) fn reset(line: &str) -> Option<(&str, i32, NextOffset)> {
    let (place, rest) = line.split_once("]: offset reset (at offset ")?;
    let (place, partition) = place.rsplit_once(" [")?;
    let topic = place.rsplit(' ').next()?;
    let offset = rest.split(' ').next()?;
    Some((topic, partition.parse().ok()?, NextOffset(offset.parse().ok()?)))
}

/// Says that what stood from one offset up to the other is gone unread. Markers of transactions count as
/// records.
pub(super) fn tell(at: &TopicPartition, from: NextOffset, next: NextOffset) {
    let records = next.0 - from.0;
    if records > 0 {
        tracing::error!(
            topic = at.topic,
            partition = at.partition,
            records,
            "records were dropped before they were read: raise the topic's retention.ms (log.retention)"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_read_from_librdkafka_s_log() {
        let line = "[thrd:main]: a.images [3]: offset reset (at offset 10 (leader epoch 0), broker 1) \
                    to offset BEGINNING (leader epoch -1): fetch failed due to requested offset not \
                    available on the broker: Broker: Offset out of range";
        assert_eq!(reset(line), Some(("a.images", 3, NextOffset(10))));
        let query = "[thrd:main]: a.images [3]: offset reset (at offset END (leader epoch -1), broker 1) to";
        assert_eq!(reset(query), None);
        assert_eq!(reset("[thrd:main]: something else [3]: offset"), None);
    }
}
