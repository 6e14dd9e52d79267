//! Where model versions are kept, and which of them an alias names. Versions never change; aliases move, and each move
//! is remembered.

mod error;
mod files;
mod folder;
mod mlflow;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use autorma_schemas::Micros;
use serde::{Deserialize, Serialize};

use crate::{Manifest, Model};
pub(crate) use error::NOT_MLFLOW;
pub use error::RegistryError;
pub use folder::FolderRegistry;
pub use mlflow::{Figure, MlflowRegistry, Recorded, Recording, Server};
pub use reference::{Reference, Source, Which, checked_alias, checked_name, reference_of, unless_away};

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

    /// The models that have versions, in order; but for others' on a server that they use, too.
    fn names(&self) -> Result<Vec<String>, RegistryError>;

    /// A version's model, verified.
    fn load(&self, name: &str, number: u64) -> Result<Model, RegistryError>;

    /// What a version's model was quantized from, verified, if the version has that: its reference.
    fn reference(&self, name: &str, number: u64) -> Result<Option<Model>, RegistryError>;

    /// A version's model, and its reference if it has one, verified as the home itself has them now: what was fetched from
    /// it before doesn't count.
    fn verify(&self, name: &str, number: u64) -> Result<WithReference, RegistryError> {
        Ok((self.load(name, number)?, self.reference(name, number)))
    }

    /// What an alias names, if there is such an alias. Asked often: it costs the same however often the alias has moved.
    fn now(&self, name: &str, alias: &str) -> Result<Option<u64>, RegistryError>;

    /// The hash of the manifest that a version was registered with, which tells it from one that had its number before the
    /// model was removed and made anew. None where the home can't say that at once: it is asked as often.
    fn manifest_sha256(&self, _name: &str, _number: u64) -> Option<String> {
        None
    }

    /// What a model's aliases name.
    fn aliases(&self, name: &str) -> Result<Aliases, RegistryError>;

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

    /// Removes the versions that no alias names, would go back to or has named before what it names, except the newest `keep`,
    /// of which there is always one; and what killed processes have left, also of a model that has no version yet. Returns
    /// the versions that have gone.
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

/// What each of a model's aliases names, or why nobody can say that of it.
pub type Aliases = BTreeMap<String, Result<u64, RegistryError>>;

/// A model, and its reference if it has one, or why that can't be had, without which the model serves as well.
pub type WithReference = (Model, Result<Option<Model>, RegistryError>);

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

/// What an alias named last before what it names now: what it goes back to.
fn former(moves: &[Move]) -> Option<u64> {
    let now = moves.last()?.version;
    moves.iter().rev().map(|it| it.version).find(|version| *version != now)
}

/// What an alias named before it named this version first, which stands in for one that can't serve: what that was rolled
/// back from isn't what anybody wants.
pub fn named_before(moves: &[Move], version: u64) -> Option<u64> {
    moves.iter().map(|it| it.version).take_while(|it| *it != version).last()
}

/// The versions that an alias with these moves names or may need again.
fn needed(moves: &[Move]) -> BTreeSet<u64> {
    let now = moves.last().map(|it| it.version);
    [now, former(moves), now.and_then(|now| named_before(moves, now))].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
