//! What MLflow's REST API answers, as far as it is read here.

use serde::Deserialize;

/// A registered model.
#[derive(Debug, Deserialize)]
pub(super) struct RegisteredModel {
    pub(super) name: String,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
    #[serde(default)]
    pub(super) aliases: Vec<Alias>,
    /// The newest versions; none if there are no versions.
    #[serde(default)]
    pub(super) latest_versions: Vec<ModelVersion>,
}

impl RegisteredModel {
    /// What an alias names.
    pub(super) fn now(&self, alias: &str) -> Option<u64> {
        self.aliases.iter().find(|it| it.alias == alias)?.version.parse().ok()
    }
}

/// A version of one.
#[derive(Debug, Deserialize)]
pub(super) struct ModelVersion {
    /// The model's.
    #[serde(default)]
    pub(super) name: String,
    pub(super) version: String,
    /// Milliseconds.
    #[serde(default)]
    pub(super) creation_timestamp: i64,
    #[serde(default)]
    pub(super) user_id: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) source: String,
    #[serde(default)]
    pub(super) run_id: String,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
}

impl ModelVersion {
    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|tag| tag.key == key).map(|tag| &*tag.value)
    }
}

/// What somebody has noted.
#[derive(Debug, Deserialize)]
pub(super) struct Tag {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: String,
}

/// What an alias names.
#[derive(Debug, Deserialize)]
pub(super) struct Alias {
    pub(super) alias: String,
    pub(super) version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct OneModel {
    pub(super) registered_model: RegisteredModel,
}

#[derive(Debug, Deserialize)]
pub(super) struct Models {
    #[serde(default)]
    pub(super) registered_models: Vec<RegisteredModel>,
    #[serde(default)]
    pub(super) next_page_token: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct OneVersion {
    pub(super) model_version: ModelVersion,
}

#[derive(Debug, Deserialize)]
pub(super) struct Versions {
    #[serde(default)]
    pub(super) model_versions: Vec<ModelVersion>,
    #[serde(default)]
    pub(super) next_page_token: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct OneExperiment {
    pub(super) experiment: Experiment,
}

#[derive(Debug, Deserialize)]
pub(super) struct Experiment {
    pub(super) experiment_id: String,
    #[serde(default)]
    pub(super) lifecycle_stage: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct OneRun {
    pub(super) run: Run,
}

#[derive(Debug, Deserialize)]
pub(super) struct Runs {
    #[serde(default)]
    pub(super) runs: Vec<Run>,
    #[serde(default)]
    pub(super) next_page_token: String,
}

/// A run.
#[derive(Debug, Deserialize)]
pub(super) struct Run {
    pub(super) info: RunInfo,
}

#[derive(Debug, Deserialize)]
pub(super) struct RunInfo {
    pub(super) run_id: String,
    #[serde(default)]
    pub(super) artifact_uri: String,
    #[serde(default)]
    pub(super) status: String,
    /// Milliseconds.
    #[serde(default)]
    pub(super) start_time: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct OneLoggedModel {
    pub(super) model: LoggedModel,
}

/// What newer clients register instead of a folder of a run.
#[derive(Debug, Deserialize)]
pub(super) struct LoggedModel {
    pub(super) info: LoggedModelInfo,
}

#[derive(Debug, Deserialize)]
pub(super) struct LoggedModelInfo {
    #[serde(default)]
    pub(super) artifact_uri: String,
}

/// Where a version's artifacts are.
#[derive(Debug, Deserialize)]
pub(super) struct Download {
    #[serde(default)]
    pub(super) artifact_uri: String,
}

/// An answer of which nothing is read.
#[derive(Debug, Deserialize)]
pub(super) struct Done {}
