use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use autorma_schemas::readable;

use super::columns::Columns;
use super::error::at;
use super::found::entries;
use super::{DatasetError, DatasetInfo, FORMAT, INFO, MANIFEST, SHEET};
use crate::files::meant;

/// Where a data set is put together: a hidden folder beside its place, to which it is renamed when it is whole. Who holds
/// the lock on the folder writes; the lock ends with its process, and what a killed one has left is emptied by the next.
#[derive(Debug)]
pub(super) struct Place {
    target: PathBuf,
    unfinished: PathBuf,
    former: PathBuf,
    _lock: File,
    is_whole: bool,
}

impl Place {
    /// A place for `to`, apart from what is read. What is there now must be a data set with nothing else in it, or nothing, or
    /// `force` is said.
    pub(super) fn take(from: &Path, to: &Path, force: bool) -> Result<Self, DatasetError> {
        let apart = |to: &Path| match to.starts_with(from) || from.starts_with(to) {
            true => Err(DatasetError::Within { to: to.to_owned(), from: from.to_owned() }),
            false => Ok(()),
        };
        // Before a folder is made for it, as well.
        apart(&at(to, meant(to))?)?;
        let target = real(to)?;
        apart(&target)?;
        if is_mounted(&target) {
            return Err(DatasetError::Mounted(target));
        }
        let beside = |what: &str| {
            let mut name = OsString::from(".");
            name.push(target.file_name().unwrap_or_default());
            name.push(what);
            target.with_file_name(name)
        };
        let (unfinished, former) = (beside(".unfinished"), beside(".former"));
        let lock = lock(&target, &unfinished)?;
        if former.exists() {
            // Who moved it away was killed: before the new one was there, or after.
            if target.exists() { remove(&former)? } else { at(&former, fs::rename(&former, &target))? }
        }
        let place = Self { target, unfinished, former, _lock: lock, is_whole: false };
        if !force {
            ours(&place.target)?;
        }
        for (path, _) in entries(&place.unfinished)? {
            remove(&path)?;
        }
        Ok(place)
    }

    /// The folder to write into.
    pub(super) fn folder(&self) -> &Path {
        &self.unfinished
    }

    /// Writes a file that stays when the power fails, once [`Place::finish`] is through. Nobody has its name.
    pub(super) fn write(&self, path: &Path, content: &[u8]) -> Result<(), DatasetError> {
        let path = self.unfinished.join(path);
        let folder = path.parent().unwrap_or(&path);
        at(folder, fs::create_dir_all(folder))?;
        at(&path, File::create_new(&path).and_then(|file| autorma_durable::fill(file, content)))
    }

    /// Makes it the data set, in place of the former one.
    pub(super) fn finish(mut self) -> Result<(), DatasetError> {
        sync_folders(&self.unfinished)?;
        let there = self.target.exists();
        if there {
            at(&self.target, fs::rename(&self.target, &self.former))?;
        }
        at(&self.target, autorma_durable::rename(&self.unfinished, &self.target))?;
        self.is_whole = true;
        if there { remove(&self.former) } else { Ok(()) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_whole {
            // What can't be removed now is removed by the next.
            drop(remove(&self.unfinished));
        }
    }
}

/// The path without links and `..`; the folder needn't be there, but that around it is made.
fn real(path: &Path) -> Result<PathBuf, DatasetError> {
    if let Ok(real) = path.canonicalize() {
        return Ok(real);
    }
    let path = at(path, std::path::absolute(path))?;
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput));
    let (name, parent) = (at(&path, name)?, path.parent().unwrap_or(&path));
    at(parent, autorma_durable::create(parent))?;
    Ok(at(parent, parent.canonicalize())?.join(name))
}

/// Whether it is another file system's folder than the one that it is in: then it can't be renamed.
fn is_mounted(target: &Path) -> bool {
    let device = |folder: &Path| fs::metadata(folder).ok().map(|it| it.dev());
    let around = target.parent().and_then(device);
    device(target).is_some_and(|own| around.is_some_and(|around| around != own))
}

/// Makes the folder, and locks it for this process.
fn lock(target: &Path, unfinished: &Path) -> Result<File, DatasetError> {
    loop {
        match fs::create_dir(unfinished) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => at(unfinished, made)?,
        }
        let folder = match File::open(unfinished) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => at(unfinished, opened)?,
        };
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(DatasetError::Busy(target.to_owned())),
            Err(TryLockError::Error(cause)) => return at(unfinished, Err(cause)),
            Ok(()) => {}
        }
        // Its owner may have renamed or removed it before the lock was free.
        let own = at(unfinished, folder.metadata())?;
        if fs::metadata(unfinished).is_ok_and(|it| (it.dev(), it.ino()) == (own.dev(), own.ino())) {
            return Ok(folder);
        }
    }
}

/// Whether the folder may be replaced: it is not there, or empty, or a data set that was prepared here and has nothing in it
/// that wasn't.
fn ours(folder: &Path) -> Result<(), DatasetError> {
    let strange = |why: String| DatasetError::NotOurs { path: folder.to_owned(), why };
    if !folder.exists() {
        return Ok(());
    }
    if !folder.is_dir() {
        return Err(strange("it is a file".to_owned()));
    }
    if entries(folder)?.is_empty() {
        return Ok(());
    }
    let info =
        fs::read(folder.join(INFO)).ok().and_then(|it| serde_json::from_slice::<DatasetInfo>(&it).ok());
    if info.is_none_or(|info| info.format != FORMAT) {
        return Err(strange(format!("it has no {INFO} of one")));
    }
    let manifest = Columns::read(&folder.join(MANIFEST))?;
    let listed = manifest.rows.into_iter().filter_map(|row| row.into_iter().next());
    let known: HashSet<String> = listed.chain([INFO, MANIFEST, SHEET].map(str::to_owned)).collect();
    match stranger(folder, folder, &known)? {
        Some(name) => Err(strange(format!("its manifest doesn't have {name}"))),
        None => Ok(()),
    }
}

/// A file that isn't known.
fn stranger(root: &Path, folder: &Path, known: &HashSet<String>) -> Result<Option<String>, DatasetError> {
    for (path, is_folder) in entries(folder)? {
        let name = readable(path.strip_prefix(root).unwrap_or(&path).as_os_str());
        let found = if is_folder {
            stranger(root, &path, known)?
        } else {
            Some(name).filter(|it| !known.contains(it))
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn remove(path: &Path) -> Result<(), DatasetError> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|it| it.is_dir());
    at(path, if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) })
}

fn sync_folders(folder: &Path) -> Result<(), DatasetError> {
    for (path, is_folder) in entries(folder)? {
        if is_folder {
            sync_folders(&path)?;
        }
    }
    at(folder, autorma_durable::sync(folder))
}
