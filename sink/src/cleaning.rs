//! What a killed sink may have left behind: temporary files, and parts that the manifest doesn't know. And what is put
//! aside because it is of another log.
//!
//! This goes past `object_store`, which doesn't list its own temporary files and doesn't fsync after a removal.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Error;
use crate::names::{Folder, results_file, summary_file};
use crate::store::Store;
use crate::summary::Summary;

/// Removes temporary files with the names of ours, so that no other file is touched.
pub(crate) fn remove_temporary(store: &Store, folder: &Folder) -> Result<(), Error> {
    let output = store.output();
    let failed = |error: io::Error| Error::at(output.display().to_string(), &error);
    let mut found = temporary(output, |name| name.starts_with("predictions_") && name.ends_with(".json"))?;
    for run in entries(&output.join("runs")).map_err(failed)? {
        found.extend(temporary(&run, |name| name == "summary.json")?);
    }
    let hidden = output.join(folder.path());
    found.extend(temporary(&hidden, |name| name == "manifest.json")?);
    for run in entries(&hidden).map_err(failed)? {
        found.extend(temporary(&run, |name| name.ends_with(".jsonl"))?);
    }
    for path in found {
        tracing::debug!(path = %path.display(), "removing what a killed sink has left");
        fs::remove_file(&path).map_err(|error| Error::at(path.display().to_string(), &error))?;
    }
    Ok(())
}

/// Removes parts that don't count. Their numbers will be given again, so they must not come back after a power cut.
pub(crate) fn remove_orphans(store: &Store, orphans: &[String]) -> Result<(), Error> {
    for orphan in orphans {
        tracing::info!(
            part = orphan,
            "removing a part that isn't in the manifest: its records are read again"
        );
        let removed = autorma_durable::remove(&store.output().join(orphan));
        removed.map_err(|error| Error::at(store.place(orphan), &error))?;
    }
    Ok(())
}

/// Moves parts to where those of their run are looked for: each from its path to its home.
pub(crate) fn bring_home(store: &Store, astray: &[(String, String)]) -> Result<(), Error> {
    for (part, home) in astray {
        tracing::info!(part, home, "moving a part to the folder of its run");
        let to = store.output().join(home);
        let folder = to.parent().unwrap_or(store.output());
        let moved = autorma_durable::create(folder)
            .and_then(|()| autorma_durable::rename(&store.output().join(part), &to));
        moved.map_err(|error| Error::at(store.place(home), &error))?;
    }
    Ok(())
}

/// Moves the folder of a log out of the way, under a name that no other has, and says which.
pub(crate) fn set_aside(store: &Store, folder: &Folder) -> Result<String, Error> {
    let from = store.output().join(folder.path());
    let kept = |number: u32| from.with_extension(format!("old-{number}"));
    let free = (1..).map(kept).find(|path| !path.exists()).expect("there are more numbers than folders");
    fs::rename(&from, &free).map_err(|error| Error::at(from.display().to_string(), &error))?;
    Ok(free.display().to_string())
}

/// Of a summary, what says which run it is of. One that was open when its log was copied may have been closed twice, with
/// other images.
#[derive(Debug, Deserialize)]
struct Whose {
    run_id: String,
    opened_at: String,
    closed_at: Option<String>,
}

/// How much of a results file's end is looked at for the name of its run: what stands behind that is much shorter.
const END: u64 = 64 << 10;

/// Puts the files of another run aside that has the same place as ours: it was of another log, or its name is
/// another one only where cases are told apart; or of the earlier system, which wrote no summaries. The summary goes last: if
/// the sink is killed before, it is found by the next start.
pub(crate) fn keep_former(store: &Store, ours: &Summary) -> Result<(), Error> {
    let names = [results_file(&ours.run_id), summary_file(&ours.run_id)];
    let files = names.each_ref().map(|name| store.output().join(name));
    let failed = |file: &Path, error: io::Error| Error::at(file.display().to_string(), &error);
    let is_ours = |it: Whose| {
        it.run_id == ours.run_id && it.opened_at == ours.opened_at && it.closed_at == ours.closed_at
    };
    let is_of_another = match store.get(&names[1])? {
        Some(text) => !serde_json::from_slice::<Whose>(&text).is_ok_and(is_ours),
        None => are_of_another(&files[0], &ours.run_id).map_err(|error| failed(&files[0], error))?,
    };
    if !is_of_another {
        return Ok(());
    }
    let kept = |number: u32| files.each_ref().map(|file| file.with_extension(format!("old-{number}")));
    let is_free =
        |kept: &[PathBuf; 2]| files.iter().zip(kept).all(|(file, kept)| !kept.exists() || !file.exists());
    let kept = (1..).map(kept).find(is_free).expect("there are more numbers than files");
    let mut aside = Vec::new();
    for (file, kept) in files.iter().zip(kept) {
        if put_aside(file, &kept).map_err(|error| failed(file, error))? {
            aside.push(kept);
        }
    }
    tracing::warn!(
        run_id = ours.run_id,
        kept = ?aside,
        "there were results of another run, of another log or system or of a name that differs in case alone: they are kept \
         there"
    );
    Ok(())
}

/// Whether there are results, without a summary, that don't say at their end that they are of this run.
fn are_of_another(results: &Path, run_id: &str) -> io::Result<bool> {
    let mut file = match File::open(results) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let ours = format!("\n  \"run_id\": {},\n", serde_json::Value::from(run_id));
    Ok(!end.windows(ours.len()).any(|text| text == ours.as_bytes()))
}

/// Renames a file so that it is so after a power cut, too. False if it isn't there.
fn put_aside(file: &Path, kept: &Path) -> io::Result<bool> {
    match autorma_durable::rename(file, kept) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        renamed => renamed.map(|()| true),
    }
}

/// The temporary files of a folder for the names that `is_ours`: `<name>#<number>`.
fn temporary(folder: &Path, is_ours: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Error> {
    let is_temporary = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.rsplit_once('#')).is_some_and(|(name, number)| {
            is_ours(name) && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let entries = entries(folder).map_err(|error| Error::at(folder.display().to_string(), &error))?;
    Ok(entries.into_iter().filter(is_temporary).collect())
}

/// What is in a folder; nothing if it is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_killed_sink_left_is_removed() {
        let output = tempfile::tempdir().unwrap();
        let store = Store::open(output.path()).unwrap();
        let folder = Folder::new("log");
        let write = |path: &str| {
            let path = output.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "half").unwrap();
        };
        let left = [
            "predictions_20261123_153147.json#1",
            "runs/20261123_153147/summary.json#12",
            ".autorma/log/manifest.json#1",
            ".autorma/log/20261123_153147/00000042.jsonl#3",
        ];
        let kept = [
            "predictions_20261123_153147.json",
            "predictions_mine.json#draft",
            "notes#1",
            "runs/20261123_153147/notes.json#1",
            ".autorma/other/manifest.json#1",
            ".autorma/log/20261123_153147/00000042.jsonl",
        ];
        left.iter().chain(&kept).for_each(|path| write(path));
        remove_temporary(&store, &folder).unwrap();
        let exists = |path: &&str| output.path().join(path).exists();
        assert_eq!(left.iter().filter(|path| exists(path)).count(), 0);
        assert_eq!(kept.iter().filter(|path| exists(path)).count(), kept.len());

        remove_orphans(&store, &[kept[5].to_owned()]).unwrap();
        assert!(!exists(&kept[5]));
    }
}
