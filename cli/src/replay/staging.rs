use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Context;
use autorma_service::roles::RoleLock;

use crate::home::{ANOTHER_OUTPUT, advised};

/// A hidden folder in the output folder, and so on the same file system, where a replay's files are made. What is in it
/// counts for nothing: whoever is killed leaves it to the next replay, which empties it.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    _lock: RoleLock,
}

impl Staging {
    /// Takes it for this process, empty.
    pub(super) fn open(output: &Path) -> anyhow::Result<Self> {
        let hidden = output.join(".autorma");
        let lock = RoleLock::take(&hidden, "replay", "autorma replay");
        let lock = lock.map_err(|error| advised(error, ANOTHER_OUTPUT)).with_context(|| {
            format!("another replay writes to the output folder {}, or it can't be used", output.display())
        })?;
        let folder = hidden.join("replay");
        let undone = undo(&folder, output).and_then(|()| remove(&folder));
        undone.with_context(|| format!("emptying {}", folder.display()))?;
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "the next replay removes what is left here");
        }
    }
}

/// Takes back the half of a move that whoever was killed in its middle has done: summaries whose results are still here.
fn undo(folder: &Path, output: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let run = name.to_str().and_then(|name| name.strip_prefix("predictions_")?.strip_suffix(".json"));
        if let Some(run) = run.filter(|run| !autorma_sink::results_path(output, run).exists())
            && let Some(folder) = autorma_sink::summary_path(output, run).parent()
        {
            remove(folder)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
