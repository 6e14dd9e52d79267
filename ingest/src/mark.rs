use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use autorma_schemas::Micros;

/// A file of our own. Events come in order, whatever folders they are of: when one of this file comes, everything
/// that happened before the file was written to has been said.
#[derive(Debug)]
pub(crate) struct Mark {
    path: PathBuf,
    file: File,
}

impl Mark {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on its event is on the way.
    pub(crate) fn set(&self) -> io::Result<()> {
        self.file.write_all_at(b"!", 0)
    }

    /// Takes its name away, so that a kill leaves nothing behind. Its events come all the same.
    pub(crate) fn hide(&self) {
        drop(std::fs::remove_file(&self.path));
    }
}

/// Makes marks: in memory if possible, else where temporary files are, but not in the input.
#[derive(Debug, Clone)]
pub(crate) struct Marks {
    /// How their paths begin.
    stems: Vec<PathBuf>,
}

impl Marks {
    pub(crate) fn new(root: &Path) -> Self {
        let name = format!("autorma-ingest-{}-{}-", std::process::id(), Micros::now().0);
        let folders = [PathBuf::from("/dev/shm"), std::env::temp_dir()];
        let folders = folders.iter().filter_map(|folder| folder.canonicalize().ok());
        Self {
            stems: folders
                .filter(|folder| !folder.starts_with(root))
                .map(|folder| folder.join(&name))
                .collect(),
        }
    }

    /// Whether the path is one of theirs.
    pub(crate) fn made(&self, path: &Path) -> bool {
        let path = path.as_os_str().as_bytes();
        self.stems.iter().any(|stem| path.starts_with(stem.as_os_str().as_bytes()))
    }

    /// A new mark.
    pub(crate) fn make(&self) -> io::Result<Mark> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut failure = ErrorKind::NotFound.into();
        for stem in &self.stems {
            let mut path = stem.clone().into_os_string();
            path.push(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
            let path = PathBuf::from(path);
            match File::options().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Mark { path, file }),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_has_its_own_name_outside_the_input() {
        let marks = Marks::new(Path::new("/in"));
        let (one, two) = (marks.make().unwrap(), marks.make().unwrap());
        assert_ne!(one.path(), two.path());
        assert!(marks.made(one.path()) && marks.made(two.path()));
        assert!(!marks.made(Path::new("/in/a.jpg")));
        one.hide();
        two.hide();
        assert!(!one.path().exists() && one.set().is_ok());
        assert!(Marks::new(Path::new("/")).make().is_err(), "everything is the input");
    }
}
