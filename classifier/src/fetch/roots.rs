use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autorma_schemas::{Event, RunRecord, topics};
use autorma_service::Shutdown;
use autorma_stream::retry::patiently;
use autorma_stream::{Log, NextOffset, Pages, Result, TopicPartition};

use super::Trouble;
use super::readers::Readers;

/// The folders that files may be read from: those that are configured, or else those that ingest has published from,
/// which is what its runs in the log say. Those who may write such a record may also write the photos' events.
#[derive(Debug)]
pub(super) struct Roots<'a> {
    configured: Arc<[PathBuf]>,
    log: &'a dyn Log,
    /// What `runs` says, as far as it was read, and where links in place of these folders were found to lead.
    published: Mutex<BTreeSet<PathBuf>>,
    /// One at a time reads on, which may take long; the others need only what was read.
    runs: Mutex<Pages>,
}

impl<'a> Roots<'a> {
    pub(super) fn new(configured: &[PathBuf], log: &'a dyn Log) -> Self {
        Self { configured: configured.into(), log, published: Mutex::default(), runs: Mutex::new(runs()) }
    }

    /// Those that are configured.
    pub(super) fn configured(&self) -> Arc<[PathBuf]> {
        Arc::clone(&self.configured)
    }

    /// Whether a canonical path is below a folder that ingest has published from, and none is configured. An error is the
    /// log's, or that it is over, and says nothing about the path.
    pub(super) fn are_published_above(
        &self,
        path: &Path,
        (readers, over): (&Readers, &Shutdown),
    ) -> Result<bool, Trouble> {
        if !self.configured.is_empty() {
            return Ok(false);
        }
        let is_known = || lock(&self.published).iter().any(|folder| path.starts_with(folder));
        if is_known() {
            return Ok(true);
        }
        let mut runs = lock(&self.runs);
        // Whoever has read on meanwhile may have found it.
        if !is_known() {
            // The run that the photo belongs to may be news.
            read_on(&mut runs, self.log, |folder| _ = lock(&self.published).insert(folder))?;
        }
        drop(runs);
        if !is_known() {
            // A folder may have been moved, with a link in its place. Last of all, for one of them may hang.
            let (path, folders) = (path.to_owned(), Vec::from_iter(lock(&self.published).clone()));
            let found = readers.unless_over(over, move || above(&path, &folders)).ok_or(Trouble::Over)?;
            lock(&self.published).extend(found);
        }
        Ok(is_known())
    }
}

/// Whether a canonical path is below one of the folders, as these are now: one may be made later.
pub fn is_below(path: &Path, folders: &[PathBuf]) -> bool {
    above(path, folders).is_some()
}

/// The folder that it is below, without links.
fn above(path: &Path, folders: &[PathBuf]) -> Option<PathBuf> {
    let mut folders = folders.iter().filter_map(|folder| folder.canonicalize().ok());
    folders.find(|folder| path.starts_with(folder))
}

/// The folders that ingest has published from, as its runs in the log say: files may be read from there where
/// `classifier.roots` names no others.
pub fn published_folders(log: &dyn Log) -> Result<Vec<PathBuf>> {
    let mut folders = BTreeSet::new();
    read_on(&mut runs(), log, |folder| _ = folders.insert(folder))?;
    Ok(folders.into_iter().collect())
}

/// The runs, from the first one on.
fn runs() -> Pages {
    Pages::new(TopicPartition::new(topics::RUNS, 0), NextOffset::START)
}

/// Tells of the folders of ingest's runs, up to the newest.
fn read_on(runs: &mut Pages, log: &dyn Log, mut tell: impl FnMut(PathBuf)) -> Result<()> {
    // On a cluster a transaction is seen in one topic before it is in another: the photo may be there, and its run, which
    // was written with it, not yet.
    patiently(|| log.settle(&[topics::RUNS]))?;
    loop {
        let page = runs.read(log)?;
        if page.is_empty() {
            return Ok(());
        }
        let runs = page.iter().filter_map(|record| RunRecord::decode(&record.value).ok());
        let of_ingest = runs.filter(|run| run.kind.is_of_ingest());
        let folders = of_ingest.map(|run| PathBuf::from(run.input)).filter(|folder| folder.is_absolute());
        folders.for_each(&mut tell);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
