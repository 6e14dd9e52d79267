//! What ingest remembers of each file, about 100 bytes a file. It is read from the log at start.

use std::collections::HashMap;

use autorma_schemas::{Event, LedgerRecord, topics};
use autorma_stream::{Log, StoredRecord, scan};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::settle::Version;

/// A URL, short: the first half of its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 16]);

impl Key {
    pub(crate) fn of(uri: &str) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&Sha256::digest(uri)[..16]);
        Self(key)
    }
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) version: Version,
    pub(crate) sha256: [u8; 32],
    run: u32,
}

/// Files that were published.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    files: HashMap<Key, Known>,
    runs: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Ledger {
    /// Everything that the log knows.
    pub(crate) fn load(log: &dyn Log) -> Result<Self, Error> {
        let mut ledger = Ledger::default();
        for record in scan(log, topics::LEDGER)? {
            let record = record?;
            if record.value.is_empty() {
                // Whoever takes a record out of a compacted topic writes this over it.
                if let Some(key) = &record.key {
                    ledger.forget(key);
                }
                continue;
            }
            let decoded = LedgerRecord::decode(&record.value).map_err(|cause| unreadable(&record, cause))?;
            let unreadable =
                |()| unreadable(&record, autorma_schemas::DecodeError::Malformed("its sha256".into()));
            ledger.put(&decoded).map_err(unreadable)?;
        }
        Ok(ledger)
    }

    pub(crate) fn get(&self, key: Key) -> Option<Known> {
        self.files.get(&key).copied()
    }

    /// The run in which the file was published.
    pub(crate) fn run(&self, known: Known) -> &str {
        &self.runs[known.run as usize]
    }

    pub(crate) fn insert(&mut self, key: Key, version: Version, sha256: [u8; 32], run: &str) {
        let run = self.number(run);
        self.files.insert(key, Known { version, sha256, run });
    }

    /// The file of this record's key is new again.
    fn forget(&mut self, key: &[u8]) {
        self.files.remove(&Key::of(&String::from_utf8_lossy(key)));
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    fn put(&mut self, record: &LedgerRecord) -> Result<(), ()> {
        let version = Version { size: record.size as u64, modified_ns: record.modified_ns };
        let sha256 = unhex(&record.sha256).ok_or(())?;
        self.insert(Key::of(&record.uri), version, sha256, &record.run_id);
        Ok(())
    }

    fn number(&mut self, run: &str) -> u32 {
        if let Some(number) = self.numbers.get(run) {
            return *number;
        }
        let number = self.runs.len() as u32;
        self.runs.push(run.to_owned());
        self.numbers.insert(run.to_owned(), number);
        number
    }
}

fn unreadable(record: &StoredRecord, cause: autorma_schemas::DecodeError) -> Error {
    let (topic, partition, offset) = (record.at.topic.clone(), record.at.partition, record.offset.0);
    Error::Memory { topic, partition, offset, cause }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let digit = |digit: u8| (digit as char).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_schemas::hex;
    use autorma_stream::embedded::Embedded;
    use autorma_stream::{Append, Retention, Topic, Transaction};
    use proptest::prelude::*;

    fn record(file: u8, content: u8, run: u8) -> LedgerRecord {
        LedgerRecord {
            uri: format!("file:///in/{file}.jpg"),
            size: i64::from(content),
            modified_ns: i64::from(content) * 1_000_000_007,
            sha256: hex(&[content; 32]),
            event_id: format!("{file}-{content}"),
            run_id: format!("run-{run}"),
        }
    }

    fn log_with(values: Vec<(String, Vec<u8>)>, partitions: u32) -> Embedded {
        let log = Embedded::in_memory().unwrap();
        log.create(&[Topic { name: topics::LEDGER.into(), partitions, retention: Retention::Compact }])
            .unwrap();
        let append = |(key, value): (String, Vec<u8>)| Append {
            topic: topics::LEDGER.into(),
            key: Some(key.into_bytes()),
            value,
            ..Append::default()
        };
        let appends = values.into_iter().map(append).collect();
        log.producer("ingest").unwrap().commit(&Transaction { appends, advance: None }).unwrap();
        log
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_newest_record_of_a_file_holds(
            records in proptest::collection::vec((0_u8..6, any::<u8>(), 0_u8..3), 0..40), partitions in 1_u32..4
        ) {
            let records: Vec<_> = records.into_iter().map(|(file, content, run)| record(file, content, run)).collect();
            let log = log_with(records.iter().map(|it| (it.uri.clone(), it.encode())).collect(), partitions);
            let ledger = Ledger::load(&log).unwrap();
            let newest: HashMap<_, _> = records.iter().map(|record| (&record.uri, record)).collect();
            prop_assert_eq!(ledger.len(), newest.len());
            for (uri, record) in newest {
                let known = ledger.get(Key::of(uri)).unwrap();
                let version = Version { size: record.size as u64, modified_ns: record.modified_ns };
                prop_assert_eq!(known.version, version);
                prop_assert_eq!(hex(&known.sha256), &*record.sha256);
                prop_assert_eq!(ledger.run(known), &*record.run_id);
            }
        }
    }

    #[test]
    fn many_pages_are_read() {
        let values = (0..2500_u32).map(|number| {
            let uri = format!("file:///in/{number}.jpg");
            (uri.clone(), LedgerRecord { uri, ..record(0, 1, 1) }.encode())
        });
        assert_eq!(Ledger::load(&log_with(values.collect(), 1)).unwrap().len(), 2500);
    }

    #[test]
    fn a_memory_that_cannot_be_read_is_not_taken_for_none() {
        let error = Ledger::load(&log_with(vec![("a".into(), b"?".to_vec())], 1)).unwrap_err();
        assert!(error.to_string().contains("offset 0"), "{error}");
        let bad = LedgerRecord { sha256: "xyz".into(), ..record(0, 0, 0) };
        assert!(Ledger::load(&log_with(vec![("a".into(), bad.encode())], 1)).is_err());
    }

    #[test]
    fn a_file_whose_record_was_taken_out_is_forgotten() {
        let [kept, removed, again] = [0, 1, 2].map(|file| record(file, 1, 1));
        let written = |it: &LedgerRecord| (it.uri.clone(), it.encode());
        let values = vec![
            written(&kept),
            written(&removed),
            written(&again),
            (removed.uri.clone(), Vec::new()),
            (again.uri.clone(), Vec::new()),
            ("file:///in/never-seen.jpg".into(), Vec::new()),
            written(&again),
        ];
        let ledger = Ledger::load(&log_with(values, 1)).unwrap();
        let is_known = |it: &LedgerRecord| ledger.get(Key::of(&it.uri)).is_some();
        assert_eq!([&kept, &removed, &again].map(is_known), [true, false, true]);
    }

    #[test]
    fn a_file_costs_about_a_hundred_bytes() {
        assert!(size_of::<(Key, Known)>() <= 80);
    }
}
