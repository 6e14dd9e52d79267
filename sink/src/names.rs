//! Where the sink's files are: the layout that ARCHITECTURE.md describes.

use std::path::{Path, PathBuf};

use autorma_schemas::sha256;

/// The longest part of a run's id that goes into a file's name.
const LONGEST: usize = 100;
/// Hexadecimal digits of the hash behind a name that was changed.
const HASH: usize = 12;

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
    if looks_changed(run_id) { changed(run_id) } else { safe_name(run_id) }
}

/// Whether an id is like what another one is changed to: it ends in a hash, and has a `_` or nothing before
/// that. A UUID ends like this too, but has neither, and its files are named as it is.
fn looks_changed(run_id: &str) -> bool {
    let is_hash = |end: &str| end.len() == HASH && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_hashed = run_id.rsplit_once('-').is_some_and(|(_, end)| is_hash(end));
    is_hashed && (run_id.contains('_') || run_id.starts_with('-'))
}

/// A name as it is, if it leads nowhere else.
fn safe_name(name: &str) -> String {
    let is_plain = !name.is_empty() && name.len() <= LONGEST && name.chars().all(is_safe);
    if is_plain { name.to_owned() } else { changed(name) }
}

fn changed(name: &str) -> String {
    let safe: String = name.chars().take(LONGEST).map(|c| if is_safe(c) { c } else { '_' }).collect();
    format!("{safe}-{}", &sha256(name.as_bytes())[..HASH])
}

fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// The hidden folder of one log: another log's offsets mean nothing here.
#[derive(Debug, Clone)]
pub(crate) struct Folder(String);

impl Folder {
    pub(crate) fn new(log: &str) -> Self {
        Self(format!(".autorma/{}", safe_name(log)))
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
        for run_id in ["replay_20261123_153147", "monday-a1b2", "550e8400-e29b-41d4-a716-446655440000"] {
            assert_eq!(file_name(run_id), run_id);
        }
    }

    #[test]
    fn no_id_leads_out_of_the_folder_or_to_another_file() {
        let ids = ["../../etc", "a/b", "a_b", "manifest.json", "", "é", &"x".repeat(300), &"x".repeat(301)]
            .map(String::from);
        // What these become may be the ids of others.
        let alike = ids.clone().map(|id| changed(&id));
        let again = alike.clone().map(|id| changed(&id));
        let ids = [ids, alike, again].concat();
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
