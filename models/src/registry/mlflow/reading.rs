//! What a version is: as it was fetched, or as the server has it now.

use std::path::Path;

use autorma_schemas::sha256;
use serde_json::json;

use super::api::ModelVersion;
use super::cache::Kept;
use super::{MANIFEST_SHA256, MlflowRegistry, NOT_THERE, SHA256, of_number, unless};
use crate::registry::RegistryError;
use crate::verify::MOST_OF_A_MANIFEST;
use crate::{Error as ModelError, File, MANIFEST, Manifest, Model};

/// Names and values of tags.
type Tags = Vec<(&'static str, String)>;

/// A manifest.
#[derive(Debug)]
pub(super) struct Read {
    /// The SHA-256 of its text.
    pub(super) hash: String,
    pub(super) text: Vec<u8>,
    pub(super) manifest: Manifest,
}

impl MlflowRegistry {
    /// A version's manifest: from the cache if the version says which it is.
    pub(super) fn manifest(&self, name: &str, number: u64, is: &ModelVersion) -> Result<Read, RegistryError> {
        self.expect_ready(name, number, is)?;
        match is.tag(MANIFEST_SHA256).and_then(|hash| self.cache.manifest(hash)) {
            Some(read) => self.checked(name, number, is, read),
            None => self.manifest_there(name, number, is),
        }
    }

    /// The same as the server has it now.
    pub(super) fn manifest_there(
        &self,
        name: &str,
        number: u64,
        is: &ModelVersion,
    ) -> Result<Read, RegistryError> {
        self.expect_ready(name, number, is)?;
        let text = self.manifest_text(name, number, is)?;
        let manifest = Model::manifest_in(&text, Path::new(&format!("{name}/{number}/{MANIFEST}")))?;
        self.checked(name, number, is, Read { hash: sha256(&text), text, manifest })
    }

    /// Its text, whatever it says.
    pub(super) fn manifest_text(
        &self,
        name: &str,
        number: u64,
        is: &ModelVersion,
    ) -> Result<Vec<u8>, RegistryError> {
        self.expect_there(name, number, MANIFEST, self.manifest_if_there(is)?)
    }

    /// None if the server says that it has none.
    pub(super) fn manifest_if_there(&self, is: &ModelVersion) -> Result<Option<Vec<u8>>, RegistryError> {
        let path = self.artifacts_of(is)?;
        unless(NOT_THERE, self.client.read(&format!("{path}/{MANIFEST}"), MOST_OF_A_MANIFEST))
    }

    /// A file of a version whose artifacts are at this path.
    pub(super) fn fetch(
        &self,
        name: &str,
        number: u64,
        path: &str,
        File { file, bytes, .. }: &File,
    ) -> Result<Vec<u8>, RegistryError> {
        let content = self.client.download(&format!("{path}/{file}"), *bytes);
        self.expect_there(name, number, file, unless(NOT_THERE, content)?)
    }

    /// What the server has of a file of a version, which is to be there.
    fn expect_there(
        &self,
        name: &str,
        number: u64,
        file: &str,
        found: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, RegistryError> {
        let lacks = || format!("{file} of {name}/{number} isn't on the server; register it anew");
        found.ok_or_else(|| self.client.unfit(lacks()))
    }

    fn expect_ready(&self, name: &str, number: u64, is: &ModelVersion) -> Result<(), RegistryError> {
        match &*is.status {
            "READY" => Ok(()),
            status => Err(self.client.unfit(format!("{name}/{number} is {status}"))),
        }
    }

    /// What was read, if it is what the version's tags say.
    fn checked(&self, name: &str, number: u64, is: &ModelVersion, it: Read) -> Result<Read, RegistryError> {
        let differs = |key, found: &str| is.tag(key).is_some_and(|said| said != found);
        if differs(MANIFEST_SHA256, &it.hash) || differs(SHA256, &it.manifest.sha256()) {
            return Err(self.client.unfit(format!(
                "the artifacts of {name}/{number} aren't those that were registered: register it anew"
            )));
        }
        if it.manifest.name != name {
            return Err(self.client.unfit(format!(
                "the manifest of {name}/{number} is of the model {:?}: name it {name}",
                it.manifest.name
            )));
        }
        Ok(it)
    }

    /// The model of this manifest, with MLflow's number: from the cache, or fetched if it isn't there whole.
    pub(super) fn model(
        &self,
        name: &str,
        number: u64,
        is: &ModelVersion,
        Read { hash, text, manifest }: Read,
    ) -> Result<Model, RegistryError> {
        let model = match self.cache.model(&hash) {
            Some(model) => model,
            None => {
                let path = self.artifacts_of(is)?;
                let fetch = |file: &File| self.fetch(name, number, &path, file);
                let kept = self.cache.keep(&text, &manifest, fetch);
                kept.map_err(|error| self.of_version(name, number, error))?
            }
        };
        // What can't be noted is only missed where the server is away.
        drop(self.cache.remember_version(name, number, &Kept { manifest: hash }));
        Ok(Model { manifest: of_number(model.manifest, number), onnx: model.onnx })
    }

    /// An error of files that were fetched, which are gone again: it says whose they are and not where they lay.
    pub(super) fn of_version(&self, name: &str, number: u64, error: RegistryError) -> RegistryError {
        match error {
            RegistryError::Model(ModelError::Different { path, found, expected, .. }) => {
                let file = path.file_name().unwrap_or_default().display();
                self.client.unfit(format!(
                    "{file} of {name}/{number} is not the one of its manifest: {found}, expected {expected}; register \
                     it anew"
                ))
            }
            other => other,
        }
    }

    /// A version's model, if the server has it whole now: that it is in the cache says nothing of that.
    pub(super) fn load_there(&self, name: &str, number: u64) -> Result<Model, RegistryError> {
        let is = self.model_version(name, number)?;
        let read = self.manifest_there(name, number, &is)?;
        self.load_read(name, number, &is, read)
    }

    fn load_read(
        &self,
        name: &str,
        number: u64,
        is: &ModelVersion,
        read: Read,
    ) -> Result<Model, RegistryError> {
        if self.cache.model(&read.hash).is_some() {
            self.compare(name, number, is, read.manifest.members.iter().map(|member| &member.model))?;
        }
        self.model(name, number, is, read)
    }

    /// Sees that the server has a version whole. Returns what it is, and the tags that say so, as far as nobody has set them.
    pub(super) fn unsealed(&self, name: &str, number: u64) -> Result<(Manifest, Tags), RegistryError> {
        let is = self.model_version(name, number)?;
        let read = self.manifest_there(name, number, &is)?;
        let tags = [(MANIFEST_SHA256, read.hash.clone()), (SHA256, read.manifest.sha256())];
        let manifest = self.load_read(name, number, &is, read)?.manifest;
        Ok((manifest, tags.into_iter().filter(|(key, _)| is.tag(key).is_none()).collect()))
    }

    /// Notes what a version is: what others have registered may be changed on the server until we let an alias name it, and
    /// no longer.
    pub(super) fn seal(&self, name: &str, number: u64, tags: Tags) -> Result<(), RegistryError> {
        tags.into_iter().try_for_each(|(key, value)| {
            let tag = json!({"name": name, "version": number.to_string(), "key": key, "value": value});
            self.post("model-versions/set-tag", &tag).map(drop)
        })
    }

    /// An error if the server hasn't these files of a version any more, or has others under their names.
    pub(super) fn compare<'a>(
        &self,
        name: &str,
        number: u64,
        is: &ModelVersion,
        files: impl Iterator<Item = &'a File>,
    ) -> Result<(), RegistryError> {
        let path = self.artifacts_of(is)?;
        for file in files {
            let compared = file.verify(Path::new(&file.file), &self.fetch(name, number, &path, file)?);
            compared.map_err(|error| self.of_version(name, number, error.into()))?;
        }
        Ok(())
    }
}
