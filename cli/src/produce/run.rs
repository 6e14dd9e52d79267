use anyhow::bail;
use autorma_schemas::{Micros, RunKind, RunRecord, RunState, topics};
use autorma_service::roles::RoleLock;
use autorma_sink::is_stamp;

use crate::home::Home;
use crate::reading::{newest_runs, patiently};

/// Whoever publishes into a run of its own: two in the same run would miscount it.
const ROLE: &str = "produce-run";

/// The run of a call.
#[derive(Debug)]
pub(super) struct Run {
    /// As the log has it; without images it isn't there yet.
    record: RunRecord,
    _lock: RoleLock,
}

impl Run {
    /// A new one, or one that an interrupted call has left open.
    pub(super) fn open(home: &Home, id: &str, input: &str) -> anyhow::Result<Self> {
        if id.is_empty() {
            bail!("--run is empty: give the run a name, or leave it out");
        }
        if is_ours(id) {
            bail!("--run {id}: autorma names its own runs so; choose another name");
        }
        let lock = home.take_in_turn(ROLE, "autorma produce --run")?;
        patiently(|| home.log.settle(&[topics::RUNS]))?;
        let known = newest_runs(&*home.log)?;
        let record = match known.iter().find(|run| run.run_id == id).cloned() {
            None => {
                expect_own_files(id, &known)?;
                new(id, input)
            }
            Some(run) if run.kind == RunKind::Upload && run.state == RunState::Open => {
                tracing::info!(run_id = id, images = run.images, "continuing the run of an interrupted call");
                run
            }
            Some(run) => bail!(
                "there is a run {id:?} already, a {} that isn't to be added to: choose another name",
                run.kind
            ),
        };
        Ok(Self { record, _lock: lock })
    }

    pub(super) fn id(&self) -> &str {
        &self.record.run_id
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
        let (state, closed_at) =
            if is_last { (RunState::Closed, Some(Micros::now())) } else { (RunState::Open, None) };
        Some(RunRecord { images: images_then, state, closed_at, ..self.record.clone() })
    }

    pub(super) fn committed(&mut self, record: RunRecord) {
        self.record = record;
    }
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
    RunRecord {
        run_id: id.into(),
        kind: RunKind::Upload,
        state: RunState::Open,
        input: input.into(),
        images: 0,
        already_done: 0,
        opened_at: Micros::now(),
        closed_at: None,
        predictions: 0,
        dead_letters: 0,
        duplicates: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;
    use crate::publishing::{Publisher, append};

    #[test]
    fn a_second_one_is_told_to_wait() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["produce", "photo.jpg", "--data", folder.path().to_str().unwrap()];
        let home = Home::open(&Configuration::of(&words)).unwrap();
        let _first = Run::open(&home, "monday", "here").unwrap();
        let told = format!("{:#}", Run::open(&home, "tuesday", "here").unwrap_err());
        assert!(told.contains("autorma produce --run") && told.contains("wait until it has ended"), "{told}");
        assert!(!told.contains("--data"), "that would be another log: {told}");
    }

    #[test]
    fn a_name_that_another_run_has_but_for_case_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["produce", "photo.jpg", "--data", folder.path().to_str().unwrap()];
        let home = Home::open(&Configuration::of(&words)).unwrap();
        let known = append(topics::RUNS, "Monday", &new("Monday", "here"));
        Publisher::open(&home, "autorma produce").unwrap().commit(vec![known]).unwrap();
        let told = format!("{:#}", Run::open(&home, "monday", "here").unwrap_err());
        assert!(told.contains("\"Monday\"") && told.contains("choose another name"), "{told}");
        assert_eq!(Run::open(&home, "Monday", "here").unwrap().id(), "Monday", "it may go on itself");
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
