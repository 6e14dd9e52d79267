use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use autorma_schemas::{Event, RunRecord, topics};
use autorma_service::Shutdown;
use autorma_stream::retry::patiently;
use autorma_stream::{Log, NextOffset, Pages, Result, TopicPartition};
use parking_lot::Mutex;

use super::Trouble;
use super::readers::Readers;

/// How long a folder may take to say where it leads.
const PATIENCE: Duration = Duration::from_secs(10);
/// When one that hasn't is asked again: a look that never ends says nothing of a folder that was mounted anew.
const AGAIN: Duration = Duration::from_secs(300);

/// The folders that files may be read from: those that are configured, or else those that ingest has published from,
/// which is what its runs in the log say. Those who may write such a record may also write the photos' events.
#[derive(Debug)]
pub(super) struct Roots<'a> {
    configured: Vec<PathBuf>,
    log: &'a dyn Log,
    /// What `runs` says, as far as it was read, and where links in place of these folders were found to lead.
    published: Mutex<BTreeSet<PathBuf>>,
    /// One at a time reads on, which may take long; the others need only what was read.
    runs: Mutex<Pages>,
    /// Folders that haven't said in time where they lead.
    silent: Mutex<BTreeMap<PathBuf, Silent>>,
    /// Where each led when it last said so.
    led: Mutex<BTreeMap<PathBuf, PathBuf>>,
    resolve: fn(&Path) -> io::Result<PathBuf>,
    patience: Duration,
    again: Duration,
}

/// When a folder was asked where it leads, and what hears of its answer.
type Silent = (Instant, Receiver<io::Result<PathBuf>>);

impl<'a> Roots<'a> {
    pub(super) fn new(configured: &[PathBuf], log: &'a dyn Log) -> Self {
        Self {
            configured: configured.to_vec(),
            log,
            published: Mutex::default(),
            runs: Mutex::new(runs()),
            silent: Mutex::default(),
            led: Mutex::default(),
            resolve: Path::canonicalize,
            patience: PATIENCE,
            again: AGAIN,
        }
    }

    /// Whether a canonical path is below one of them. An error says nothing about the path: it is the log's, or that of a
    /// folder that can't be looked at for now, or that it is over.
    pub(super) fn are_above(
        &self,
        path: &Path,
        (readers, over): (&Readers, &Shutdown),
    ) -> Result<bool, Trouble> {
        if !self.configured.is_empty() {
            return Ok(is_below_by_name(path, &self.configured)
                || self.linked_above(path, &self.configured, (readers, over))?.is_some());
        }
        let is_known = || self.published.lock().iter().any(|folder| path.starts_with(folder));
        if is_known() {
            return Ok(true);
        }
        let mut runs = self.runs.lock();
        // Whoever has read on meanwhile may have found it.
        if !is_known() {
            // The run that the photo belongs to may be news.
            read_on(&mut runs, self.log, |folder| _ = self.published.lock().insert(folder))?;
        }
        drop(runs);
        // A folder may have been moved, with a link in its place. Last of all, for one of them may hang.
        if is_known() {
            return Ok(true);
        }
        let folders = Vec::from_iter(self.published.lock().clone());
        let found = self.linked_above(path, &folders, (readers, over))?;
        let is_found = found.is_some();
        self.published.lock().extend(found);
        Ok(is_found)
    }

    /// What one of the folders leads to by now, if the path is below that.
    fn linked_above(
        &self,
        path: &Path,
        folders: &[PathBuf],
        (readers, over): (&Readers, &Shutdown),
    ) -> Result<Option<PathBuf>, Trouble> {
        let (begun, mut unknown) = (Instant::now(), None);
        for folder in folders {
            // Where many hang, they aren't waited for one after the other.
            let patience = self.patience.saturating_sub(begun.elapsed()).max(self.patience / 10);
            match self.leads_to(folder, patience, (readers, over)) {
                Ok(Some(found)) if path.starts_with(&found) => return Ok(Some(found)),
                // The path may be below the next one.
                Err(passing @ Trouble::Passing(_)) => unknown = Some(passing),
                other => drop(other?),
            }
        }
        unknown.map_or(Ok(None), Err)
    }

    /// None if the folder isn't there. One that hangs, as on a network that is away, isn't asked again before it has answered,
    /// or for a while, and leads where it led before; if that isn't known, nowhere: a photo below it would hang, too.
    fn leads_to(
        &self,
        folder: &Path,
        patience: Duration,
        (readers, over): (&Readers, &Shutdown),
    ) -> Result<Option<PathBuf>, Trouble> {
        let begun = Instant::now();
        let led = || Ok(self.led.lock().get(folder).cloned());
        if let Some((asked, answer)) = self.silent.lock().get_mut(folder) {
            let (late, is_due) = (answer.try_recv(), begun.duration_since(*asked) >= self.again);
            match late {
                // It may be an old one, so the folder is asked again. But some are never in time.
                Ok(late) => drop(self.said(folder, late)),
                // Who asks after that hasn't been answered yet.
                Err(_) if !is_due => return led(),
                Err(_) => {}
            }
            // The others needn't ask as well: each who does may cost a thread.
            *asked = begun;
        }
        let (resolve, asked) = (self.resolve, folder.to_owned());
        match readers.within(patience, over, move || resolve(&asked)) {
            Ok(found) => {
                self.silent.lock().remove(folder);
                self.said(folder, found)
            }
            Err(_) if over.is_requested() => Err(Trouble::Over),
            Err(answer) => {
                tracing::warn!(
                    folder = %folder.display(), waited = ?begun.elapsed(),
                    "a folder of photos doesn't answer: it isn't waited for any more"
                );
                self.silent.lock().insert(folder.to_owned(), (begun, answer));
                led()
            }
        }
    }

    /// Where a folder leads, as it has said; None if it isn't there.
    fn said(&self, folder: &Path, found: io::Result<PathBuf>) -> Result<Option<PathBuf>, Trouble> {
        match found.map_err(Trouble::from) {
            Ok(found) => {
                self.led.lock().insert(folder.to_owned(), found.clone());
                Ok(Some(found))
            }
            Err(Trouble::Lasting(_)) => {
                self.led.lock().remove(folder);
                Ok(None)
            }
            Err(passing) => Err(passing),
        }
    }
}

/// Whether a canonical path is below one of the folders, as these are now: one may be made later.
pub fn is_below(path: &Path, folders: &[PathBuf]) -> bool {
    let leads_above = |folder: &PathBuf| folder.canonicalize().is_ok_and(|folder| path.starts_with(folder));
    is_below_by_name(path, folders) || folders.iter().any(leads_above)
}

/// The same without a look at the folders, for one may hang. One that is a link isn't found so: no canonical path has its
/// name.
fn is_below_by_name(path: &Path, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| folder.is_absolute() && path.starts_with(folder))
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

#[cfg(test)]
mod tests;
