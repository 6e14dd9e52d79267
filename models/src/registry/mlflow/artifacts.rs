//! Where the server has a version's artifacts.

use super::MlflowRegistry;
use super::api::{Download, ModelVersion, OneLoggedModel, OneRun};
use crate::registry::RegistryError;

impl MlflowRegistry {
    /// The path, below the server's artifacts, of the folder that was registered.
    pub(super) fn artifacts_of(&self, is: &ModelVersion) -> Result<String, RegistryError> {
        match is.source.split_once(":/") {
            // A copy of another model's version: MLflow's `copy_model_version` makes such.
            Some(("models", version)) if !is_word(version) => {
                let query = [("name", &*is.name), ("version", &*is.version)];
                let found: Download = self.client.get("model-versions/get-download-uri", &query)?;
                self.artifacts_at(&found.artifact_uri)
            }
            _ => self.artifacts_at(&is.source),
        }
    }

    fn artifacts_at(&self, source: &str) -> Result<String, RegistryError> {
        let uri = match source.split_once(":/") {
            Some(("runs", rest)) => {
                let (run, folder) = rest.split_once('/').unwrap_or((rest, ""));
                let found: OneRun = self.client.get("runs/get", &[("run_id", run)])?;
                format!("{}/{folder}", found.run.info.artifact_uri)
            }
            Some(("models", id)) if is_word(id) => {
                let found: OneLoggedModel = self.client.get(&format!("logged-models/{id}"), &[])?;
                found.model.info.artifact_uri
            }
            _ => source.to_owned(),
        };
        path(&uri).ok_or_else(|| self.not_proxied(&uri))
    }

    pub(super) fn not_proxied(&self, uri: &str) -> RegistryError {
        self.client.unfit(format!(
            "the artifacts are at {uri}, not on the server: start it with --serve-artifacts and \
             --artifacts-destination"
        ))
    }
}

/// The path in a URI of the server's own: `mlflow-artifacts:/1/…` or `mlflow-artifacts://HOST/1/…`. The host isn't asked:
/// the credentials are for the server that is configured.
pub(super) fn path(uri: &str) -> Option<String> {
    let rest = uri.strip_prefix("mlflow-artifacts:")?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.split_once('/')?.1,
        None => rest.strip_prefix('/')?,
    };
    let path = path.trim_matches('/');
    (!path.is_empty() && path.split('/').all(|part| !["", ".", ".."].contains(&part)))
        .then(|| path.to_owned())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn only_what_the_server_has_is_asked_of_it() {
        for (uri, expected) in [
            ("mlflow-artifacts:/1/a/artifacts/model", Some("1/a/artifacts/model")),
            ("mlflow-artifacts://elsewhere:80/1/a/artifacts/", Some("1/a/artifacts")),
            ("mlflow-artifacts:/1/../2", None),
            ("mlflow-artifacts:/", None),
            ("s3://bucket/1", None),
            ("/etc", None),
            ("file:///etc", None),
        ] {
            assert_eq!(path(uri).as_deref(), expected, "{uri}");
        }
    }
}
