use autorma_models::registry::{Registry, RegistryError, Version, unless_away};
use autorma_models::{Error as ModelError, Manifest, Model};

use crate::output::complain;

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
    pub(super) fn load(
        registry: &dyn Registry,
        name: &str,
        alias: &str,
        number: u64,
    ) -> Result<Self, RegistryError> {
        let (model, version) = (registry.load(name, number), || registry.version(name, number));
        Self::of(model, version, || registry.now(name, alias).map(drop))
    }

    /// `answers` as for [`unless_away`].
    fn of(
        model: Result<Model, RegistryError>,
        version: impl FnOnce() -> Result<Version, RegistryError>,
        answers: impl Fn() -> Result<(), RegistryError>,
    ) -> Result<Self, RegistryError> {
        let error = match unless_away(model, &answers)? {
            Ok(model) => return Ok(Self { manifest: Some(model.manifest.clone()), model: Ok(model) }),
            Err(error) => error,
        };
        complain(&format!("what serves can't be loaded: {error}"));
        let manifest = unless_away(version(), &answers)?.ok().map(|version| version.manifest);
        Ok(Self { manifest, model: Err(in_short(&error)) })
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
        RegistryError::Away { .. } => "its files can't be had",
        RegistryError::Unfit { .. } => "what the server has of it can't be used",
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
        let of = |model: RegistryError, version: RegistryError| {
            Serving::of(Err(model), || Err(version), || Err(away()))
        };
        assert!(of(away(), gone()).unwrap_err().is_away());
        assert!(of(gone(), away()).unwrap_err().is_away(), "it went in between");
        let serving = of(gone(), gone()).unwrap();
        assert_eq!((serving.manifest, serving.model.unwrap_err()), (None, "it is gone"));
    }

    #[test]
    fn a_registry_that_answers_and_gives_no_files_has_lost_them() {
        let serving = Serving::of(Err(away()), || Err(away()), || Ok(())).unwrap();
        assert_eq!((serving.manifest, serving.model.unwrap_err()), (None, "its files can't be had"));
        // So has it lost a version's reference, of which the gate has its word.
        let reference = |answers: fn() -> Result<(), RegistryError>| unless_away::<()>(Err(away()), answers);
        assert!(reference(|| Ok(())).unwrap().unwrap_err().is_away());
        assert!(reference(|| Err(away())).unwrap_err().is_away());
    }
}
