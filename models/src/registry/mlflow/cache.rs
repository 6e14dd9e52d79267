//! What was fetched from a server, kept on the disk: so that it is fetched once, and is there when the server isn't.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use autorma_schemas::{is_hex, sha256};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::reading::Read;
use crate::registry::RegistryError;
use crate::registry::files::{at, create, list, lock, lockable, put, remove, rename, write};
use crate::{File as ModelFile, MANIFEST, Manifest, Member, Model};

/// A folder:
///
/// ```text
/// lock                                      who writes a name or removes a model holds it, for a moment
/// locks/<sha256>                            who fetches that model holds it, which may take minutes
/// SERVER/unfinished/<sha256>                what is fetched of it
/// SERVER/models/<sha256>/manifest.json      a model's folder like any other, named after its manifest's hash
/// SERVER/models/<sha256>/<file>.onnx        each member, and its reference, when somebody has asked for it
/// SERVER/names/NAME/versions/3.json         what version 3 was when it was fetched
/// SERVER/names/NAME/aliases/production.json what served last where the alias is followed
/// ```
///
/// SERVER is the beginning of the hash of its address: another server numbers others. All of it may be removed at any
/// time.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    server: PathBuf,
}

/// What a version was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The SHA-256 of its manifest's text.
    pub(super) manifest: String,
}

impl Cache {
    pub(super) fn new(folder: PathBuf, url: &str) -> Self {
        let server = folder.join(&sha256(url.trim_end_matches('/').as_bytes())[..16]);
        Self { folder, server }
    }

    /// The model whose manifest has this hash, if it is here and whole.
    pub(super) fn model(&self, hash: &str) -> Option<Model> {
        let manifest = self.manifest(hash)?.manifest;
        Model::verified(&self.place(hash), manifest).ok()
    }

    /// Its manifest, without a look at its files. What somebody calls a hash may be anything, and becomes part of a path
    /// here: so only what is one is looked for.
    pub(super) fn manifest(&self, hash: &str) -> Option<Read> {
        if !is_hex(hash, 64) {
            return None;
        }
        let place = self.place(hash);
        let text = Model::manifest_text(&place).ok().filter(|text| sha256(text) == hash)?;
        let manifest = Model::manifest_in(&text, &place.join(MANIFEST)).ok()?;
        Some(Read { hash: hash.to_owned(), text, manifest })
    }

    /// Keeps a model whose files `fetch` gives. It appears when it is whole, and is what its manifest says.
    pub(super) fn keep(
        &self,
        text: &[u8],
        manifest: &Manifest,
        fetch: impl Fn(&ModelFile) -> Result<Vec<u8>, RegistryError>,
    ) -> Result<Model, RegistryError> {
        let hash = sha256(text);
        let _fetching = lock(&self.lock_of(&hash)?)?;
        // Somebody else may have fetched it meanwhile.
        if let Some(model) = self.model(&hash) {
            return Ok(model);
        }
        let (place, unfinished) = (self.place(&hash), self.unfinished(&hash));
        remove(&place)?;
        // What killed processes have left, too: it may be large, and nobody may ask for it again.
        for left in list(&self.server.join("unfinished"))?.iter().filter(|left| **left != hash) {
            self.remove_unless_fetched(left, &self.unfinished(left))?;
        }
        remove(&unfinished)?;
        create(&unfinished)?;
        let model = put_together(&unfinished, text, manifest, fetch).inspect_err(|_| {
            drop(remove(&unfinished));
        })?;
        place.parent().map_or(Ok(()), create)?;
        rename(&unfinished, &place)?;
        Ok(model)
    }

    /// The reference of the model with this manifest, which is here. `fetch` gives its files, if they aren't here and whole.
    pub(super) fn reference(
        &self,
        Read { hash, manifest, .. }: &Read,
        fetch: impl Fn(&ModelFile) -> Result<Vec<u8>, RegistryError>,
    ) -> Result<Option<Model>, RegistryError> {
        let _fetching = lock(&self.lock_of(hash)?)?;
        let place = self.place(hash);
        if let Ok(Some(reference)) = Model::verified_reference(&place, manifest) {
            return Ok(Some(reference));
        }
        for file in manifest.references() {
            let (path, unfinished) = (place.join(&file.file), place.join("unfinished"));
            put(&unfinished, &fetch(file)?)?;
            rename(&unfinished, &path)?;
        }
        let found = Model::verified_reference(&place, manifest);
        if found.is_err() {
            // Another file than was asked for: of no use to anybody.
            manifest.references().for_each(|it| drop(fs::remove_file(place.join(&it.file))));
        }
        Ok(found?)
    }

    /// What a version was when it was fetched.
    pub(super) fn version(&self, name: &str, number: u64) -> Option<Kept> {
        read(self.name(name).join("versions").join(format!("{number}.json")))
    }

    /// What served last where the alias is followed.
    pub(super) fn named(&self, name: &str, alias: &str) -> Option<u64> {
        read(self.name(name).join("aliases").join(format!("{alias}.json")))
    }

    pub(super) fn remember_version(&self, name: &str, number: u64, is: &Kept) -> Result<(), RegistryError> {
        if self.version(name, number).as_ref() == Some(is) {
            return Ok(());
        }
        self.remember(self.name(name).join("versions"), &number.to_string(), is)
    }

    pub(super) fn remember_alias(&self, name: &str, alias: &str, number: u64) -> Result<(), RegistryError> {
        if self.named(name, alias) == Some(number) {
            return Ok(());
        }
        self.remember(self.name(name).join("aliases"), alias, &number)
    }

    /// Forgets versions, and the models that no version is any more.
    pub(super) fn forget(&self, name: &str, gone: &[u64]) -> Result<(), RegistryError> {
        let _lock = self.lock()?;
        for number in gone {
            drop(fs::remove_file(self.name(name).join("versions").join(format!("{number}.json"))));
        }
        let mut kept = Vec::new();
        for name in list(&self.server.join("names"))? {
            for file in list(&self.name(&name).join("versions"))? {
                kept.extend(read::<Kept>(self.name(&name).join("versions").join(file)));
            }
        }
        let [models, unfinished] = ["models", "unfinished"].map(|name| list(&self.server.join(name)));
        let hashes = models?.into_iter().chain(unfinished?).collect::<BTreeSet<_>>();
        for hash in hashes.into_iter().filter(|hash| kept.iter().all(|it| it.manifest != *hash)) {
            self.remove_unless_fetched(&hash, &self.place(&hash))?;
            self.remove_unless_fetched(&hash, &self.unfinished(&hash))?;
        }
        Ok(())
    }

    /// Removes a folder of the model, unless somebody fetches that just now, who needs it.
    fn remove_unless_fetched(&self, manifest: &str, folder: &Path) -> Result<(), RegistryError> {
        let path = self.lock_of(manifest)?;
        let file = at(&path, lockable(&path))?;
        if file.try_lock().is_ok() { remove(folder) } else { Ok(()) }
    }

    fn unfinished(&self, manifest: &str) -> PathBuf {
        self.server.join("unfinished").join(manifest)
    }

    fn place(&self, manifest: &str) -> PathBuf {
        self.server.join("models").join(manifest)
    }

    fn name(&self, name: &str) -> PathBuf {
        self.server.join("names").join(name)
    }

    fn remember(&self, folder: PathBuf, name: &str, what: &impl Serialize) -> Result<(), RegistryError> {
        let _lock = self.lock()?;
        create(&folder)?;
        let text = serde_json::to_vec(what).expect("numbers and text are JSON");
        write(&folder.join(format!("{name}.json")), &text)
    }

    fn lock(&self) -> Result<File, RegistryError> {
        create(&self.folder)?;
        lock(&self.folder.join("lock"))
    }

    /// The file that who fetches this model locks: nobody else has to wait for that.
    fn lock_of(&self, manifest: &str) -> Result<PathBuf, RegistryError> {
        let locks = self.folder.join("locks");
        create(&locks)?;
        Ok(locks.join(manifest))
    }
}

/// A model in a folder of its own, if it is what its manifest says.
fn put_together(
    folder: &Path,
    text: &[u8],
    manifest: &Manifest,
    fetch: impl Fn(&ModelFile) -> Result<Vec<u8>, RegistryError>,
) -> Result<Model, RegistryError> {
    for Member { model, .. } in &manifest.members {
        put(&folder.join(&model.file), &fetch(model)?)?;
    }
    write(&folder.join(MANIFEST), text)?;
    Ok(Model::open(folder)?)
}

/// What can't be read isn't remembered.
fn read<T: DeserializeOwned>(path: PathBuf) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::handmade;

    #[test]
    fn nobody_waits_while_another_model_is_fetched() {
        let home = tempfile::tempdir().unwrap();
        let model = home.path().join("model");
        handmade::write(&model, "means", &handmade::means()).unwrap();
        let (text, manifest) = (fs::read(model.join(MANIFEST)).unwrap(), Model::manifest(&model).unwrap());
        let cache = || Cache::new(home.path().join("mlflow"), "http://registry");
        let fetched = cache().keep(&text, &manifest, |_| {
            let (tell, told) = channel();
            let other = cache();
            std::thread::spawn(move || {
                other.remember_alias("means", "production", 1).unwrap();
                other.forget("means", &[7]).unwrap();
                tell.send(()).unwrap();
            });
            told.recv_timeout(Duration::from_secs(30)).expect("an alias can be remembered meanwhile");
            Ok(handmade::means())
        });
        assert_eq!(fetched.unwrap().onnx, [handmade::means()]);
        let hash = sha256(&text);
        assert!(cache().model(&hash).is_some(), "who was forgotten meanwhile wasn't this one");
        assert_eq!(cache().named("means", "production"), Some(1));
        // Nothing needs it.
        cache().forget("means", &[1]).unwrap();
        assert!(cache().model(&hash).is_none());
    }

    #[test]
    fn a_manifest_that_somebody_has_changed_is_none_and_no_hash_leads_out_of_the_cache() {
        let home = tempfile::tempdir().unwrap();
        let model = home.path().join("model");
        handmade::write(&model, "means", &handmade::means()).unwrap();
        let (text, manifest) = (fs::read(model.join(MANIFEST)).unwrap(), Model::manifest(&model).unwrap());
        let cache = Cache::new(home.path().join("mlflow"), "http://registry");
        let fetched = cache.keep(&text, &manifest, |_| Ok(handmade::means()));
        assert_eq!(fetched.unwrap().onnx, [handmade::means()]);
        let hash = sha256(&text);
        assert_eq!(cache.manifest(&hash).unwrap().text, text);
        for outside in ["../../../model", "", ".", &hash.to_uppercase()] {
            assert!(cache.manifest(outside).is_none() && cache.model(outside).is_none(), "{outside:?}");
        }
        let changed = String::from_utf8(text).unwrap().replace("\"accept\":0.5", "\"accept\":0.1");
        fs::write(cache.place(&hash).join(MANIFEST), changed).unwrap();
        assert!(cache.manifest(&hash).is_none() && cache.model(&hash).is_none());
    }

    #[test]
    fn what_was_fetched_in_vain_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let model = home.path().join("model");
        handmade::write(&model, "means", &handmade::means()).unwrap();
        let (text, manifest) = (fs::read(model.join(MANIFEST)).unwrap(), Model::manifest(&model).unwrap());
        let cache = Cache::new(home.path().join("mlflow"), "http://registry");
        let broken = cache.keep(&text, &manifest, |_| Ok(b"something else".to_vec()));
        assert!(matches!(broken, Err(RegistryError::Model(_))), "{broken:?}");
        assert!(list(&cache.server.join("unfinished")).unwrap().is_empty());
    }
}
