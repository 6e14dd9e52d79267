use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use autorma_schemas::{Event, RunKind, RunRecord, topics};
use autorma_stream::retry::patiently;
use autorma_stream::{Log, NextOffset, Pages, Result, TopicPartition};

/// The folders that files may be read from: those that are configured, or else those that ingest has published from,
/// which is what its runs in the log say. Those who may write such a record may also write the photos' events.
#[derive(Debug)]
pub(super) struct Roots<'a> {
    configured: Vec<PathBuf>,
    log: &'a dyn Log,
    published: Mutex<Published>,
}

/// What `runs` says, as far as it was read.
#[derive(Debug)]
struct Published {
    folders: BTreeSet<PathBuf>,
    runs: Pages,
}

impl<'a> Roots<'a> {
    pub(super) fn new(configured: Vec<PathBuf>, log: &'a dyn Log) -> Self {
        Self { configured, log, published: Mutex::new(Published::new()) }
    }

    /// Whether a canonical path is below one of them. An error is the log's, and says nothing about the path.
    pub(super) fn allow(&self, path: &Path) -> Result<bool> {
        if !self.configured.is_empty() {
            return Ok(is_below(path, &self.configured));
        }
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        if !published.cover(path) {
            // The run that the photo belongs to may be news.
            published.read(self.log)?;
        }
        Ok(published.cover(path))
    }
}

/// Whether a canonical path is below one of the folders, as these are now: one may be made later.
pub fn is_below(path: &Path, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| folder.canonicalize().is_ok_and(|folder| path.starts_with(folder)))
}

/// The folders that ingest has published from, as its runs in the log say: files may be read from there where
/// `classifier.roots` names no others.
pub fn published_folders(log: &dyn Log) -> Result<Vec<PathBuf>> {
    let mut published = Published::new();
    published.read(log)?;
    Ok(published.folders.into_iter().collect())
}

impl Published {
    fn new() -> Self {
        let runs = Pages::new(TopicPartition::new(topics::RUNS, 0), NextOffset::START);
        Self { folders: BTreeSet::new(), runs }
    }

    fn cover(&self, path: &Path) -> bool {
        self.folders.iter().any(|root| path.starts_with(root))
    }

    fn read(&mut self, log: &dyn Log) -> Result<()> {
        // On a cluster a transaction is seen in one topic before it is in another: the photo may be there, and its run,
        // which was written with it, not yet.
        patiently(|| log.settle(&[topics::RUNS]))?;
        loop {
            let page = self.runs.read(log)?;
            if page.is_empty() {
                return Ok(());
            }
            let runs = page.iter().filter_map(|record| RunRecord::decode(&record.value).ok());
            let of_ingest = runs.filter(|run| matches!(run.kind, RunKind::Batch | RunKind::Stream));
            self.folders
                .extend(of_ingest.map(|run| PathBuf::from(run.input)).filter(|root| root.is_absolute()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_schemas::{Micros, RunState};
    use autorma_stream::memory::Memory;
    use autorma_stream::{Append, Retention, Topic, Transaction};

    #[test]
    fn folders_that_ingest_published_from_are_allowed_where_none_is_configured() {
        let log = Memory::new().unwrap();
        let runs = Topic { name: topics::RUNS.into(), partitions: 1, retention: Retention::Compact };
        log.create(&[runs]).unwrap();
        let roots = Roots::new(Vec::new(), &log);
        assert!(!roots.allow(Path::new("/photos/a.jpg")).unwrap());
        let run = RunRecord {
            run_id: "20261124_220330".into(),
            kind: RunKind::Stream,
            state: RunState::Open,
            input: "/photos".into(),
            images: 1,
            already_done: 0,
            opened_at: Micros(0),
            closed_at: None,
            predictions: 0,
            dead_letters: 0,
            duplicates: 0,
        };
        let append = Append { topic: topics::RUNS.into(), value: run.encode(), ..Append::default() };
        let mut producer = log.producer("ingest").unwrap();
        producer.commit(&Transaction { appends: vec![append], advance: None }).unwrap();
        assert!(roots.allow(Path::new("/photos/a.jpg")).unwrap());
        assert_eq!(published_folders(&log).unwrap(), [PathBuf::from("/photos")]);
        assert!(!roots.allow(Path::new("/photos-of-others/a.jpg")).unwrap());
        assert!(!Roots::new(vec!["/".into()], &log).allow(Path::new("nowhere")).unwrap());
    }
}
