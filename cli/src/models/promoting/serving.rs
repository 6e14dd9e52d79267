use autorma_models::registry::{Registry, RegistryError, Version};
use autorma_models::{Error as ModelError, Manifest, Model};

/// What an alias names now.
#[derive(Debug)]
pub(super) struct Serving {
    /// What it is, which can be known of a version whose files are broken; None where it can't.
    pub(super) manifest: Option<Manifest>,
    /// The model, or why it can't be asked, in short.
    pub(super) model: Result<Model, &'static str>,
}

impl Serving {
    /// An error only where the registry is away: what serves may be whole, and is to be compared with once it can be.
    pub(super) fn load(registry: &dyn Registry, name: &str, number: u64) -> Result<Self, RegistryError> {
        Self::of(registry.load(name, number), || registry.version(name, number))
    }

    fn of(
        model: Result<Model, RegistryError>,
        version: impl FnOnce() -> Result<Version, RegistryError>,
    ) -> Result<Self, RegistryError> {
        match model {
            Ok(model) => Ok(Self { manifest: Some(model.manifest.clone()), model: Ok(model) }),
            Err(error) if error.is_away() => Err(error),
            Err(error) => {
                crate::complain(&format!("what serves can't be loaded: {error}"));
                let manifest = match version() {
                    Err(error) if error.is_away() => return Err(error),
                    version => version.ok().map(|version| version.manifest),
                };
                Ok(Self { manifest, model: Err(in_short(&error)) })
            }
        }
    }
}

fn in_short(error: &RegistryError) -> &'static str {
    match error {
        RegistryError::NoVersion { .. } => "it is gone",
        RegistryError::Model(ModelError::Different { .. } | ModelError::TooLarge { .. }) => {
            "its files aren't those that were registered"
        }
        RegistryError::Model(ModelError::Manifest { .. }) => "its manifest is broken",
        RegistryError::Model(ModelError::Unreadable { .. }) | RegistryError::File { .. } => {
            "a file of it can't be read"
        }
        _ => "the registry refuses it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> RegistryError {
        RegistryError::Away { server: "http://somewhere".into(), cause: "nobody is there".into() }
    }

    fn gone() -> RegistryError {
        RegistryError::NoVersion { name: "means".into(), number: 1 }
    }

    #[test]
    fn a_registry_that_is_away_says_nothing_of_what_serves() {
        assert!(Serving::of(Err(away()), || Err(gone())).unwrap_err().is_away());
        assert!(Serving::of(Err(gone()), || Err(away())).unwrap_err().is_away(), "it went in between");
        let serving = Serving::of(Err(gone()), || Err(gone())).unwrap();
        assert_eq!((serving.manifest, serving.model.unwrap_err()), (None, "it is gone"));
    }
}
