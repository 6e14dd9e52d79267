use std::collections::BTreeMap;

pub(crate) use autorma_stream::retry::patiently;
use autorma_stream::{Bounds, Log, Pages, StoredRecord};

use crate::Error;

/// A topic that is read from its beginning, and later again from where reading ended.
#[derive(Debug)]
pub(crate) struct Reading {
    topic: &'static str,
    partitions: BTreeMap<i32, Pages>,
}

impl Reading {
    pub(crate) fn new(topic: &'static str) -> Self {
        Self { topic, partitions: BTreeMap::new() }
    }

    /// Hands over what is new, page by page.
    pub(crate) fn read(
        &mut self,
        log: &dyn Log,
        mut each: impl FnMut(StoredRecord) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for Bounds { at, start, .. } in patiently(|| log.bounds(self.topic))? {
            let partition = self.partitions.entry(at.partition).or_insert_with(|| Pages::new(at, start));
            loop {
                let page = partition.read(log)?;
                if page.is_empty() {
                    break;
                }
                page.into_iter().try_for_each(&mut each)?;
            }
        }
        Ok(())
    }
}
