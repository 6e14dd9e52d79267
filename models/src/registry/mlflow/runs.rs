//! Runs: where MLflow keeps what belongs together.

use std::collections::BTreeMap;
use std::path::Path;

use autorma_schemas::{Micros, sha256};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{RunInfo, Runs};
use super::{MANIFEST_SHA256, MlflowRegistry, artifacts};
use crate::registry::RegistryError;
use crate::{MANIFEST, Manifest, Model};

/// The tag of a training's run: the SHA-256 of its model's manifest. [`MANIFEST_SHA256`] is only for runs that come and go
/// with their versions.
pub(super) const TRAINED: &str = "autorma.trained";

/// A model's files as a run has them.
pub(super) struct Files {
    pub(super) manifest: Manifest,
    /// The manifest's text, and its SHA-256.
    text: Vec<u8>,
    pub(super) hash: String,
    /// The others, each named after its content.
    content: BTreeMap<String, Vec<u8>>,
}

impl Files {
    /// Those in a model's folder, verified.
    pub(super) fn read(folder: &Path) -> Result<Self, RegistryError> {
        let (manifest, content) = Model::open_all(folder)?;
        let text = manifest.text(&folder.join(MANIFEST))?;
        Ok(Self { hash: sha256(&text), manifest, text, content })
    }
}

/// A run to be created.
pub(super) fn new(experiment: &str, name: &str, begun: Micros, by: &str, tags: &[(&str, &str)]) -> Value {
    let own = [("mlflow.source.name", "autorma"), ("mlflow.user", by)];
    let tags = own.iter().chain(tags);
    let tags: Vec<_> = tags.map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({"experiment_id": experiment, "run_name": name, "start_time": begun.0 / 1000, "tags": tags})
}

impl MlflowRegistry {
    /// The runs that `register` has made in the model's experiment.
    pub(super) fn registered_runs(&self, name: &str) -> Result<Vec<RunInfo>, RegistryError> {
        match self.experiment(name)? {
            Some(experiment) => self.find_runs(&experiment, &format!("tags.`{MANIFEST_SHA256}` != ''")),
            None => Ok(Vec::new()),
        }
    }

    /// The runs of an experiment that a filter of MLflow's finds, oldest first.
    pub(super) fn find_runs(&self, experiment: &str, filter: &str) -> Result<Vec<RunInfo>, RegistryError> {
        self.client.pages(|page| {
            let mut body = json!({
                "experiment_ids": [experiment], "filter": filter, "max_results": 1000,
                "order_by": ["attributes.start_time"]
            });
            if !page.is_empty() {
                body["page_token"] = page.into();
            }
            let found: Runs = self.client.send(Method::POST, "runs/search", &body)?;
            Ok((found.runs.into_iter().map(|run| run.info).collect(), found.next_page_token))
        })
    }

    /// The path of a run's artifacts on the server.
    pub(super) fn place(&self, run: &RunInfo) -> Result<String, RegistryError> {
        artifacts::path(&run.artifact_uri).ok_or_else(|| self.not_proxied(&run.artifact_uri))
    }

    /// Uploads a model to a run, its manifest last.
    pub(super) fn upload(&self, run: &RunInfo, files: &Files) -> Result<(), RegistryError> {
        let path = self.place(run)?;
        for (file, content) in &files.content {
            self.client.upload(&format!("{path}/model/{file}"), content)?;
        }
        self.client.upload(&format!("{path}/model/{MANIFEST}"), &files.text)
    }

    /// The run has all that it should have.
    pub(super) fn end(&self, run: &RunInfo) -> Result<(), RegistryError> {
        let ended = json!({"run_id": run.run_id, "status": "FINISHED", "end_time": Micros::now().0 / 1000});
        self.post("runs/update", &ended).map(drop)
    }
}
