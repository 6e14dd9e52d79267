use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autorma_schemas::{Event, RunRecord, topics};
use autorma_stream::retry::patiently;
use autorma_stream::{Log, NextOffset, Pages, Result, TopicPartition};

/// The folders that files may be read from: those that are configured, or else those that ingest has published from,
/// which is what its runs in the log say. Those who may write such a record may also write the photos' events.
#[derive(Debug)]
pub(super) struct Roots<'a> {
    configured: Arc<[PathBuf]>,
    log: &'a dyn Log,
    /// What `runs` says, as far as it was read.
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
    /// log's, and says nothing about the path.
    pub(super) fn are_published_above(&self, path: &Path) -> Result<bool> {
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
        Ok(is_known())
    }
}

/// Whether a canonical path is below one of the folders, as these are now: one may be made later.
pub fn is_below(path: &Path, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| folder.canonicalize().is_ok_and(|folder| path.starts_with(folder)))
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
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::*;
    use autorma_schemas::{Micros, RunKind, RunState};
    use autorma_stream::embedded::Embedded;
    use autorma_stream::{
        Append, Bounds, Consumer, Group, Housekeeping, Producer, Rebalance, Retention, StoredRecord,
        Subscription, Topic, Transaction,
    };

    fn log() -> Embedded {
        let log = Embedded::in_memory().unwrap();
        let runs = Topic { name: topics::RUNS.into(), partitions: 1, retention: Retention::Compact };
        log.create(&[runs]).unwrap();
        log
    }

    /// Ingest has published from there.
    fn publish(log: &Embedded, input: &str) {
        let run = RunRecord {
            run_id: "20261124_220330".into(),
            kind: RunKind::Stream,
            state: RunState::Open,
            input: input.into(),
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
    }

    #[test]
    fn folders_that_ingest_published_from_are_allowed_where_none_is_configured() {
        let log = log();
        let roots = Roots::new(&[], &log);
        let allows = |path: &str| roots.are_published_above(Path::new(path)).unwrap();
        assert!(!allows("/photos/a.jpg"));
        publish(&log, "/photos");
        assert!(allows("/photos/a.jpg"));
        assert_eq!(published_folders(&log).unwrap(), [PathBuf::from("/photos")]);
        assert!(!allows("/photos-of-others/a.jpg"));
        let configured = Roots::new(&["/".into()], &log);
        assert!(!configured.are_published_above(Path::new("/photos/a.jpg")).unwrap());
        assert!(!is_below(Path::new("nowhere"), &configured.configured()));
    }

    /// A log that says that it settles, and waits until it may have.
    #[derive(Debug)]
    struct Slow {
        log: Embedded,
        says: Sender<()>,
        may: Mutex<Receiver<()>>,
    }

    impl Log for Slow {
        fn identity(&self) -> Result<String> {
            self.log.identity()
        }

        fn create(&self, topics: &[Topic]) -> Result<()> {
            self.log.create(topics)
        }

        fn topics(&self) -> Result<Vec<Topic>> {
            self.log.topics()
        }

        fn subscribe(
            &self,
            subscription: Subscription,
            rebalance: Box<dyn Rebalance>,
        ) -> Result<Box<dyn Consumer>> {
            self.log.subscribe(subscription, rebalance)
        }

        fn producer(&self, slot: &str) -> Result<Box<dyn Producer>> {
            self.log.producer(slot)
        }

        fn read(&self, at: &TopicPartition, from: NextOffset, max: usize) -> Result<Vec<StoredRecord>> {
            self.log.read(at, from, max)
        }

        fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
            self.log.bounds(topic)
        }

        fn settle(&self, _: &[&str]) -> Result<()> {
            self.says.send(()).unwrap();
            let may = lock(&self.may).recv_timeout(Duration::from_secs(60));
            assert!(may.is_ok(), "somebody has waited for it who needn't");
            Ok(())
        }

        fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, NextOffset>> {
            self.log.committed(group)
        }

        fn groups(&self) -> Result<Vec<Group>> {
            self.log.groups()
        }

        fn housekeep(&self) -> Result<Housekeeping> {
            self.log.housekeep()
        }
    }

    #[test]
    fn a_path_that_the_log_is_asked_for_holds_up_no_other() {
        let ((says, said), (let_it, may)) = (channel(), channel());
        let slow = Slow { log: log(), says, may: Mutex::new(may) };
        let roots = Roots::new(&[], &slow);
        let allows = |path: &str| roots.are_published_above(Path::new(path)).unwrap();
        publish(&slow.log, "/photos");
        let_it.send(()).unwrap();
        assert!(allows("/photos/a.jpg"));
        said.recv().unwrap();
        std::thread::scope(|scope| {
            let elsewhere = [1, 2].map(|_| scope.spawn(|| allows("/elsewhere/a.jpg")));
            said.recv().unwrap();
            assert!(allows("/photos/b.jpg"));
            publish(&slow.log, "/elsewhere");
            let_it.send(()).unwrap();
            assert!(elsewhere.into_iter().all(|it| it.join().unwrap()));
        });
        assert!(said.try_recv().is_err(), "what one has read the other needn't");
    }
}
