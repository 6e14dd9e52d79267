use std::collections::BTreeMap;
use std::time::Duration;

use autorma_stream::retry::{Backoff, retry};
use autorma_stream::{Error as LogError, Log, NextOffset, StoredRecord, TopicPartition};

use crate::Error;

const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(5), longest: Duration::from_secs(2), attempts: 30 };
const PAGE: usize = 1000;

/// Does it again while the log is busy. A shutdown waits for that: what is in hand is better committed.
pub(crate) fn patiently<T>(attempt: impl FnMut() -> Result<T, LogError>) -> Result<T, LogError> {
    let pause = |pause: Duration| {
        tracing::warn!(?pause, "the log is busy");
        std::thread::sleep(pause);
        true
    };
    retry(BACKOFF, LogError::disposition, pause, attempt)
}

/// A topic that is read from its beginning, and later again from where reading ended.
#[derive(Debug)]
pub(crate) struct Reading {
    topic: &'static str,
    next: BTreeMap<i32, NextOffset>,
}

impl Reading {
    pub(crate) fn new(topic: &'static str) -> Self {
        Self { topic, next: BTreeMap::new() }
    }

    /// Hands over what is new, page by page.
    pub(crate) fn read(
        &mut self,
        log: &dyn Log,
        mut each: impl FnMut(StoredRecord) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for bounds in patiently(|| log.bounds(self.topic))? {
            let at = TopicPartition::new(self.topic, bounds.partition);
            let next = self.next.entry(bounds.partition).or_insert(bounds.start);
            loop {
                let page = patiently(|| log.read(&at, *next, PAGE))?;
                let Some(last) = page.last() else { break };
                *next = last.offset.next();
                page.into_iter().try_for_each(&mut each)?;
            }
        }
        Ok(())
    }
}
