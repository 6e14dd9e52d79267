use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Error as ModelError;

/// Why a registry can't do something.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No such folder, or not for the moment.
    #[error(
        "there is no registry at {0}: its folder isn't mounted, or nothing was registered yet; `autorma models register` makes it"
    )]
    NoRegistry(PathBuf),
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
    /// Another process has been writing to the registry for long.
    #[error(
        "the registry, at {path}: another command has been writing to it for {waited:?}; try again when it has ended, or end it \
         if it hangs: `fuser {path}` names it"
    )]
    Locked {
        /// The lock.
        path: PathBuf,
        /// How long this one has waited.
        waited: Duration,
    },
    /// A file that was a move of an alias says nothing any more.
    #[error(
        "the registry, at {path}: this is no move of an alias any more ({cause}); put the file back from a copy, or remove it: the alias then goes on without that move"
    )]
    NoMove {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: serde_json::Error,
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
    /// What the MLflow server has can't be used.
    #[error("the MLflow server {server}: {problem}")]
    Unfit {
        /// Its address.
        server: String,
        /// Why not.
        problem: String,
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
