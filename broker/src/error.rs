//! What goes wrong with a broker is for a person to read.

use std::fmt::Display;

/// Why there is no broker, or why it doesn't do what it should.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub(crate) String);

impl Error {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Says what was being done when an error came.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl Display) -> Result<T, Error>;
}

impl<T, E: Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Display) -> Result<T, Error> {
        self.map_err(|error| Error(format!("{what}: {error}")))
    }
}
