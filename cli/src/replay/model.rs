use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use autorma_models::Model;

/// The folder of the model that is wanted: the configured one, a folder, or the one of this version among those beside
/// the configured one.
pub(super) fn find(configured: &Path, wanted: Option<&str>) -> anyhow::Result<PathBuf> {
    let Some(wanted) = wanted else { return Ok(configured.to_owned()) };
    if Path::new(wanted).is_dir() {
        return Ok(wanted.into());
    }
    let beside =
        configured.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut known = Vec::new();
    for entry in
        fs::read_dir(beside).with_context(|| format!("looking for models in {}", beside.display()))?
    {
        let folder = entry?.path();
        if let Ok(manifest) = Model::manifest(&folder) {
            known.push((manifest.version, folder));
        }
    }
    known.sort();
    let mut right = known.iter().filter(|(version, _)| version == wanted).map(|(_, folder)| folder);
    match (right.next(), right.next()) {
        (Some(folder), None) => Ok(folder.clone()),
        (Some(one), Some(other)) => bail!(
            "--model {wanted}: {} and {} are both of this version; name one of the folders",
            one.display(),
            other.display()
        ),
        (None, _) => {
            let versions: Vec<_> = known.iter().map(|(version, _)| version.as_str()).collect();
            bail!(
                "--model {wanted}: there is no such folder, and no model of that version in {}, only {}",
                beside.display(),
                if versions.is_empty() { "none".into() } else { versions.join(", ") }
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_by_folder_or_version() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/shipped");
        let models = tempfile::tempdir().unwrap();
        let mut manifest = Model::manifest(&shipped).unwrap();
        for (folder, version) in [("a", "1"), ("b", "2"), ("c", "2")] {
            manifest.version = version.into();
            fs::create_dir(models.path().join(folder)).unwrap();
            let path = models.path().join(folder).join("manifest.json");
            fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
        }
        let configured = models.path().join("a");
        let told = |wanted| find(&configured, Some(wanted)).unwrap_err().to_string();
        assert_eq!(find(&configured, None).unwrap(), configured);
        assert_eq!(find(&configured, shipped.to_str()).unwrap(), shipped);
        assert_eq!(find(&configured, Some("1")).unwrap(), configured);
        assert!(told("2").contains("both"), "{}", told("2"));
        assert!(told("3").contains("only 1, 2, 2"), "{}", told("3"));
    }
}
