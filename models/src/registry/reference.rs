//! Which version is meant, or which folder, and what a name may be.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Registry, RegistryError, WithReference};
use crate::{Manifest, Model};

/// A version that is meant: `NAME/3` by its number, `NAME@production` by an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The model.
    pub name: String,
    /// Which of its versions.
    pub which: Which,
}

/// How a version is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// By its number.
    Number(u64),
    /// By what names it at the moment.
    Alias(String),
}

impl FromStr for Reference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || RegistryError::Reference(text.to_owned());
        let (name, which) = match (text.split_once('@'), text.split_once('/')) {
            (Some((name, alias)), None) => (name, Which::Alias(checked_alias(alias)?)),
            (None, Some((name, number))) => (name, Which::Number(number.parse().map_err(|_| wrong())?)),
            _ => return Err(wrong()),
        };
        Ok(Self { name: checked_name(name)?, which })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Number(number) => write!(f, "{}/{number}", self.name),
            Which::Alias(alias) => write!(f, "{}@{alias}", self.name),
        }
    }
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with a manifest and its ONNX files.
    Folder(PathBuf),
    /// A version of a registry. One that an alias names is followed when the alias moves.
    Registered(Reference),
}

impl Source {
    /// What somebody means who writes this: the folder, if it is there or nothing else can be meant; or else the version.
    pub fn meant(text: &str) -> Self {
        match text.parse() {
            Ok(reference) if !Path::new(text).is_dir() => Source::Registered(reference),
            _ => Source::Folder(text.into()),
        }
    }

    /// What the model is, without a look at its file.
    pub fn manifest(&self, registry: &dyn Registry) -> Result<Manifest, RegistryError> {
        match self {
            Source::Folder(folder) => Ok(Model::manifest(folder)?),
            Source::Registered(reference) => Ok(registry.find(reference)?.manifest),
        }
    }

    /// The model, verified.
    pub fn load(&self, registry: &dyn Registry) -> Result<Model, RegistryError> {
        match self {
            Source::Folder(folder) => Ok(Model::open(folder)?),
            Source::Registered(reference) => registry.load(&reference.name, registry.resolve(reference)?),
        }
    }

    /// The model with its reference, if it has one, both verified: no alias that moves meanwhile, and nobody who replaces
    /// what is in a folder, gives one model another one's reference.
    pub fn load_with_reference(&self, registry: &dyn Registry) -> Result<WithReference, RegistryError> {
        match self {
            Source::Folder(folder) => {
                let model = Model::open(folder)?;
                let reference = Model::verified_reference(folder, &model.manifest);
                Ok((model, reference.map_err(RegistryError::from)))
            }
            Source::Registered(reference) => {
                let (name, number) = (&reference.name, registry.resolve(reference)?);
                Ok((registry.load(name, number)?, reference_of(registry, name, number)?))
            }
        }
    }

    /// The same source, whatever alias moves from now on.
    pub fn pinned(self, registry: &dyn Registry) -> Result<Self, RegistryError> {
        match self {
            Source::Folder(_) => Ok(self),
            Source::Registered(reference) => {
                let which = Which::Number(registry.resolve(&reference)?);
                Ok(Source::Registered(Reference { which, ..reference }))
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Folder(folder) => write!(f, "{}", folder.display()),
            Source::Registered(reference) => write!(f, "{reference}"),
        }
    }
}

/// A version's reference, or why it can't be had; an error where nothing is found out about it, as from a registry that is
/// away.
pub fn reference_of(
    registry: &dyn Registry,
    name: &str,
    number: u64,
) -> Result<Result<Option<Model>, RegistryError>, RegistryError> {
    let answers = || registry.numbers(name).map(drop);
    match unless_away(registry.reference(name, number), answers)? {
        Err(error) if error.says_nothing() => Err(error),
        reference => Ok(reference),
    }
}

/// What the registry has said of a version, if that it is away isn't all that it says. `answers` asks it something else: where
/// artifacts are in an object store, MLflow calls itself away where it is only they that are lost.
pub fn unless_away<T>(
    said: Result<T, RegistryError>,
    answers: impl Fn() -> Result<(), RegistryError>,
) -> Result<Result<T, RegistryError>, RegistryError> {
    if said.as_ref().is_err_and(RegistryError::is_away) {
        answers()?;
    }
    Ok(said)
}

/// The name, if it can be a model's or an alias's: it becomes part of paths, where the file `lock` is another thing.
pub fn checked_name(name: &str) -> Result<String, RegistryError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_one = name.len() <= 64
        && name != "lock"
        && name.chars().all(fits)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if is_one { Ok(name.to_owned()) } else { Err(RegistryError::Name(name.to_owned())) }
}

/// The name, if it can be an alias's: in either home, so by MLflow's rules (`mlflow/utils/validation.py`) too.
pub fn checked_alias(alias: &str) -> Result<String, RegistryError> {
    let name = checked_name(alias)?;
    let number = name.strip_prefix(['v', 'V']).unwrap_or_default();
    let is_version = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    let is_reserved = is_version || name.eq_ignore_ascii_case("latest") || name.contains('.');
    if is_reserved { Err(RegistryError::Reserved(name)) } else { Ok(name) }
}
