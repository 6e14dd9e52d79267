use anyhow::bail;
use autorma_schemas::{Micros, RunKind, RunRecord, RunState, sha256, topics};
use autorma_sink::is_stamp;

use crate::home::Home;
use crate::publishing::Publisher;
use crate::reading::{newest_runs, patiently};

/// Whoever publishes into a run of its own: two in the same run would miscount it.
const ROLE: &str = "produce-run";

/// The run of a call.
#[derive(Debug)]
pub(super) struct Run {
    /// As the log has it; without images it isn't there yet.
    record: RunRecord,
    /// Whether an interrupted call has begun it.
    is_continued: bool,
}

impl Run {
    /// A new one, or that of an earlier call; and who may publish into it, alone.
    pub(super) fn open(home: &Home, id: &str, input: &str) -> anyhow::Result<(Self, Publisher)> {
        if id.is_empty() {
            bail!("--run is empty: give the run a name, or leave it out");
        }
        if is_ours(id) {
            bail!("--run {id}: autorma names its own runs so; choose another name");
        }
        let lock = home.take_in_turn(ROLE, "autorma produce --run")?;
        let publisher = Publisher::of(home, &slot(id), lock)?;
        patiently(|| home.log.settle(&[topics::RUNS]))?;
        let known = newest_runs(&*home.log)?;
        let record = match known.iter().find(|run| run.run_id == id).cloned() {
            None => {
                expect_own_files(id, &known)?;
                new(id, input)
            }
            Some(run) if run.kind != RunKind::Upload => bail!(
                "there is a run {id:?} already, a {} that isn't to be added to: choose another name",
                run.kind
            ),
            Some(run) => {
                if run.state == RunState::Open {
                    tracing::info!(
                        run_id = id,
                        images = run.images,
                        "continuing the run of an interrupted call"
                    );
                }
                run
            }
        };
        let is_continued = record.images > 0;
        Ok((Self { record, is_continued }, publisher))
    }

    pub(super) fn id(&self) -> &str {
        &self.record.run_id
    }

    /// Whether nothing can be added to it any more.
    pub(super) fn is_closed(&self) -> bool {
        self.record.state != RunState::Open
    }

    /// Whether a call may close it that couldn't publish all of its files. Not if an interrupted one has begun it: that one
    /// may have had them all, and only while the run is open the same command can complete it.
    pub(super) fn may_lack_some(&self) -> bool {
        !self.is_continued
    }

    /// Image events that are committed.
    pub(super) fn images(&self) -> i64 {
        self.record.images
    }

    /// What `runs` is to say once so many images more are committed; nothing if that is no news.
    pub(super) fn with(&self, images: i64, is_last: bool) -> Option<RunRecord> {
        let images_then = self.record.images + images;
        if images_then == 0 || (images == 0 && !is_last) {
            return None;
        }
        let record = RunRecord { images: images_then, ..self.record.clone() };
        Some(if is_last { record.closed(Micros::now()) } else { record })
    }

    pub(super) fn committed(&mut self, record: RunRecord) {
        self.record = record;
    }
}

/// The producer slot of a run, the same on each machine: of two calls the later has the run, as the log has it by then.
fn slot(id: &str) -> String {
    format!("run-{}", &sha256(id.as_bytes())[..16])
}

/// An error if another run has the name but for case: where the file system of the results doesn't tell them apart, the two
/// would have the same files.
fn expect_own_files(id: &str, known: &[RunRecord]) -> anyhow::Result<()> {
    match known.iter().find(|run| run.run_id.eq_ignore_ascii_case(id)) {
        None => Ok(()),
        Some(run) => bail!(
            "there is a run {:?} already, whose files would be those of {id:?} where capital and small letters in names \
             aren't told apart: choose another name",
            run.run_id
        ),
    }
}

/// Whether a run is named as one that autorma has made, if only but for case: by its time, maybe after what it is.
fn is_ours(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    ["", "outside_", "replay_", "retry_"].iter().any(|kind| id.strip_prefix(kind).is_some_and(is_stamp))
}

fn new(id: &str, input: &str) -> RunRecord {
    RunRecord::open(id, RunKind::Upload, input, Micros::now())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use autorma_stream::Error as LogError;

    use super::*;
    use crate::configuration::Configuration;
    use crate::publishing::append;

    #[test]
    fn a_second_one_is_told_to_wait() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["produce", "photo.jpg", "--data", folder.path().to_str().unwrap()];
        let home = Home::open(&Configuration::of(&words)).unwrap();
        let _first = Run::open(&home, "monday", "here").unwrap();
        let told = format!("{:#}", Run::open(&home, "tuesday", "here").err().unwrap());
        assert!(told.contains("autorma produce --run") && told.contains("wait until it has ended"), "{told}");
        assert!(!told.contains("--data"), "that would be another log: {told}");
    }

    /// As of two machines with one log, neither of which knows of the other's lock.
    #[test]
    fn the_later_call_for_a_run_has_it_alone_on_whatever_machine() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["produce", "photo.jpg", "--data", folder.path().to_str().unwrap()];
        let home = Home::open(&Configuration::of(&words)).unwrap();
        let elsewhere = Home::of(folder.path().join("elsewhere"), Arc::clone(&home.log), None);
        let open = |home: &Home, id| Run::open(home, id, "here").unwrap();
        let publish = |(run, publisher): &mut (Run, Publisher), is_last| {
            let record = run.with(1, is_last).unwrap();
            publisher.commit(vec![append(topics::RUNS, run.id(), &record)]).map(|()| run.committed(record))
        };
        let mut first = open(&home, "monday");
        publish(&mut first, false).unwrap();
        let mut second = open(&elsewhere, "monday");
        let fenced = publish(&mut first, true).unwrap_err();
        assert!(matches!(fenced, LogError::Fenced { .. }), "{fenced}");
        publish(&mut second, true).unwrap();
        assert_eq!(second.0.images(), 2, "it goes on where the first was");
        drop(second);
        assert!(open(&elsewhere, "monday").0.is_closed());
        drop(first);
        let mut other = open(&home, "tuesday");
        drop(open(&elsewhere, "monday"));
        publish(&mut other, true).unwrap();
    }

    #[test]
    fn a_name_that_another_run_has_but_for_case_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["produce", "photo.jpg", "--data", folder.path().to_str().unwrap()];
        let home = Home::open(&Configuration::of(&words)).unwrap();
        let known = append(topics::RUNS, "Monday", &new("Monday", "here"));
        Publisher::open(&home, "autorma produce").unwrap().commit(vec![known]).unwrap();
        let told = format!("{:#}", Run::open(&home, "monday", "here").err().unwrap());
        assert!(told.contains("\"Monday\"") && told.contains("choose another name"), "{told}");
        assert_eq!(Run::open(&home, "Monday", "here").unwrap().0.id(), "Monday", "it may go on itself");
        Run::open(&home, "tuesday", "here").unwrap();
    }

    #[test]
    fn names_of_autorma_are_its_own() {
        assert!(
            ["20261123_153147", "retry_20261123_153147", "outside_20261123_153147"]
                .map(is_ours)
                .iter()
                .all(|it| *it)
        );
        assert!(is_ours("Outside_20261123_153147"), "where cases aren't told apart");
        assert!(["monday", "retry_monday", "20261123", ""].map(is_ours).iter().all(|it| !it));
    }
}
