//! The versions that nobody needs any more, and their runs.

use std::collections::{BTreeMap, BTreeSet};

use autorma_schemas::Micros;
use serde_json::json;

use super::api::{Alias, RegisteredModel, RunInfo};
use super::history::History;
use super::{MlflowRegistry, NOT_THERE, unless};
use crate::registry::{self, RegistryError};

/// How old a run without a version must be to have been left by somebody who died, in milliseconds.
const LEFT: i64 = 3_600_000;

impl MlflowRegistry {
    /// Removes all versions but the newest `keep` and those that aliases need. Returns what has gone.
    pub(super) fn remove_unneeded(&self, name: &str, keep: usize) -> Result<Vec<u64>, RegistryError> {
        let (versions, runs) = (self.versions(name)?, self.registered_runs(name)?);
        if versions.is_empty() && runs.is_empty() {
            return Err(RegistryError::NoModel(name.into()));
        }
        let mut kept = self.registered(name)?.as_ref().map(needed).unwrap_or_default();
        kept.extend(versions.iter().rev().take(keep.max(1)).map(|(number, _)| *number));
        let gone = versions.into_iter().filter(|(number, _)| !kept.contains(number));
        let gone: BTreeMap<u64, String> = gone.map(|(number, version)| (number, version.run_id)).collect();
        for number in gone.keys() {
            let version = json!({"name": name, "version": number.to_string()});
            self.delete("model-versions/delete", &version)?;
        }
        let latest = Micros::now().0 / 1000 - LEFT;
        let was_theirs = |run: &RunInfo| gone.values().any(|id| *id == run.run_id);
        for run in runs.into_iter().filter(|run| was_theirs(run) || run.start_time < latest) {
            self.remove_unless_needed(&run)?;
        }
        let gone: Vec<_> = gone.into_keys().collect();
        self.cache.forget(name, &gone)?;
        Ok(gone)
    }

    /// Removes a run, unless it is a version's, of whatever model: somebody may have made several of it.
    fn remove_unless_needed(&self, run: &RunInfo) -> Result<(), RegistryError> {
        if self.search(&format!("run_id='{}'", run.run_id))?.is_empty() {
            unless(NOT_THERE, self.post("runs/delete", &json!({ "run_id": run.run_id })))?;
        }
        Ok(())
    }
}

/// The versions that a model's aliases need. That goes for aliases of any name, also for those that can't be one here: MLflow
/// drops an alias with its version.
fn needed(model: &RegisteredModel) -> BTreeSet<u64> {
    let moves = model.aliases.iter().map(|Alias { alias, .. }| History::of(model, alias).moves());
    moves.flat_map(|moves| registry::needed(&moves)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_needs_its_version_whatever_it_is_called() {
        let aliases = ["production", "_champion", "größe", "-x"].into_iter().zip(1..);
        let aliases = aliases.map(|(alias, version)| json!({"alias": alias, "version": version.to_string()}));
        let model = json!({"name": "means", "aliases": aliases.collect::<Vec<_>>()});
        assert_eq!(needed(&serde_json::from_value(model).unwrap()), BTreeSet::from([1, 2, 3, 4]));
    }
}
