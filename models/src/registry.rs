//! Where model versions are kept, and which of them an alias names. Versions never change; aliases move, and each move
//! is remembered.

mod durable;
mod folder;
mod mlflow;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use autorma_schemas::Micros;
use serde::{Deserialize, Serialize};

use crate::{Error as ModelError, Manifest, Model};
pub use folder::FolderRegistry;
pub use mlflow::{Figure, MlflowRegistry, Recorded, Recording, Server};

/// A home of model versions.
pub trait Registry: fmt::Debug + Send + Sync {
    /// Keeps the model in that folder, and its reference if it has one, verified, as the next version. One that is kept
    /// already, with the same files and the same manifest, is found again: to register twice is to register once,
    /// but not for two who do it at the same moment on an MLflow server, which makes two versions of it. What was lost of
    /// it is mended in a folder; a server that hasn't all of it any more makes another version.
    fn register(&self, model: &Path, signed: &Signed) -> Result<Version, RegistryError>;

    /// The numbers of a model's versions, oldest first, whatever state these are in; none if there is no such model.
    fn numbers(&self, name: &str) -> Result<Vec<u64>, RegistryError>;

    /// What a version is.
    fn version(&self, name: &str, number: u64) -> Result<Version, RegistryError>;

    /// The models that have versions, in order.
    fn names(&self) -> Result<Vec<String>, RegistryError>;

    /// A version's model, verified.
    fn load(&self, name: &str, number: u64) -> Result<Model, RegistryError>;

    /// What a version's model was quantized from, verified, if the version has that: its reference.
    fn reference(&self, name: &str, number: u64) -> Result<Option<Model>, RegistryError>;

    /// A version's model, and its reference if it has one, verified as the home itself has them now: what was fetched from
    /// it before doesn't count.
    fn verify(&self, name: &str, number: u64) -> Result<(Model, Option<Model>), RegistryError> {
        Ok((self.load(name, number)?, self.reference(name, number)?))
    }

    /// What an alias names, if there is such an alias. Asked often: it costs the same however often the alias has moved.
    fn now(&self, name: &str, alias: &str) -> Result<Option<u64>, RegistryError>;

    /// What a model's aliases name.
    fn aliases(&self, name: &str) -> Result<BTreeMap<String, u64>, RegistryError>;

    /// Lets an alias name another version, if the home itself has that whole and `may` allows it. Returns the move. A folder
    /// knows for certain what the alias names just before; on an MLflow server, which can't be asked that, there is a moment
    /// between the look and the move.
    fn make_move(
        &self,
        name: &str,
        alias: &str,
        number: u64,
        signed: &Signed,
        may: &May<'_>,
    ) -> Result<Move, RegistryError>;

    /// Lets an alias name another version, whatever it names. Returns the move.
    fn point(&self, name: &str, alias: &str, number: u64, signed: &Signed) -> Result<Move, RegistryError> {
        self.make_move(name, alias, number, signed, &|_, _| Ok(()))
    }

    /// The same, if the alias still names what it named when somebody decided on the move, `former`.
    fn point_from(
        &self,
        former: Option<u64>,
        name: &str,
        alias: &str,
        number: u64,
        signed: &Signed,
    ) -> Result<Move, RegistryError> {
        self.make_move(name, alias, number, signed, &|now, _| expect(former, now, name, alias))
    }

    /// The same, if the version still is what somebody has examined before they decided, `examined`. On an MLflow server, where
    /// what others have registered can be exchanged as long as no alias was moved to it from here, what the alias names from
    /// then on is that and nothing else.
    fn point_examined(
        &self,
        former: Option<u64>,
        examined: &Manifest,
        alias: &str,
        number: u64,
        signed: &Signed,
    ) -> Result<Move, RegistryError> {
        let name = &*examined.name;
        self.make_move(name, alias, number, signed, &|now, is| {
            expect(former, now, name, alias)?;
            expect_examined(examined, is, number)
        })
    }

    /// The moves of an alias, oldest first.
    fn moves(&self, name: &str, alias: &str) -> Result<Vec<Move>, RegistryError>;

    /// Removes the versions that no alias names or has named last before, except the newest `keep`, of which there is
    /// always one; and what killed processes have left, also of a model that has no version yet. Returns the versions that
    /// have gone.
    fn collect(&self, name: &str, keep: usize) -> Result<Vec<u64>, RegistryError>;

    /// Takes note of the version that serves where an alias is followed, for [`Registry::remembered`]. A disk that takes no
    /// note, full or broken, keeps nobody from serving.
    fn remember(&self, _reference: &Reference, _number: u64) {}

    /// What is known here of a version that is meant, for those who can't wait until a home that is away answers again:
    /// its number, or what has served last where an alias is followed, and the model. None where nothing is known, or a home
    /// is never away.
    fn remembered(&self, _reference: &Reference) -> Option<(u64, Model)> {
        None
    }

    /// Lets an alias name what it named before. Returns the move.
    fn roll_back(&self, name: &str, alias: &str, signed: &Signed) -> Result<Move, RegistryError> {
        let (name_of, which) = (name.to_owned(), Which::Alias(alias.to_owned()));
        let now = self.resolve(&Reference { name: name_of, which })?;
        match former(&self.moves(name, alias)?) {
            Some(number) => self.point_from(Some(now), name, alias, number, signed),
            None => Err(RegistryError::NothingBefore { name: name.into(), alias: alias.into() }),
        }
    }

    /// The version that is meant.
    fn find(&self, reference: &Reference) -> Result<Version, RegistryError> {
        self.version(&reference.name, self.resolve(reference)?)
    }

    /// The number of the version that is meant.
    fn resolve(&self, reference: &Reference) -> Result<u64, RegistryError> {
        let Reference { name, which } = reference;
        match which {
            Which::Number(number) => match self.numbers(name)?.contains(number) {
                true => Ok(*number),
                false => Err(RegistryError::NoVersion { name: name.clone(), number: *number }),
            },
            Which::Alias(alias) => self
                .now(name, alias)?
                .ok_or_else(|| RegistryError::NoAlias { name: name.clone(), alias: alias.clone() }),
        }
    }
}

/// Allows a move of an alias or says why not, by what the alias names just before and what the version is that it is to name.
pub type May<'a> = dyn Fn(Option<u64>, &Manifest) -> Result<(), RegistryError> + 'a;

/// Where a registry is.
#[derive(Debug, Clone)]
pub enum Location {
    /// A folder.
    Folder(PathBuf),
    /// An MLflow server, and the folder where what is fetched from it is kept.
    Mlflow(Server, PathBuf),
}

impl Location {
    /// A handle on the registry, which isn't asked anything yet.
    pub fn open(&self) -> Result<Box<dyn Registry>, RegistryError> {
        Ok(match self {
            Location::Folder(folder) => Box::new(FolderRegistry::new(folder)),
            Location::Mlflow(server, cache) => Box::new(MlflowRegistry::new(server.clone(), cache)?),
        })
    }
}

/// Who did something, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// When.
    pub at: Micros,
    /// Who.
    pub by: String,
    /// Why, in their words.
    pub why: String,
}

/// A version of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Its number, from 1.
    pub number: u64,
    /// What it is. Its `version` is the number.
    pub manifest: Manifest,
    /// Who registered it.
    pub signed: Signed,
}

/// A move of an alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// What the alias names from then on.
    pub version: u64,
    /// Who moved it.
    #[serde(flatten)]
    pub signed: Signed,
}

/// A version that is meant: `NAME/3` by its number, `NAME@production` by an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The model.
    pub name: String,
    /// Which of its versions.
    pub which: Which,
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
    pub fn load_with_reference(
        &self,
        registry: &dyn Registry,
    ) -> Result<(Model, Option<Model>), RegistryError> {
        match self {
            Source::Folder(folder) => Ok(Model::open_with_reference(folder)?),
            Source::Registered(reference) => {
                let (name, number) = (&reference.name, registry.resolve(reference)?);
                Ok((registry.load(name, number)?, registry.reference(name, number)?))
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

/// How a version is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// By its number.
    Number(u64),
    /// By what names it at the moment.
    Alias(String),
}

/// Why a registry can't do something.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No such model.
    #[error("there is no model {0}; `autorma models list` shows what there is")]
    NoModel(String),
    /// No such version.
    #[error("there is no version {number} of the model {name}; `autorma models list` shows what there is")]
    NoVersion {
        /// The model.
        name: String,
        /// The version.
        number: u64,
    },
    /// No such alias.
    #[error("the model {name} has no alias {alias}; `autorma models list` shows what there is")]
    NoAlias {
        /// The model.
        name: String,
        /// The alias.
        alias: String,
    },
    /// The alias has named nothing else before.
    #[error("the alias {alias} of the model {name} has named no other version before")]
    NothingBefore {
        /// The model.
        name: String,
        /// The alias.
        alias: String,
    },
    /// The alias names another version than it did a moment ago.
    #[error("{name}@{alias} has moved meanwhile: look what it names now, and decide again")]
    Moved {
        /// The model.
        name: String,
        /// The alias.
        alias: String,
    },
    /// The version is another than somebody has examined.
    #[error("{name}/{number} has changed since it was examined: nothing has moved; examine it again")]
    Changed {
        /// The model.
        name: String,
        /// The version.
        number: u64,
    },
    /// A name that can't be one.
    #[error(
        "{0:?} can't be a name: letters, digits, '-', '_' and '.', at most 64, the first a letter or digit; nor can `lock`"
    )]
    Name(String),
    /// No reference.
    #[error("{0:?} names no version: NAME/3 does, and NAME@production")]
    Reference(String),
    /// An alias that MLflow refuses: one that moves from home to home must be one in both.
    #[error(
        "{0:?} can't be an alias: `latest` and `v1`, `v2`, … are reserved, in capitals too, and MLflow takes no '.' in one"
    )]
    Reserved(String),
    /// The model itself.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file of the registry can't be read or written.
    #[error("the registry, at {path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// What is configured of an MLflow server can't be right.
    #[error("the registry's MLflow server: {0}")]
    Server(String),
    /// The MLflow server doesn't answer, or says that it can't.
    #[error("the MLflow server {server} doesn't answer: {cause}")]
    Away {
        /// Its address.
        server: String,
        /// What happened.
        cause: String,
    },
    /// The MLflow server says no.
    #[error("the MLflow server {server} says {code}: {message}")]
    Refused {
        /// Its address.
        server: String,
        /// MLflow's code, or HTTP's.
        code: String,
        /// Why.
        message: String,
    },
}

/// The code of a refusal that nothing of MLflow's has said.
pub(crate) const NOT_MLFLOW: &str = "NOT_MLFLOW";

impl RegistryError {
    /// Whether the same may succeed later, with nothing mended but the way to the registry.
    pub fn is_away(&self) -> bool {
        matches!(self, RegistryError::Away { .. })
    }

    /// Whether a refusal says nothing of what was asked for: of a server that doesn't know who asks any more, as where a token
    /// has expired, or of a proxy. Then the code is HTTP's, a number, or that of an answer that is none of MLflow's.
    pub fn says_nothing(&self) -> bool {
        matches!(self, RegistryError::Refused { code, .. } if code == NOT_MLFLOW || code.parse::<u16>().is_ok())
    }
}

impl FromStr for Reference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || RegistryError::Reference(text.to_owned());
        let (name, which) = match (text.split_once('@'), text.split_once('/')) {
            (Some((name, alias)), None) => (name, Which::Alias(alias_named(alias)?)),
            (None, Some((name, number))) => (name, Which::Number(number.parse().map_err(|_| wrong())?)),
            _ => return Err(wrong()),
        };
        Ok(Self { name: named(name)?, which })
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

/// The name, if it can be a model's or an alias's: it becomes part of paths, where the file `lock` is another thing.
pub fn named(name: &str) -> Result<String, RegistryError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_one = name.len() <= 64
        && name != "lock"
        && name.chars().all(fits)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if is_one { Ok(name.to_owned()) } else { Err(RegistryError::Name(name.to_owned())) }
}

/// The name, if it can be an alias's: in either home, so by MLflow's rules (`mlflow/utils/validation.py`) too.
pub fn alias_named(alias: &str) -> Result<String, RegistryError> {
    let name = named(alias)?;
    let number = name.strip_prefix(['v', 'V']).unwrap_or_default();
    let is_version = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    let is_reserved = is_version || name.eq_ignore_ascii_case("latest") || name.contains('.');
    if is_reserved { Err(RegistryError::Reserved(name)) } else { Ok(name) }
}

/// An error if the alias names something else, `now`, than when somebody decided on a move.
fn expect(former: Option<u64>, now: Option<u64>, name: &str, alias: &str) -> Result<(), RegistryError> {
    match now == former {
        true => Ok(()),
        false => Err(RegistryError::Moved { name: name.into(), alias: alias.into() }),
    }
}

/// An error if a version is something else, `is`, than what somebody has examined.
fn expect_examined(examined: &Manifest, is: &Manifest, number: u64) -> Result<(), RegistryError> {
    match is == examined {
        true => Ok(()),
        false => Err(RegistryError::Changed { name: examined.name.clone(), number }),
    }
}

/// What an alias named last before what it names now.
fn former(moves: &[Move]) -> Option<u64> {
    let now = moves.last()?.version;
    moves.iter().rev().map(|it| it.version).find(|version| *version != now)
}

#[cfg(test)]
mod tests;
