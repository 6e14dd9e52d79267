use std::io::{self, ErrorKind};
use std::path::Path;

use super::{Layer, Settings, SyntaxError};

/// The file that is read if no other is named.
const FILE: &str = "autorma.toml";

/// The settings can't even be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file can't be read.
    #[error("can't read the configuration {place}: {cause}")]
    Unreadable {
        /// The file.
        place: String,
        /// Why.
        cause: io::Error,
    },
    /// `autorma.toml` isn't TOML.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}

/// Reads all layers: `file`, which must exist, or the `autorma.toml` of `folder`, which may be missing; `.env` of
/// `folder`; the environment; and `flags`.
pub fn load(file: Option<&Path>, folder: &Path, flags: Layer) -> Result<Settings, LoadError> {
    let mut layers = Vec::new();
    let toml = match file {
        Some(file) => Some((file.display().to_string(), read(file)?)),
        None => read_if_there(&folder.join(FILE))?.map(|text| (FILE.into(), text)),
    };
    if let Some((place, text)) = toml {
        layers.push(Layer::from_toml(&text, &place)?);
    }
    if let Some(text) = read_if_there(&folder.join(".env"))? {
        layers.push(Layer::from_dotenv(&text, ".env"));
    }
    layers.push(Layer::from_environment(std::env::vars_os()));
    layers.push(flags);
    Ok(Settings::new(layers))
}

fn read_if_there(path: &Path) -> Result<Option<String>, LoadError> {
    match read(path) {
        // A folder named `.env` is a virtual environment of Python.
        Err(LoadError::Unreadable { cause, .. })
            if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) =>
        {
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn read(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path)
        .map_err(|cause| LoadError::Unreadable { place: path.display().to_string(), cause })
}
