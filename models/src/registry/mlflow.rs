//! The registry on an MLflow 3 server.

mod api;
mod artifacts;
mod cache;
mod client;
mod collecting;
mod history;
mod reading;
mod recording;
mod registering;
mod runs;

use std::path::{Path, PathBuf};

use autorma_schemas::Micros;
use reqwest::Method;
use serde_json::{Value, json};

use self::api::{
    Alias, Done, ModelVersion, Models, OneExperiment, OneModel, OneVersion, RegisteredModel, Versions,
};
use self::cache::Cache;
use self::client::Client;
use self::history::{History, Note};
use self::registering::once;
use self::runs::Files;
use super::{
    Aliases, May, Move, Reference, Registry, RegistryError, Signed, Version, Which, WithReference,
    checked_alias, checked_name,
};
use crate::{File, Manifest, Model};

pub use self::client::Server;
pub use self::recording::{Figure, Recorded, Recording};

/// An MLflow server's model registry. A version is a run with the model's folder as its artifact, and a model version
/// that says where that is:
///
/// - experiment and registered model are named after the model;
/// - the run's artifacts `model/manifest.json`, `model/<sha256>.onnx` of each member and of its reference, if it has one,
///   uploaded through the server; where the model's training was recorded ([`MlflowRegistry::record`]), it is that run;
/// - the model version's tags: `autorma.sha256` ([`Manifest::sha256`]) and `autorma.manifest_sha256` (of that file),
///   `autorma.registered_at` (microseconds), `autorma.registered_by`, `autorma.why`.
///
/// The model version is created last, and with its tags: until then there is a run that nobody looks at, from then on a
/// version that is whole. What others have registered is a version like any other if there is a manifest with its ONNX
/// files; its number is MLflow's, whatever the manifest says.
#[derive(Debug)]
pub struct MlflowRegistry {
    client: Client,
    cache: Cache,
}

const SHA256: &str = "autorma.sha256";
const MANIFEST_SHA256: &str = "autorma.manifest_sha256";
const REGISTERED_AT: &str = "autorma.registered_at";
const REGISTERED_BY: &str = "autorma.registered_by";
const WHY: &str = "autorma.why";

/// Names on a page of a list.
const PAGE: &str = "200";
/// How many of a model's versions are looked at for a manifest, to tell whether it is for autorma.
const NEWEST: usize = 10;

const NOT_THERE: &str = "RESOURCE_DOES_NOT_EXIST";
const THERE_ALREADY: &str = "RESOURCE_ALREADY_EXISTS";
/// What an unknown alias is to MLflow.
const INVALID: &str = "INVALID_PARAMETER_VALUE";

impl MlflowRegistry {
    /// A handle on a server, which isn't asked anything yet. What is fetched from it is kept in the folder `cache`.
    pub fn new(server: Server, cache: impl Into<PathBuf>) -> Result<Self, RegistryError> {
        let cache = Cache::new(cache.into(), &server.url);
        Ok(Self { client: Client::new(server)?, cache })
    }

    fn post(&self, path: &str, body: &Value) -> Result<Done, RegistryError> {
        self.client.send(Method::POST, path, body)
    }

    fn registered(&self, name: &str) -> Result<Option<RegisteredModel>, RegistryError> {
        let found = self.client.get::<OneModel>("registered-models/get", &[("name", &checked_name(name)?)]);
        Ok(unless(NOT_THERE, found)?.map(|found| found.registered_model))
    }

    fn model_version(&self, name: &str, number: u64) -> Result<ModelVersion, RegistryError> {
        let query = [("name", &*checked_name(name)?), ("version", &*number.to_string())];
        let found = self.client.get::<OneVersion>("model-versions/get", &query);
        let found = unless(NOT_THERE, found)?.map(|found| found.model_version);
        found.ok_or_else(|| RegistryError::NoVersion { name: name.into(), number })
    }

    /// The versions that a filter of MLflow's finds.
    fn search(&self, filter: &str) -> Result<Vec<ModelVersion>, RegistryError> {
        let query = [("filter", filter), ("max_results", PAGE)];
        let page = |found: Versions| (found.model_versions, found.next_page_token);
        self.client.list("model-versions/search", &query, page)
    }

    fn versions(&self, name: &str) -> Result<Vec<(u64, ModelVersion)>, RegistryError> {
        let found = self.search(&format!("name='{}'", checked_name(name)?))?;
        let mut all: Vec<_> =
            found.into_iter().filter_map(|it| Some((it.version.parse().ok()?, it))).collect();
        all.sort_by_key(|(number, _)| *number);
        Ok(all)
    }

    /// Whether a model is for autorma: a version was registered or sealed by it, or one of the newest has a manifest, as far
    /// as the server says that. Others' have neither, wherever their artifacts are.
    fn is_ours(&self, name: &str) -> Result<bool, RegistryError> {
        let versions = self.versions(name)?;
        let may_have_manifest = |is: &ModelVersion| match self.manifest_if_there(is) {
            Ok(manifest) => manifest.is_some(),
            Err(error) => error.is_away(),
        };
        let is_ours = versions.iter().any(|(_, is)| is.tag(MANIFEST_SHA256).is_some())
            || versions.iter().rev().take(NEWEST).any(|(_, is)| may_have_manifest(is));
        if !is_ours {
            tracing::debug!(model = name, "left out: it never was for autorma");
        }
        Ok(is_ours)
    }

    fn experiment(&self, name: &str) -> Result<Option<String>, RegistryError> {
        let query = [("experiment_name", name)];
        let found = unless(NOT_THERE, self.client.get::<OneExperiment>("experiments/get-by-name", &query))?;
        match found.map(|found| found.experiment) {
            Some(it) if it.lifecycle_stage == "deleted" => {
                let problem =
                    format!("the experiment {name} is deleted: restore it, or have it removed for good");
                Err(self.client.unfit(problem))
            }
            found => Ok(found.map(|it| it.experiment_id)),
        }
    }

    /// The experiment is there from now on. Returns its id.
    fn create_experiment(&self, name: &str) -> Result<String, RegistryError> {
        if let Some(id) = self.experiment(name)? {
            return Ok(id);
        }
        unless(THERE_ALREADY, self.post("experiments/create", &json!({ "name": name })))?;
        self.experiment(name)?.ok_or_else(|| self.client.unfit(format!("no experiment {name}")))
    }

    fn write(&self, name: &str, key: &str, note: &Note) -> Result<(), RegistryError> {
        let value = serde_json::to_string(note).expect("numbers and text are JSON");
        self.post("registered-models/set-tag", &json!({"name": name, "key": key, "value": value})).map(drop)
    }

    fn delete(&self, path: &str, body: &Value) -> Result<(), RegistryError> {
        unless(NOT_THERE, self.client.send::<Done>(Method::DELETE, path, body)).map(drop)
    }
}

impl Registry for MlflowRegistry {
    fn register(&self, model: &Path, signed: &Signed) -> Result<Version, RegistryError> {
        let files = Files::read(model)?;
        let manifest = files.manifest.clone();
        let name = checked_name(&manifest.name)?;
        if let Some(twin) = self.twin(&manifest)? {
            return Ok(twin);
        }
        unless(THERE_ALREADY, self.post("registered-models/create", &json!({ "name": name })))?;
        let experiment = self.create_experiment(&name)?;
        let run = self.run_with(&experiment, &files, signed)?;
        // The run may be of a version that is whole again now.
        if let Some(twin) = self.twin(&manifest)? {
            return Ok(twin);
        }
        let number = self.create_version(&name, &run, &files, signed)?;
        Ok(Version { number, manifest: of_number(manifest, number), signed: signed.clone() })
    }

    fn numbers(&self, name: &str) -> Result<Vec<u64>, RegistryError> {
        Ok(self.versions(name)?.into_iter().map(|(number, _)| number).collect())
    }

    fn version(&self, name: &str, number: u64) -> Result<Version, RegistryError> {
        let is = self.model_version(name, number)?;
        let manifest = of_number(self.manifest(name, number, &is)?.manifest, number);
        Ok(Version { number, manifest, signed: signed(&is) })
    }

    fn names(&self) -> Result<Vec<String>, RegistryError> {
        let page = |found: Models| (found.registered_models, found.next_page_token);
        let found = self.client.list("registered-models/search", &[("max_results", PAGE)], page)?;
        // What has another kind of name can't be asked for by it.
        let named = |it: &RegisteredModel| !it.latest_versions.is_empty() && checked_name(&it.name).is_ok();
        let mut ours = Vec::new();
        for RegisteredModel { name, .. } in found.into_iter().filter(named) {
            if self.is_ours(&name)? {
                ours.push(name);
            }
        }
        ours.sort();
        Ok(ours)
    }

    fn load(&self, name: &str, number: u64) -> Result<Model, RegistryError> {
        let is = self.model_version(name, number)?;
        let read = self.manifest(name, number, &is)?;
        self.model(name, number, &is, read)
    }

    fn reference(&self, name: &str, number: u64) -> Result<Option<Model>, RegistryError> {
        let is = self.model_version(name, number)?;
        let read = self.manifest(name, number, &is)?;
        if read.manifest.of_reference().is_none() {
            return Ok(None);
        }
        // It lies beside the model.
        self.load(name, number)?;
        let path = self.artifacts_of(&is)?;
        let fetch = |file: &File| self.fetch(name, number, &path, file);
        let found =
            self.cache.reference(&read, fetch).map_err(|error| self.of_version(name, number, error))?;
        Ok(found.map(|it| Model { manifest: of_number(it.manifest, number), onnx: it.onnx }))
    }

    fn verify(&self, name: &str, number: u64) -> Result<WithReference, RegistryError> {
        let model = self.load_there(name, number)?;
        let is = self.model_version(name, number)?;
        let compared = self.compare(name, number, &is, model.manifest.references());
        let reference = compared.and_then(|()| self.reference(name, number));
        Ok((model, reference))
    }

    fn now(&self, name: &str, alias: &str) -> Result<Option<u64>, RegistryError> {
        let query = [("name", &*checked_name(name)?), ("alias", &*checked_alias(alias)?)];
        let found = self.client.get::<OneVersion>("registered-models/alias", &query);
        // An unknown model is the one, an unknown alias the other.
        let found = unless(NOT_THERE, unless(INVALID, found))?.flatten();
        Ok(found.and_then(|found| found.model_version.version.parse().ok()))
    }

    fn aliases(&self, name: &str) -> Result<Aliases, RegistryError> {
        let aliases = self.registered(name)?.map(|model| model.aliases).unwrap_or_default();
        let read = |Alias { alias, version }| Some((checked_alias(&alias).ok()?, Ok(version.parse().ok()?)));
        Ok(aliases.into_iter().filter_map(read).collect())
    }

    /// Notes the move, makes it and confirms it.
    fn make_move(
        &self,
        name: &str,
        alias: &str,
        number: u64,
        signed: &Signed,
        may: &May<'_>,
    ) -> Result<Move, RegistryError> {
        let alias = checked_alias(alias)?;
        let (is, unsealed) = self.unsealed(name, number)?;
        let missing = || RegistryError::NoVersion { name: name.into(), number };
        let history = |model: &RegisteredModel| History::of(model, &alias);
        if let Some((key, note)) = history(&self.registered(name)?.ok_or_else(missing)?).unconfirmed() {
            self.write(name, &key, &note)?;
        }
        let model = self.registered(name)?.ok_or_else(missing)?;
        may(model.now(&alias), &is)?;
        self.seal(name, number, unsealed)?;
        let key = history(&model).next();
        let made = Move { version: number, signed: signed.clone() };
        self.write(name, &key, &Note { is: made.clone(), made: false })?;
        let moved = json!({"name": name, "alias": alias, "version": number.to_string()});
        let post = || self.client.send_once::<Done>(Method::POST, "registered-models/alias", &moved);
        // That nothing has come of it may be because another has moved it; or it has moved, and the answer is lost.
        let look = || match self.registered(name)?.ok_or_else(missing)?.now(&alias) {
            Some(now) if now == number => Ok(Some(Done {})),
            now => may(now, &is).map(|()| None),
        };
        if let Err(error) = once(post, look) {
            if !error.is_away() {
                self.delete("registered-models/delete-tag", &json!({"name": name, "key": key}))?;
            }
            return Err(error);
        }
        // The alias has moved. Without this, the note counts as long as the alias names what it says, and the next who
        // moves it confirms the note.
        drop(self.write(name, &key, &Note { is: made.clone(), made: true }));
        Ok(made)
    }

    fn moves(&self, name: &str, alias: &str) -> Result<Vec<Move>, RegistryError> {
        let alias = checked_alias(alias)?;
        Ok(self.registered(name)?.map_or_else(Vec::new, |model| History::of(&model, &alias).moves()))
    }

    fn collect(&self, name: &str, keep: usize) -> Result<Vec<u64>, RegistryError> {
        self.remove_unneeded(name, keep)
    }

    fn remember(&self, Reference { name, which }: &Reference, number: u64) {
        if let Which::Alias(alias) = which {
            drop(self.cache.remember_alias(name, alias, number));
        }
    }

    fn remembered(&self, Reference { name, which }: &Reference) -> Option<(u64, Model)> {
        let number = match which {
            Which::Number(number) => *number,
            Which::Alias(alias) => self.cache.named(name, alias)?,
        };
        let model = self.cache.model(&self.cache.version(name, number)?.manifest)?;
        Some((number, Model { manifest: of_number(model.manifest, number), onnx: model.onnx }))
    }
}

/// None instead of this error.
fn unless<T>(code: &str, result: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match result {
        Err(RegistryError::Refused { code: found, .. }) if found == code => Ok(None),
        result => result.map(Some),
    }
}

/// MLflow's number counts, which nobody knew when the manifest was written.
fn of_number(manifest: Manifest, number: u64) -> Manifest {
    Manifest { version: number.to_string(), ..manifest }
}

/// Who registered a version: what its tags say, or else what MLflow knows.
fn signed(is: &ModelVersion) -> Signed {
    let at = is.tag(REGISTERED_AT).and_then(|at| at.parse().ok()).unwrap_or(is.creation_timestamp * 1000);
    Signed {
        at: Micros(at),
        by: is.tag(REGISTERED_BY).unwrap_or(&is.user_id).to_owned(),
        why: is.tag(WHY).unwrap_or(&is.description).to_owned(),
    }
}
