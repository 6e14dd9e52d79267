use std::collections::BTreeMap;

pub(crate) use autorma_stream::retry::patiently;
use autorma_stream::{Log, NextOffset, StoredRecord, TopicPartition};

use crate::Error;

const PAGE: usize = 1000;

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
