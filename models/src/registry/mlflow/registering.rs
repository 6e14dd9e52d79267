//! How a model becomes a version.

use std::time::Duration;

use autorma_schemas::Micros;
use reqwest::Method;
use serde_json::json;

use super::api::{ModelVersion, OneRun, OneVersion, RunInfo};
use super::client::may_pass;
use super::runs::{self, Files, TRAINED};
use super::{MANIFEST_SHA256, MlflowRegistry, REGISTERED_AT, REGISTERED_BY, SHA256, WHY, of_number, signed};
use crate::registry::{RegistryError, Signed, Version};
use crate::{Manifest, Member};

/// How often what must be done once is tried: to create a version or the run of a training, or to move an alias. How long the
/// first pause is; the next are longer.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(300);

impl MlflowRegistry {
    /// A version with the same files and the same manifest but for its number, if the server has it whole.
    pub(super) fn twin(&self, manifest: &Manifest) -> Result<Option<Version>, RegistryError> {
        for (number, is) in self.versions(&manifest.name)? {
            if is.tag(SHA256).is_some_and(|sha256| sha256 != manifest.sha256()) {
                continue;
            }
            let same = || self.same(manifest, number, &is);
            let found = match same() {
                // Where artifacts are in an object store, MLflow calls what it can't find a fault of its own: whether it is
                // there at all says another question, and whether the fault has passed the same one again.
                Err(error) if error.is_away() => {
                    self.registered(&manifest.name)?;
                    same()
                }
                found => found,
            };
            // One that can't be read, or isn't whole any more, is no other's concern.
            if let Ok(Some(twin)) = found {
                return Ok(Some(twin));
            }
        }
        Ok(None)
    }

    /// This version, if it is the model's.
    fn same(
        &self,
        manifest: &Manifest,
        number: u64,
        is: &ModelVersion,
    ) -> Result<Option<Version>, RegistryError> {
        let found = of_number(self.manifest_there(&manifest.name, number, is)?.manifest, number);
        // Its maker may have called the files something else.
        if found.with_named_files() != of_number(manifest.clone(), number) {
            return Ok(None);
        }
        self.compare(&manifest.name, number, is, found.members.iter().flat_map(Member::files))?;
        Ok(Some(Version { number, manifest: found, signed: signed(is) }))
    }

    /// The run whose artifacts become a version: that of the model's training, if it was recorded, or one of their own.
    pub(super) fn run_with(
        &self,
        experiment: &str,
        files: &Files,
        signed: &Signed,
    ) -> Result<RunInfo, RegistryError> {
        let trained = format!("tags.`{TRAINED}` = '{}' and attributes.status = 'FINISHED'", files.hash);
        if let Some(run) = self.find_runs(experiment, &trained)?.into_iter().next() {
            // It may have lost some of its artifacts since; what is there stays what it is.
            self.upload(&run, files)?;
            return Ok(run);
        }
        let name = format!("register {}", &files.manifest.sha256()[..8]);
        let run = runs::new(experiment, &name, Micros::now(), &signed.by, &[(MANIFEST_SHA256, &files.hash)]);
        let run = self.client.send::<OneRun>(Method::POST, "runs/create", &run)?.run.info;
        self.upload(&run, files)?;
        self.end(&run)?;
        Ok(run)
    }

    /// Creates the version of a run that has these files.
    pub(super) fn create_version(
        &self,
        name: &str,
        run: &RunInfo,
        Files { manifest, hash, .. }: &Files,
        signed: &Signed,
    ) -> Result<u64, RegistryError> {
        let tags = json!([
            {"key": SHA256, "value": manifest.sha256()},
            {"key": MANIFEST_SHA256, "value": hash},
            {"key": REGISTERED_AT, "value": signed.at.0.to_string()},
            {"key": REGISTERED_BY, "value": signed.by},
            {"key": WHY, "value": signed.why},
        ]);
        let source = format!("{}/model", run.artifact_uri);
        let body = json!({"name": name, "source": source, "run_id": run.run_id, "tags": tags, "description": signed.why});
        let create = || self.client.send_once::<OneVersion>(Method::POST, "model-versions/create", &body);
        let find = || {
            let is_it = |it: &ModelVersion| it.source == source && it.tag(MANIFEST_SHA256) == Some(hash);
            let of_run = self.search(&format!("name='{name}' and run_id='{}'", run.run_id))?;
            Ok(of_run.into_iter().find(is_it))
        };
        let created = once(|| Ok(create()?.model_version), find)?;
        let number = created.version.parse();
        number.map_err(|_| self.client.unfit(format!("{:?} is no version", created.version)))
    }
}

/// Has something made that must be made once: before it is tried again, it is looked for. An error of the look ends it.
pub(super) fn once<T>(
    make: impl Fn() -> Result<T, RegistryError>,
    find: impl Fn() -> Result<Option<T>, RegistryError>,
) -> Result<T, RegistryError> {
    let mut attempt = 1;
    loop {
        match make() {
            Err(error) if may_pass(&error) && attempt < TRIES => std::thread::sleep(PAUSE * attempt),
            made => return made,
        }
        if let Some(found) = find()? {
            return Ok(found);
        }
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_was_made_without_an_answer_is_found_and_not_made_again() {
        let made = Cell::new(0);
        let make = || {
            made.set(made.get() + 1);
            Err(RegistryError::Away { server: "http://registry".into(), cause: "no answer".into() })
        };
        assert_eq!((once(make, || Ok(Some("it"))).unwrap(), made.get()), ("it", 1));
    }
}
