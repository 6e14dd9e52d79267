//! Reading outside any group, with bounded memory.

use crate::retry::patiently;
use crate::{Bounds, Log, NextOffset, Result, StoredRecord, TopicPartition};

/// Records that one read may bring. [`Log::read`] bounds their bytes.
const PAGE: usize = 1000;

/// A partition, page by page.
#[derive(Debug)]
pub struct Pages {
    at: TopicPartition,
    next: NextOffset,
}

impl Pages {
    /// The partition from this offset on.
    pub fn new(at: TopicPartition, from: NextOffset) -> Self {
        Self { at, next: from }
    }

    /// The partition's number.
    pub fn number(&self) -> i32 {
        self.at.partition
    }

    /// Where the next page begins.
    pub fn position(&self) -> NextOffset {
        self.next
    }

    /// Goes on at `next`, if that is further.
    pub fn skip_to(&mut self, next: NextOffset) {
        self.next = self.next.max(next);
    }

    /// The next records; none at the end, as it is now. Waits for a busy log.
    pub fn read(&mut self, log: &dyn Log) -> Result<Vec<StoredRecord>> {
        let page = patiently(|| log.read(&self.at, self.next, PAGE))?;
        if let Some(last) = page.last() {
            self.next = last.offset.next();
        }
        Ok(page)
    }

    /// The records before `end`, one by one, and nothing after an error. Where others write all the time, reading up to
    /// whatever is the end by then would never end.
    pub fn up_to(mut self, log: &dyn Log, end: NextOffset) -> impl Iterator<Item = Result<StoredRecord>> {
        let mut page = Vec::new().into_iter();
        std::iter::from_fn(move || {
            if page.len() == 0 && self.next < end {
                match self.read(log) {
                    Ok(records) => page = records.into_iter(),
                    Err(error) => {
                        self.next = end;
                        return Some(Err(error));
                    }
                }
                // Offsets have gaps, perhaps up to the end.
                if page.len() == 0 {
                    self.next = end;
                }
            }
            page.next().filter(|record| record.offset.next() <= end).map(Ok)
        })
    }
}

/// Every record that a topic has now, partition by partition. Waits for a busy log.
pub fn scan(log: &dyn Log, topic: &str) -> Result<impl Iterator<Item = Result<StoredRecord>>> {
    let partitions = patiently(|| log.bounds(topic))?.into_iter();
    Ok(partitions.flat_map(move |Bounds { at, start, end }| Pages::new(at, start).up_to(log, end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::Embedded;
    use crate::{Append, Retention, Topic, Transaction};

    /// A log with the numbers from 0 to 2999 in a topic of so many partitions.
    fn numbers(partitions: u32) -> Embedded {
        let log = Embedded::in_memory().unwrap();
        let retention = Retention::Age(std::time::Duration::from_secs(60));
        log.create(&[Topic { name: "numbers".into(), partitions, retention }]).unwrap();
        let append = |number: u16| Append {
            topic: "numbers".into(),
            value: number.to_be_bytes().to_vec(),
            ..Append::default()
        };
        let transaction = Transaction { appends: (0..3000).map(append).collect(), advance: None };
        log.producer("test").unwrap().commit(&transaction).unwrap();
        log
    }

    fn number(record: Result<StoredRecord>) -> i64 {
        i64::from(u16::from_be_bytes(record.unwrap().value.try_into().unwrap()))
    }

    #[test]
    fn every_record_of_a_topic_is_scanned_once() {
        let log = numbers(3);
        let mut found: Vec<_> = scan(&log, "numbers").unwrap().map(number).collect();
        found.sort_unstable();
        assert!(found.into_iter().eq(0..3000));
    }

    #[test]
    fn what_lies_between_two_offsets_is_read_once_and_nothing_beyond() {
        let log = numbers(1);
        let at = || TopicPartition::new("numbers", 0);
        let read = |from, end| Pages::new(at(), NextOffset(from)).up_to(&log, NextOffset(end)).map(number);
        for (from, end) in [(0, 3000), (0, 1), (5, 17), (15, 2999), (7, 7), (9, 8), (2990, 3000)] {
            assert!(read(from, end).eq(from..end), "{from} to {end}");
        }
        assert!(read(2990, 4000).eq(2990..3000), "there is nothing beyond the end");

        let mut nowhere =
            Pages::new(TopicPartition::new("nowhere", 0), NextOffset::START).up_to(&log, NextOffset(9));
        assert!(nowhere.next().unwrap().is_err());
        assert!(nowhere.next().is_none());
    }
}
