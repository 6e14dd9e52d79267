//! From one output folder to another: a run that was finished out of sight becomes visible whole.

use std::io;
use std::path::Path;

use autorma_stream::failpoint;

use crate::Error;
use crate::names::{results_file, summary_file};

/// Moves the files of a finished run to another output folder on the same file system. The results come last, so that
/// whoever sees them finds the summary too. Durable when it returns.
pub fn move_run(from: &Path, to: &Path, run_id: &str) -> Result<(), Error> {
    for name in [summary_file(run_id), results_file(run_id)] {
        let place = to.join(&name);
        let moved = || {
            autorma_durable::create(place.parent().unwrap_or(to))?;
            autorma_durable::rename(&from.join(&name), &place)
        };
        moved().map_err(|error: io::Error| Error::at(place.display().to_string(), &error))?;
        failpoint::hit("sink-after-move");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::{results_path, summary_path};

    #[test]
    fn a_run_comes_whole_or_its_results_stay_away() {
        let [from, to] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        let (results, summary) = (results_path(from.path(), "r"), summary_path(from.path(), "r"));
        fs::write(&results, "results").unwrap();
        let told = move_run(from.path(), to.path(), "r").unwrap_err().to_string();
        assert!(told.contains("summary.json"), "{told}");
        assert!(!results_path(to.path(), "r").exists(), "results without a summary");
        fs::create_dir_all(summary.parent().unwrap()).unwrap();
        fs::write(&summary, "summary").unwrap();
        move_run(from.path(), to.path(), "r").unwrap();
        assert_eq!(fs::read_to_string(results_path(to.path(), "r")).unwrap(), "results");
        assert_eq!(fs::read_to_string(summary_path(to.path(), "r")).unwrap(), "summary");
        assert!(!results.exists() && !summary.exists());
    }
}
