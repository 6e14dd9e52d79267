//! Where the sink's files are: the layout that ARCHITECTURE.md describes.

use std::path::{Path, PathBuf};

use autorma_schemas::sha256;

/// The longest part of a run's id that goes into a file's name.
const LONGEST: usize = 100;

/// The results file of a run.
pub fn results_path(output: &Path, run_id: &str) -> PathBuf {
    output.join(results_file(run_id))
}

/// The summary of a run.
pub fn summary_path(output: &Path, run_id: &str) -> PathBuf {
    output.join(summary_file(run_id))
}

pub(crate) fn results_file(run_id: &str) -> String {
    format!("predictions_{}.json", file_name(run_id))
}

pub(crate) fn summary_file(run_id: &str) -> String {
    format!("runs/{}/summary.json", file_name(run_id))
}

/// What the names of the sink's own runs begin with; the time follows.
pub(crate) const OUTSIDE: &str = "outside_";

/// Whether a run is the sink's own, `outside_20261123_153147`: its events say no run.
pub fn is_outside(run_id: &str) -> bool {
    run_id.strip_prefix(OUTSIDE).is_some_and(is_stamp)
}

/// Whether a run's id is a time, `20261123_153147`, as the contract's file names and ingest have it.
pub fn is_stamp(run_id: &str) -> bool {
    let digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    run_id.split_once('_').is_some_and(|(date, time)| digits(date, 8) && digits(time, 6))
}

/// A run's id as a file's name. Other systems may choose any id: one that could lead elsewhere, or be another file of
/// ours, is changed, and a hash keeps what was different different.
fn file_name(run_id: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !run_id.is_empty() && run_id.len() <= LONGEST && run_id.chars().all(is_safe) {
        return run_id.to_owned();
    }
    let safe: String = run_id.chars().take(LONGEST).map(|c| if is_safe(c) { c } else { '_' }).collect();
    format!("{safe}-{}", &sha256(run_id.as_bytes())[..12])
}

/// The hidden folder of one log: another log's offsets mean nothing here.
#[derive(Debug, Clone)]
pub(crate) struct Folder(String);

impl Folder {
    pub(crate) fn new(log: &str) -> Self {
        Self(format!(".autorma/{}", file_name(log)))
    }

    pub(crate) fn path(&self) -> &str {
        &self.0
    }

    pub(crate) fn manifest(&self) -> String {
        format!("{}/manifest.json", self.0)
    }

    /// The folder of a run's parts.
    pub(crate) fn parts(&self, run_id: &str) -> String {
        format!("{}/{}", self.0, file_name(run_id))
    }

    pub(crate) fn part(&self, run_id: &str, number: u64) -> String {
        format!("{}/{number:08}.jsonl", self.parts(run_id))
    }
}

/// The number of the part that a path names; None for any other file.
pub(crate) fn part_number(path: &str) -> Option<u64> {
    path.rsplit('/').next()?.strip_suffix(".jsonl")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_their_run() {
        assert_eq!(results_file("20261123_153147"), "predictions_20261123_153147.json");
        assert_eq!(summary_file("outside_20261123_153147"), "runs/outside_20261123_153147/summary.json");
        let folder = Folder::new("c0ffee");
        assert_eq!(folder.part("20261123_153147", 42), ".autorma/c0ffee/20261123_153147/00000042.jsonl");
        assert_eq!(part_number(&folder.part("r", 123_456_789)), Some(123_456_789));
        assert_eq!(part_number(&folder.manifest()), None);
    }

    #[test]
    fn no_id_leads_out_of_the_folder_or_to_another_file() {
        let ids = ["../../etc", "a/b", "a_b", "manifest.json", "", "é", &"x".repeat(300), &"x".repeat(301)];
        let names: std::collections::BTreeSet<_> = ids.iter().map(|id| file_name(id)).collect();
        assert_eq!(names.len(), ids.len());
        for name in names {
            assert!(name.len() < 150 && !name.contains(['/', '.', '#']), "{name}");
        }
    }

    #[test]
    fn a_stamp_is_a_date_and_a_time() {
        assert!(is_stamp("20261123_153147"));
        assert!(!is_stamp("outside_20261123_153147") && !is_stamp("20261123-153147") && !is_stamp("1_2"));
    }
}
