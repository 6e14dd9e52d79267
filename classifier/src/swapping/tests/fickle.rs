use autorma_models::registry::{Aliases, May, Move, Reference, RegistryError, Version, Which};
use rustix::io::Errno;

use super::*;

pub(super) type Trouble = fn() -> RegistryError;

/// A registry that may have trouble with saying what an alias names, and with giving its second version.
#[derive(Debug)]
pub(super) struct Fickle {
    home: FolderRegistry,
    /// It says nothing while somebody holds this.
    pub(super) saying: Mutex<Option<Trouble>>,
    pub(super) giving: Mutex<Option<Trouble>>,
    /// Where somebody moves the alias while the version of this number is given.
    pub(super) moves_to: Mutex<BTreeMap<u64, u64>>,
    /// Whether it never says anything any more once it has given a version.
    pub(super) falls_silent: Mutex<bool>,
    /// The version that is remembered.
    pub(super) remembers: Mutex<u64>,
}

impl Fickle {
    pub(super) fn of(home: FolderRegistry) -> Self {
        let (saying, giving, moves_to) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { home, saying, giving, moves_to, falls_silent: Mutex::default(), remembers: Mutex::new(1) }
    }
}

pub(super) fn away() -> RegistryError {
    RegistryError::Away { server: "http://registry".into(), cause: "nobody is there".into() }
}

pub(super) fn refused(code: &str) -> RegistryError {
    RegistryError::Refused { server: "http://registry".into(), code: code.into(), message: "no".into() }
}

pub(super) fn no_file() -> RegistryError {
    RegistryError::File { path: "versions/2".into(), cause: Errno::MFILE.into() }
}

impl Registry for Fickle {
    fn now(&self, name: &str, alias: &str) -> Result<Option<u64>, RegistryError> {
        match *self.saying.lock() {
            Some(trouble) => Err(trouble()),
            None => self.home.now(name, alias),
        }
    }

    fn manifest_sha256(&self, name: &str, number: u64) -> Option<String> {
        self.home.manifest_sha256(name, number)
    }

    fn load(&self, name: &str, number: u64) -> Result<Model, RegistryError> {
        match *self.giving.lock() {
            Some(trouble) if number == 2 => Err(trouble()),
            _ => {
                if let Some(next) = self.moves_to.lock().get(&number) {
                    self.home.point(name, "production", *next, &signed())?;
                }
                if *self.falls_silent.lock() {
                    std::mem::forget(self.saying.lock());
                }
                self.home.load(name, number)
            }
        }
    }

    fn remember(&self, _: &Reference, number: u64) {
        *self.remembers.lock() = number;
    }

    fn remembered(&self, Reference { name, which }: &Reference) -> Option<(u64, Model)> {
        let number = *self.remembers.lock();
        match which {
            Which::Number(meant) if *meant != number => None,
            _ => Some((number, self.home.load(name, number).ok()?)),
        }
    }

    fn register(&self, _: &Path, _: &Signed) -> Result<Version, RegistryError> {
        unreachable!()
    }

    fn numbers(&self, _: &str) -> Result<Vec<u64>, RegistryError> {
        unreachable!()
    }

    fn version(&self, _: &str, _: u64) -> Result<Version, RegistryError> {
        unreachable!()
    }

    fn names(&self) -> Result<Vec<String>, RegistryError> {
        unreachable!()
    }

    fn reference(&self, _: &str, _: u64) -> Result<Option<Model>, RegistryError> {
        unreachable!()
    }

    fn aliases(&self, _: &str) -> Result<Aliases, RegistryError> {
        unreachable!()
    }

    fn make_move(&self, _: &str, _: &str, _: u64, _: &Signed, _: &May<'_>) -> Result<Move, RegistryError> {
        unreachable!()
    }

    fn moves(&self, name: &str, alias: &str) -> Result<Vec<Move>, RegistryError> {
        match *self.saying.lock() {
            Some(trouble) => Err(trouble()),
            None => self.home.moves(name, alias),
        }
    }

    fn collect(&self, _: &str, _: usize) -> Result<Vec<u64>, RegistryError> {
        unreachable!()
    }
}
