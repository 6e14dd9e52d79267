use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use autorma_schemas::sha256;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::files::{at, create, list, lock_within, remove, rename, sync, write};
use super::{
    Aliases, May, Move, Registry, RegistryError, Signed, Version, checked_alias, checked_name, needed,
};
use crate::{Error as ModelError, MANIFEST, Manifest, Model};

/// A folder that holds models:
///
/// ```text
/// lock                                      who writes holds it
/// NAME/versions/3/manifest.json             a model's folder like any other
/// NAME/versions/3/<sha256>.onnx             each member, and its reference, if it has one
/// NAME/versions/3/registered.json           who, when, why, and the SHA-256 of manifest.json
/// NAME/aliases/production/000004.json       the alias's fourth move; the last one counts
/// ```
///
/// A version appears by the renaming of its folder, a move by that of its file: whoever is killed leaves something whole
/// or something that nobody looks at. Those who read need no lock.
#[derive(Debug, Clone)]
pub struct FolderRegistry {
    root: PathBuf,
}

const REGISTERED: &str = "registered.json";

/// What is known of a version besides its files.
#[derive(Debug, Serialize, Deserialize)]
struct Registered {
    #[serde(flatten)]
    signed: Signed,
    /// The SHA-256 of its manifest's text, which decides by thresholds that no hash of a prediction covers; None where an
    /// autorma has registered it that didn't note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest_sha256: Option<String>,
}

/// No model's name has a `+`.
const UNFINISHED: &str = "+unfinished";

/// How long who writes waits for others, who may copy large models.
const PATIENCE: Duration = Duration::from_secs(600);

/// What helps where a disk has lost something of a version, or somebody has changed it.
pub(super) const REMEDY: &str = "registering the model again mends it";

impl FolderRegistry {
    /// A handle on the folder, which is created by the first that registers.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A version's folder: `--model` takes it.
    pub fn place(&self, name: &str, number: u64) -> PathBuf {
        self.root.join(name).join("versions").join(number.to_string())
    }

    /// Where a version is put together, or has gone before it is removed.
    fn unfinished(&self, name: &str) -> PathBuf {
        self.root.join(name).join(UNFINISHED)
    }

    fn alias(&self, name: &str, alias: &str) -> Result<PathBuf, RegistryError> {
        Ok(self.root.join(checked_name(name)?).join("aliases").join(checked_alias(alias)?))
    }

    /// Waits until nobody else writes; others wait until the file that is returned is dropped.
    fn lock(&self) -> Result<File, RegistryError> {
        create(&self.root)?;
        lock_within(&self.root.join("lock"), PATIENCE)
    }

    /// What is read of a version, which must be there, in whatever state.
    fn of_version<T>(
        &self,
        name: &str,
        number: u64,
        read: impl FnOnce() -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        match self.numbers(name)?.contains(&number) {
            true => read().map_err(|error| mendable(name, number, error)),
            false => Err(RegistryError::NoVersion { name: name.into(), number }),
        }
    }

    fn registered(&self, name: &str, number: u64) -> Result<Registered, RegistryError> {
        read(&self.place(name, number).join(REGISTERED))
    }

    /// A version's manifest, if it is the one that was registered.
    fn manifest(&self, name: &str, number: u64) -> Result<Manifest, RegistryError> {
        let place = self.place(name, number);
        let path = place.join(MANIFEST);
        let text = Model::manifest_text(&place)?;
        let is_changed =
            self.registered(name, number)?.manifest_sha256.is_some_and(|was| was != sha256(&text));
        // What is wrong with a text that was changed says less than that it was.
        let found = if is_changed { None } else { Some(Model::manifest_in(&text, &path)?) };
        let is_its = |it: &Manifest| it.name == name && it.version == number.to_string();
        found.filter(is_its).ok_or_else(|| {
            let cause = format!("it isn't that of {name}/{number} any more; {REMEDY}");
            ModelError::Manifest { path, cause }.into()
        })
    }

    /// Whether a version was registered with this manifest. One of which that can't be said is no other's concern.
    fn is_of(&self, name: &str, number: u64, manifest: &Manifest) -> bool {
        match self.registered(name, number) {
            Ok(Registered { manifest_sha256: Some(was), .. }) if was == sha256(&json(manifest)) => true,
            Ok(_) => self.manifest(name, number).is_ok_and(|it| it == *manifest),
            // That is lost, too: then it is known by its manifest alone.
            Err(_) => Model::manifest(&self.place(name, number)).is_ok_and(|it| it == *manifest),
        }
    }

    /// Writes those files again that aren't any more what was registered: a disk has lost them, or somebody has changed them.
    fn mend(
        &self,
        manifest: &Manifest,
        number: u64,
        files: &BTreeMap<String, Vec<u8>>,
        signed: &Signed,
    ) -> Result<(), RegistryError> {
        let place = self.place(&manifest.name, number);
        let write_again = |file: &str, content: &[u8]| {
            let path = place.join(file);
            let is_whole = fs::read(&path).is_ok_and(|there| there == content);
            if is_whole { Ok(()) } else { write(&path, content) }
        };
        files.iter().try_for_each(|(file, content)| write_again(file, content))?;
        let was = self.registered(&manifest.name, number).ok();
        let has_hash = was.as_ref().is_some_and(|it| it.manifest_sha256.is_some());
        if has_hash && self.manifest(&manifest.name, number).is_ok() {
            return Ok(());
        }
        let text = manifest.text(&place.join(MANIFEST))?;
        let signed = was.map_or_else(|| signed.clone(), |it| it.signed);
        let registered = Registered { signed, manifest_sha256: Some(sha256(&text)) };
        write_again(MANIFEST, &text)?;
        write_again(REGISTERED, &json(&registered))
    }

    /// The versions that aliases name or have named.
    fn ever_named(&self, name: &str) -> Result<Vec<u64>, RegistryError> {
        let aliases = self.aliases(name)?.into_keys();
        let moves = aliases.map(|alias| self.moves(name, &alias)).collect::<Result<Vec<_>, _>>()?;
        Ok(moves.into_iter().flatten().map(|made| made.version).collect())
    }

    /// Puts a version together beside the others, and gives it its number at the end.
    fn keep(
        &self,
        files: &BTreeMap<String, Vec<u8>>,
        manifest: &Manifest,
        signed: &Signed,
    ) -> Result<(), RegistryError> {
        let (name, number) = (&manifest.name, manifest.version.parse().unwrap_or(0));
        let (place, unfinished) = (self.place(name, number), self.unfinished(name));
        // Before anything is written.
        let text = manifest.text(&place.join(MANIFEST))?;
        let registered = Registered { signed: signed.clone(), manifest_sha256: Some(sha256(&text)) };
        remove(&unfinished)?;
        let kept = create(&unfinished).and_then(|()| {
            for (file, content) in files {
                write(&unfinished.join(file), content)?;
            }
            write(&unfinished.join(MANIFEST), &text)?;
            write(&unfinished.join(REGISTERED), &json(&registered))?;
            create(&self.root.join(name).join("versions"))?;
            rename(&unfinished, &place)
        });
        // The disk may be full, and others need it.
        kept.inspect_err(|_| drop(remove(&unfinished)))
    }
}

impl Registry for FolderRegistry {
    fn register(&self, model: &Path, signed: &Signed) -> Result<Version, RegistryError> {
        let (mut manifest, files) = Model::open_all(model)?;
        let name = checked_name(&manifest.name)?;
        let _lock = self.lock()?;
        let numbers = self.numbers(&name)?;
        for number in numbers.iter().copied() {
            manifest.version = number.to_string();
            if self.is_of(&name, number, &manifest) {
                self.mend(&manifest, number, &files, signed)?;
                return self.version(&name, number);
            }
        }
        // Nor one that an alias has named: somebody may have removed that version's folder.
        let number = numbers.into_iter().chain(self.ever_named(&name)?).max().map_or(1, |last| last + 1);
        manifest.version = number.to_string();
        self.keep(&files, &manifest, signed)?;
        Ok(Version { number, manifest, signed: signed.clone() })
    }

    fn numbers(&self, name: &str) -> Result<Vec<u64>, RegistryError> {
        let names = list(&self.root.join(checked_name(name)?).join("versions"))?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn version(&self, name: &str, number: u64) -> Result<Version, RegistryError> {
        self.of_version(name, number, || {
            let manifest = self.manifest(name, number)?;
            Ok(Version { number, manifest, signed: self.registered(name, number)?.signed })
        })
    }

    fn names(&self) -> Result<Vec<String>, RegistryError> {
        let mut names = list(&self.root)?;
        // What has another kind of name can't be asked for by it.
        names.retain(|name| checked_name(name).is_ok() && self.root.join(name).join("versions").is_dir());
        Ok(names)
    }

    fn load(&self, name: &str, number: u64) -> Result<Model, RegistryError> {
        self.of_version(name, number, || {
            Ok(Model::verified(&self.place(name, number), self.manifest(name, number)?)?)
        })
    }

    fn reference(&self, name: &str, number: u64) -> Result<Option<Model>, RegistryError> {
        self.of_version(name, number, || {
            Ok(Model::verified_reference(&self.place(name, number), &self.manifest(name, number)?)?)
        })
    }

    fn aliases(&self, name: &str) -> Result<Aliases, RegistryError> {
        let aliases = list(&self.root.join(checked_name(name)?).join("aliases"))?.into_iter();
        let ours = aliases.filter(|alias| checked_alias(alias).is_ok());
        Ok(ours.filter_map(|alias| self.now(name, &alias).transpose().map(|now| (alias, now))).collect())
    }

    fn now(&self, name: &str, alias: &str) -> Result<Option<u64>, RegistryError> {
        let folder = self.alias(name, alias)?;
        match moves_in(&folder)?.pop() {
            Some(last) => Ok(Some(read_move(&folder.join(file_of(last)))?.version)),
            None if self.root.is_dir() => Ok(None),
            None => Err(RegistryError::NoRegistry(self.root.clone())),
        }
    }

    fn manifest_sha256(&self, name: &str, number: u64) -> Option<String> {
        self.registered(name, number).ok()?.manifest_sha256
    }

    fn make_move(
        &self,
        name: &str,
        alias: &str,
        number: u64,
        signed: &Signed,
        may: &May<'_>,
    ) -> Result<Move, RegistryError> {
        let folder = self.alias(name, alias)?;
        let _lock = self.lock()?;
        let is = self.load(name, number)?.manifest;
        may(self.now(name, alias)?, &is)?;
        create(&folder)?;
        let next = moves_in(&folder)?.last().map_or(1, |last| last + 1);
        let made = Move { version: number, signed: signed.clone() };
        write(&folder.join(file_of(next)), &json(&made))?;
        Ok(made)
    }

    fn moves(&self, name: &str, alias: &str) -> Result<Vec<Move>, RegistryError> {
        let folder = self.alias(name, alias)?;
        moves_in(&folder)?.into_iter().map(|number| read_move(&folder.join(file_of(number)))).collect()
    }

    fn collect(&self, name: &str, keep: usize) -> Result<Vec<u64>, RegistryError> {
        let unfinished = self.unfinished(name);
        if self.numbers(name)?.is_empty() && !unfinished.is_dir() {
            return Err(RegistryError::NoModel(name.into()));
        }
        let _lock = self.lock()?;
        let numbers = self.numbers(name)?;
        // The newest always stays: its number must not come again.
        let mut kept: BTreeSet<u64> = numbers.iter().rev().take(keep.max(1)).copied().collect();
        for alias in self.aliases(name)?.into_keys() {
            kept.extend(needed(&self.moves(name, &alias)?));
        }
        remove(&unfinished)?;
        let gone: Vec<u64> = numbers.into_iter().filter(|number| !kept.contains(number)).collect();
        for number in &gone {
            // Out of sight first: who is killed now leaves no half of a version.
            let place = self.place(name, *number);
            rename(&place, &unfinished)?;
            sync(place.parent().unwrap_or(&place))?;
            remove(&unfinished)?;
        }
        Ok(gone)
    }
}

/// An error of a version's files: where they are lost, or aren't what they were, it says what helps. What only keeps somebody
/// from reading them stays what it is, for that may pass.
pub(super) fn mendable(name: &str, number: u64, error: RegistryError) -> RegistryError {
    match error {
        RegistryError::File { path, cause }
        | RegistryError::Model(ModelError::Unreadable { path, cause }) => {
            let is_lost = cause.kind() == io::ErrorKind::NotFound || cause.raw_os_error().is_none();
            let told = format!("{name}/{number} can't be read ({cause}); {REMEDY}");
            let cause = if is_lost { io::Error::new(cause.kind(), told) } else { cause };
            RegistryError::File { path, cause }
        }
        RegistryError::Model(ModelError::Different { path, found, expected, .. }) => {
            ModelError::Different { path, found, expected, remedy: REMEDY }.into()
        }
        other => other,
    }
}

/// The numbers of an alias's moves.
fn moves_in(folder: &Path) -> Result<Vec<u64>, RegistryError> {
    let names = list(folder)?;
    let mut numbers: Vec<u64> =
        names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn file_of(number: u64) -> String {
    format!("{number:06}.json")
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("numbers and text are JSON")
}

/// A move. What a disk has spoilt is no move that wasn't made: an alias that went back by itself might name what somebody has
/// rolled back from.
fn read_move(path: &Path) -> Result<Move, RegistryError> {
    let text = at(path, fs::read(path))?;
    serde_json::from_slice(&text).map_err(|cause| RegistryError::NoMove { path: path.to_owned(), cause })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, RegistryError> {
    let text = at(path, fs::read(path))?;
    at(path, serde_json::from_slice(&text).map_err(Into::into))
}
