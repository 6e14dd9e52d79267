//! The registry on an MLflow 3 server.

mod api;
mod artifacts;
mod cache;
mod client;
mod history;
mod recording;
mod runs;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use autorma_schemas::{Micros, sha256};
use reqwest::Method;
use serde_json::{Value, json};

use self::api::{
    Alias, Done, ModelVersion, Models, OneExperiment, OneModel, OneRun, OneVersion, RegisteredModel, RunInfo,
    Versions,
};
use self::cache::{Cache, Kept};
use self::client::Client;
use self::history::{History, Note};
use self::runs::{Files, TRAINED};
use super::{
    Move, Reference, Registry, RegistryError, Signed, Version, Which, alias_named, expect, former, named,
};
use crate::verify::MOST_OF_A_MANIFEST;
use crate::{MANIFEST, Manifest, Model};

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
    /// What aliases named when they were asked for, until that is in the cache.
    named: Mutex<BTreeMap<(String, String), u64>>,
}

const SHA256: &str = "autorma.sha256";
const MANIFEST_SHA256: &str = "autorma.manifest_sha256";
const REGISTERED_AT: &str = "autorma.registered_at";
const REGISTERED_BY: &str = "autorma.registered_by";
const WHY: &str = "autorma.why";

/// Names on a page of a list.
const PAGE: &str = "200";
/// How often a version, or the run of a training, is tried to be created, and how long the pause in between is.
const CREATIONS: u32 = 6;
const CREATION_PAUSE: Duration = Duration::from_millis(300);
/// How old a run without a version must be to have been left by somebody who died, in milliseconds.
const LEFT: i64 = 3_600_000;

const NOT_THERE: &str = "RESOURCE_DOES_NOT_EXIST";
const THERE_ALREADY: &str = "RESOURCE_ALREADY_EXISTS";
/// What an unknown alias is to MLflow.
const INVALID: &str = "INVALID_PARAMETER_VALUE";

impl MlflowRegistry {
    /// A handle on a server, which isn't asked anything yet. What is fetched from it is kept in the folder `cache`.
    pub fn new(server: Server, cache: impl Into<PathBuf>) -> Result<Self, RegistryError> {
        let cache = Cache::new(cache.into(), &server.url);
        Ok(Self { client: Client::new(server)?, cache, named: Mutex::default() })
    }

    fn post(&self, path: &str, body: &Value) -> Result<Done, RegistryError> {
        self.client.send(Method::POST, path, body)
    }

    fn registered(&self, name: &str) -> Result<Option<RegisteredModel>, RegistryError> {
        let found = self.client.get::<OneModel>("registered-models/get", &[("name", &named(name)?)]);
        Ok(unless(NOT_THERE, found)?.map(|found| found.registered_model))
    }

    fn model_version(&self, name: &str, number: u64) -> Result<ModelVersion, RegistryError> {
        let query = [("name", &*named(name)?), ("version", &*number.to_string())];
        let found = self.client.get::<OneVersion>("model-versions/get", &query);
        let found = unless(NOT_THERE, found)?.map(|found| found.model_version);
        found.ok_or_else(|| RegistryError::NoVersion { name: name.into(), number })
    }

    /// The versions that a filter of MLflow's finds.
    fn search(&self, filter: &str) -> Result<Vec<ModelVersion>, RegistryError> {
        let (mut all, mut page) = (Vec::new(), String::new());
        loop {
            let query = [("filter", filter), ("max_results", PAGE), ("page_token", &page)];
            let query = &query[..if page.is_empty() { 2 } else { 3 }];
            let found: Versions = self.client.get("model-versions/search", query)?;
            all.extend(found.model_versions);
            page = found.next_page_token;
            if page.is_empty() {
                return Ok(all);
            }
        }
    }

    fn versions(&self, name: &str) -> Result<Vec<(u64, ModelVersion)>, RegistryError> {
        let found = self.search(&format!("name='{}'", named(name)?))?;
        let mut all: Vec<_> =
            found.into_iter().filter_map(|it| Some((it.version.parse().ok()?, it))).collect();
        all.sort_by_key(|(number, _)| *number);
        Ok(all)
    }

    /// A version's manifest as it was written, and read: from the cache if the version says which it is.
    fn manifest(&self, name: &str, number: u64, is: &ModelVersion) -> Result<Read, RegistryError> {
        let at = format!("{name}/{number}/{MANIFEST}");
        if is.status != "READY" {
            return Err(self.client.refused("NOT_READY", &format!("{name}/{number} is {}", is.status)));
        }
        if let Some((hash, manifest)) =
            is.tag(MANIFEST_SHA256).and_then(|hash| Some((hash, self.cache.manifest(hash)?)))
        {
            return self.checked(name, number, is, Read { hash: hash.to_owned(), text: None, manifest });
        }
        let mut text = Vec::new();
        let path = self.artifacts_of(is)?;
        self.client.download(&format!("{path}/{MANIFEST}"), MOST_OF_A_MANIFEST, &mut text)?;
        let manifest = Model::manifest_in(&text, Path::new(&at))?;
        self.checked(name, number, is, Read { hash: sha256(&text), text: Some(text), manifest })
    }

    /// What was read, with MLflow's number, if it is what the version's tags say.
    fn checked(&self, name: &str, number: u64, is: &ModelVersion, it: Read) -> Result<Read, RegistryError> {
        let differs = |key, found: &str| is.tag(key).is_some_and(|said| said != found);
        if differs(MANIFEST_SHA256, &it.hash) || differs(SHA256, &it.manifest.sha256()) {
            let message = format!("the artifacts of {name}/{number} aren't those that were registered");
            return Err(self.client.refused("CHANGED", &message));
        }
        if it.manifest.name != name {
            let message = format!("the manifest of {name}/{number} is of the model {:?}", it.manifest.name);
            return Err(self.client.refused("ANOTHER_MODEL", &message));
        }
        Ok(it)
    }

    fn experiment(&self, name: &str) -> Result<Option<String>, RegistryError> {
        let query = [("experiment_name", name)];
        let found = unless(NOT_THERE, self.client.get::<OneExperiment>("experiments/get-by-name", &query))?;
        match found.map(|found| found.experiment) {
            Some(it) if it.lifecycle_stage == "deleted" => {
                let message =
                    format!("the experiment {name} is deleted: restore it, or have it removed for good");
                Err(self.client.refused("DELETED", &message))
            }
            found => Ok(found.map(|it| it.experiment_id)),
        }
    }

    /// The experiment is there from now on. Returns its id.
    fn create_experiment(&self, name: &str) -> Result<String, RegistryError> {
        if self.experiment(name)?.is_none() {
            unless(THERE_ALREADY, self.post("experiments/create", &json!({ "name": name })))?;
        }
        self.experiment(name)?.ok_or_else(|| self.client.refused(NOT_THERE, &format!("no experiment {name}")))
    }

    /// A version with the same files and the same manifest but for its number.
    fn twin(&self, manifest: &Manifest) -> Result<Option<Version>, RegistryError> {
        let name = &manifest.name;
        for (number, is) in self.versions(name)? {
            if is.tag(SHA256).is_some_and(|sha256| sha256 != manifest.sha256()) {
                continue;
            }
            // One that can't be read is no other's concern.
            let Ok(found) = self.manifest(name, number, &is) else { continue };
            let found = of_number(found.manifest, number);
            // Its maker may have called the files something else.
            if found.with_named_files() == of_number(manifest.clone(), number) {
                return Ok(Some(Version { number, manifest: found, signed: signed(&is) }));
            }
        }
        Ok(None)
    }

    /// The run whose artifacts become a version: that of the model's training, if it was recorded, or one of their own.
    fn run_with(&self, experiment: &str, files: &Files, signed: &Signed) -> Result<RunInfo, RegistryError> {
        let trained = format!("tags.`{TRAINED}` = '{}' and attributes.status = 'FINISHED'", files.hash);
        if let Some(run) = self.find_runs(experiment, &trained)?.into_iter().next() {
            return Ok(run);
        }
        let name = format!("register {}", &files.manifest.sha256()[..8]);
        let run = runs::new(experiment, &name, Micros::now(), &signed.by, &[(MANIFEST_SHA256, &files.hash)]);
        let run = self.client.send::<OneRun>(Method::POST, "runs/create", &run)?.run.info;
        self.upload(&run, files)?;
        self.end(&run)?;
        Ok(run)
    }

    /// Creates the version of a run.
    fn create_version(
        &self,
        name: &str,
        run: &RunInfo,
        tags: &Value,
        why: &str,
    ) -> Result<u64, RegistryError> {
        let source = format!("{}/model", run.artifact_uri);
        let body =
            json!({"name": name, "source": source, "run_id": run.run_id, "tags": tags, "description": why});
        let create = || self.client.send_once::<OneVersion>(Method::POST, "model-versions/create", &body);
        let find = || Ok(self.search(&format!("run_id='{}'", run.run_id))?.pop());
        let created = once(|| Ok(create()?.model_version), find)?;
        let number = created.version.parse();
        number.map_err(|_| self.client.refused("NO_NUMBER", &format!("{:?} is no version", created.version)))
    }

    fn write(&self, name: &str, key: &str, note: &Note) -> Result<(), RegistryError> {
        let value = serde_json::to_string(note).expect("numbers and text are JSON");
        self.post("registered-models/set-tag", &json!({"name": name, "key": key, "value": value})).map(drop)
    }

    fn delete(&self, path: &str, body: &Value) -> Result<(), RegistryError> {
        unless(NOT_THERE, self.client.send::<Done>(Method::DELETE, path, body)).map(drop)
    }

    /// Notes what an alias names, for the time when the server is away: once the version is here.
    fn remember(&self, name: &str, alias: &str, number: u64) -> Result<(), RegistryError> {
        match self.cache.version(name, number) {
            Some(_) => self.cache.remember_alias(name, alias, number),
            None => Ok(()),
        }
    }

    /// Notes a move, makes it and confirms it, if `may` says so of what the alias names just before.
    fn make_move(
        &self,
        name: &str,
        alias: &str,
        number: u64,
        signed: &Signed,
        may: impl FnOnce(Option<u64>) -> Result<(), RegistryError>,
    ) -> Result<Move, RegistryError> {
        let alias = alias_named(alias)?;
        self.load(name, number)?;
        let missing = || RegistryError::NoVersion { name: name.into(), number };
        let history = |model: &RegisteredModel| History::of(model, &alias);
        if let Some((key, note)) = history(&self.registered(name)?.ok_or_else(missing)?).unconfirmed() {
            self.write(name, &key, &note)?;
        }
        let model = self.registered(name)?.ok_or_else(missing)?;
        may(model.now(&alias))?;
        let key = history(&model).next();
        let made = Move { version: number, signed: signed.clone() };
        self.write(name, &key, &Note { is: made.clone(), made: false })?;
        let moved = json!({"name": name, "alias": alias, "version": number.to_string()});
        if let Err(error) = self.post("registered-models/alias", &moved) {
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
}

/// A manifest.
struct Read {
    /// The SHA-256 of its text.
    hash: String,
    /// Its text; None if it is in the cache.
    text: Option<Vec<u8>>,
    manifest: Manifest,
}

impl Registry for MlflowRegistry {
    fn register(&self, model: &Path, signed: &Signed) -> Result<Version, RegistryError> {
        let files = Files::read(model)?;
        let manifest = files.manifest.clone();
        let name = named(&manifest.name)?;
        if let Some(twin) = self.twin(&manifest)? {
            return Ok(twin);
        }
        unless(THERE_ALREADY, self.post("registered-models/create", &json!({ "name": name })))?;
        let experiment = self.create_experiment(&name)?;
        let run = self.run_with(&experiment, &files, signed)?;
        let tags = json!([
            {"key": SHA256, "value": manifest.sha256()},
            {"key": MANIFEST_SHA256, "value": files.hash},
            {"key": REGISTERED_AT, "value": signed.at.0.to_string()},
            {"key": REGISTERED_BY, "value": signed.by},
            {"key": WHY, "value": signed.why},
        ]);
        let number = self.create_version(&name, &run, &tags, &signed.why)?;
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
        let (mut names, mut page) = (Vec::new(), String::new());
        loop {
            let query = [("max_results", PAGE), ("page_token", &*page)];
            let query = &query[..if page.is_empty() { 1 } else { 2 }];
            let found: Models = self.client.get("registered-models/search", query)?;
            // What has another kind of name can't be asked for by it.
            let ours = |it: &RegisteredModel| !it.latest_versions.is_empty() && named(&it.name).is_ok();
            names.extend(found.registered_models.into_iter().filter(ours).map(|it| it.name));
            page = found.next_page_token;
            if page.is_empty() {
                names.sort();
                return Ok(names);
            }
        }
    }

    fn load(&self, name: &str, number: u64) -> Result<Model, RegistryError> {
        let is = self.model_version(name, number)?;
        let Read { hash, text, manifest } = self.manifest(name, number, &is)?;
        let model = match (self.cache.model(&hash), text) {
            (Some(model), _) => model,
            (None, text) => {
                let path = self.artifacts_of(&is)?;
                let text = match text {
                    Some(text) => text,
                    // Its files aren't whole any more: all of it is fetched again.
                    None => {
                        let mut text = Vec::new();
                        self.client.download(&format!("{path}/{MANIFEST}"), MOST_OF_A_MANIFEST, &mut text)?;
                        text
                    }
                };
                self.cache.keep(&text, &manifest, |file, to| {
                    self.client.download(&format!("{path}/{}", file.file), file.bytes, to)
                })?
            }
        };
        self.cache.remember_version(name, number, &Kept { manifest: hash })?;
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((of, alias), named) in named {
            if of == name && named == number {
                self.cache.remember_alias(name, &alias, number)?;
            }
        }
        Ok(Model { manifest: of_number(model.manifest, number), onnx: model.onnx })
    }

    fn reference(&self, name: &str, number: u64) -> Result<Option<Model>, RegistryError> {
        let is = self.model_version(name, number)?;
        let Read { hash, manifest, .. } = self.manifest(name, number, &is)?;
        if manifest.of_reference().is_none() {
            return Ok(None);
        }
        // It lies beside the model.
        self.load(name, number)?;
        let path = self.artifacts_of(&is)?;
        let found = self.cache.reference(&hash, |file, to| {
            self.client.download(&format!("{path}/{}", file.file), file.bytes, to)
        })?;
        Ok(found.map(|it| Model { manifest: of_number(it.manifest, number), onnx: it.onnx }))
    }

    fn now(&self, name: &str, alias: &str) -> Result<Option<u64>, RegistryError> {
        let query = [("name", &*named(name)?), ("alias", &*alias_named(alias)?)];
        let found = self.client.get::<OneVersion>("registered-models/alias", &query);
        // An unknown model is the one, an unknown alias the other.
        let found = unless(NOT_THERE, unless(INVALID, found))?.flatten();
        let Some(number) = found.and_then(|found| found.model_version.version.parse().ok()) else {
            return Ok(None);
        };
        let key = (name.to_owned(), alias.to_owned());
        self.named.lock().unwrap_or_else(PoisonError::into_inner).insert(key, number);
        self.remember(name, alias, number)?;
        Ok(Some(number))
    }

    fn aliases(&self, name: &str) -> Result<BTreeMap<String, u64>, RegistryError> {
        let aliases = self.registered(name)?.map(|model| model.aliases).unwrap_or_default();
        let read = |Alias { alias, version }| Some((alias_named(&alias).ok()?, version.parse().ok()?));
        Ok(aliases.into_iter().filter_map(read).collect())
    }

    fn point(&self, name: &str, alias: &str, number: u64, signed: &Signed) -> Result<Move, RegistryError> {
        self.make_move(name, alias, number, signed, |_| Ok(()))
    }

    fn point_from(
        &self,
        former: Option<u64>,
        name: &str,
        alias: &str,
        number: u64,
        signed: &Signed,
    ) -> Result<Move, RegistryError> {
        self.make_move(name, alias, number, signed, |now| expect(former, now, name, alias))
    }

    fn moves(&self, name: &str, alias: &str) -> Result<Vec<Move>, RegistryError> {
        let alias = alias_named(alias)?;
        Ok(self.registered(name)?.map_or_else(Vec::new, |model| History::of(&model, &alias).moves()))
    }

    fn collect(&self, name: &str, keep: usize) -> Result<Vec<u64>, RegistryError> {
        let versions = self.versions(name)?;
        let mut kept: BTreeSet<u64> =
            versions.iter().rev().take(keep.max(1)).map(|(number, _)| *number).collect();
        for (alias, now) in self.aliases(name)? {
            kept.insert(now);
            kept.extend(former(&self.moves(name, &alias)?));
        }
        let mut runs: HashMap<_, _> =
            self.registered_runs(name)?.into_iter().map(|it| (it.run_id.clone(), it)).collect();
        let (mut gone, latest) = (Vec::new(), Micros::now().0 / 1000 - LEFT);
        for (number, version) in versions {
            let run = runs.remove(&version.run_id);
            if kept.contains(&number) {
                continue;
            }
            let version = json!({"name": name, "version": number.to_string()});
            self.delete("model-versions/delete", &version)?;
            // Nobody else's.
            if let Some(run) = run {
                unless(NOT_THERE, self.post("runs/delete", &json!({ "run_id": run.run_id })))?;
            }
            gone.push(number);
        }
        for run in runs.into_values().filter(|run| run.start_time < latest) {
            unless(NOT_THERE, self.post("runs/delete", &json!({ "run_id": run.run_id })))?;
        }
        self.cache.forget(name, &gone)?;
        Ok(gone)
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

/// Has something made that must be made once: before it is tried again, it is looked for.
fn once<T>(
    make: impl Fn() -> Result<T, RegistryError>,
    find: impl Fn() -> Result<Option<T>, RegistryError>,
) -> Result<T, RegistryError> {
    let mut attempt = 1;
    loop {
        match make() {
            Err(error) if error.is_away() && attempt < CREATIONS => {
                std::thread::sleep(CREATION_PAUSE * attempt);
            }
            made => return made,
        }
        if let Some(found) = find()? {
            return Ok(found);
        }
        attempt += 1;
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
