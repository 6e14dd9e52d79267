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
        None if is_there(&folder.join(FILE)) => Some((FILE.into(), read(&folder.join(FILE))?)),
        None => None,
    };
    if let Some((place, text)) = toml {
        layers.push(Layer::from_toml(&text, &place)?);
    }
    // A folder named `.env` is a virtual environment of Python.
    let dotenv = folder.join(".env");
    if is_there(&dotenv) && !dotenv.is_dir() {
        layers.push(Layer::from_dotenv(&read_shared(&dotenv)?, ".env"));
    }
    layers.push(Layer::from_environment(std::env::vars_os()));
    layers.push(flags);
    Ok(Settings::new(layers))
}

/// Whether anything has the name, be it a link to nowhere: whoever has put that there means settings that are away.
fn is_there(path: &Path) -> bool {
    !path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

fn read(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path).map_err(|cause| unreadable(path, cause))
}

/// A file that other programs read, too: what isn't UTF-8 in it may be meant for them.
fn read_shared(path: &Path) -> Result<String, LoadError> {
    let bytes = std::fs::read(path).map_err(|cause| unreadable(path, cause))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unreadable(path: &Path, cause: io::Error) -> LoadError {
    LoadError::Unreadable { place: path.display().to_string(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Key;

    #[test]
    fn a_dotenv_of_several_programs_and_editors_is_read() {
        const DATA: Key = Key::new("data", "none", "the state");
        let folder = tempfile::tempdir().unwrap();
        let read = |dotenv: &[u8]| {
            std::fs::write(folder.path().join(".env"), dotenv).unwrap();
            let mut settings = load(None, folder.path(), Layer::new("flags")).unwrap();
            let data: String = settings.get(&DATA, ..);
            settings.finish().map(|()| data).map_err(|error| error.to_string())
        };
        let here = Ok("here".to_owned());
        assert_eq!(read(b"# caf\xe9\nOTHER=caf\xe9\nAUTORMA_DATA=here\n"), here);
        assert_eq!(read(b"\xef\xbb\xbfAUTORMA_DATA=here\r\n"), here);
        assert_eq!(read(b"export\tAUTORMA_DATA=here\n"), here);
        let told = read(b"# ours\nAUTORMA_DATA=caf\xe9\n").unwrap_err();
        assert!(told.contains("AUTORMA_DATA (from .env:2): a text in UTF-8"), "{told}");
    }
}
