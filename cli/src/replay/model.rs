use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use autorma_models::Model;
use autorma_models::registry::{Reference, Registry, Source};

/// The model that is wanted: the configured one, a folder, a version of the registry, or that version of the configured
/// model: in the registry, or in a folder beside it.
pub(super) fn find(
    configured: &Source,
    wanted: Option<&str>,
    registry: &dyn Registry,
) -> anyhow::Result<Source> {
    let Some(wanted) = wanted else { return Ok(configured.clone()) };
    match Source::meant(wanted) {
        Source::Folder(folder) if !folder.is_dir() => {}
        found => return Ok(found),
    }
    match configured {
        Source::Folder(folder) => beside(folder, wanted).map(Source::Folder),
        Source::Registered(Reference { name, .. }) => {
            let reference: Reference = format!("{name}/{wanted}")
                .parse()
                .with_context(|| format!("--model {wanted}: there is no such folder"))?;
            registry.resolve(&reference)?;
            Ok(Source::Registered(reference))
        }
    }
}

/// The folder of this version among those beside a model's.
fn beside(configured: &Path, wanted: &str) -> anyhow::Result<PathBuf> {
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
    use autorma_models::registry::FolderRegistry;

    use super::*;

    #[test]
    fn a_model_is_found_by_folder_version_or_reference() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/shipped");
        let models = tempfile::tempdir().unwrap();
        let mut manifest = Model::manifest(&shipped).unwrap();
        for (folder, version) in [("a", "1"), ("b", "2"), ("c", "2")] {
            manifest.version = version.into();
            fs::create_dir(models.path().join(folder)).unwrap();
            let path = models.path().join(folder).join("manifest.json");
            fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
        }
        let registry = FolderRegistry::new(models.path().join("registry"));
        let folder = |name: &str| Source::Folder(models.path().join(name));
        let told = |wanted| find(&folder("a"), Some(wanted), &registry).unwrap_err().to_string();
        assert_eq!(find(&folder("a"), None, &registry).unwrap(), folder("a"));
        let path = shipped.to_str();
        assert_eq!(find(&folder("a"), path, &registry).unwrap(), Source::Folder(shipped.clone()));
        assert_eq!(find(&folder("a"), Some("1"), &registry).unwrap(), folder("a"));
        assert!(told("2").contains("both"), "{}", told("2"));
        assert!(told("3").contains("only 1, 2, 2"), "{}", told("3"));
        let at = |text: &str| Source::meant(text);
        assert_eq!(find(&folder("a"), Some("x@y"), &registry).unwrap(), at("x@y"));
        let missing = find(&at("x@y"), Some("3"), &registry).unwrap_err().to_string();
        assert_eq!(
            missing,
            "there is no version 3 of the model x; `autorma models list` shows what there is"
        );
    }
}
