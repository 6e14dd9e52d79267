use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A file that appears when it is whole. Who can't write there hears it before the work that fills it, not after; who ends
/// that work leaves nothing.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: PathBuf,
    temporary: PathBuf,
}

impl Unfinished {
    /// Its folder must be there. A file of its name stays as it is until [`Self::finish`].
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("the report {} can't be written", path.display());
        // What a link leads to, so that it stays a link.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.is_symlink() {
            bail!("{}: it is a link to what isn't there", failed());
        }
        // A device that is replaced is gone for everybody.
        if path.exists() && !path.is_file() {
            bail!("{}: there is something that is no file; --report takes the name of a file", failed());
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".unfinished");
        let temporary = PathBuf::from(temporary);
        File::create(&temporary).and_then(|_| fs::remove_file(&temporary)).with_context(failed)?;
        Ok(Self { path: path.to_owned(), temporary })
    }

    pub(super) fn finish(self, content: &str) -> anyhow::Result<()> {
        let written = File::create(&self.temporary).and_then(|mut file| {
            file.write_all(content.as_bytes())?;
            file.sync_all()
        });
        let appeared = written.and_then(|()| fs::rename(&self.temporary, &self.path)).inspect_err(|_| {
            let _ = fs::remove_file(&self.temporary);
        });
        appeared.with_context(|| format!("the report {} can't be written", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_whole_or_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        fs::write(&path, "former").unwrap();
        let file = Unfinished::create(&path).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(folder.path()).len()), ("former", 1));
        file.finish("whole").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(folder.path()).len()), ("whole", 1));
    }

    #[test]
    fn a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("report.html"), folder.path().join("link.html"));
        fs::write(&path, "former").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        Unfinished::create(&link).unwrap().finish("whole").unwrap();
        assert!(link.is_symlink() && fs::read_to_string(&path).unwrap() == "whole");
    }

    #[test]
    fn who_can_t_write_hears_it_at_once() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::net::UnixListener::bind(folder.path().join("pipe")).unwrap();
        std::os::unix::fs::symlink("not-there", folder.path().join("nowhere")).unwrap();
        for (path, expected) in [
            ("none/report.html", "No such file"),
            ("", "--report takes the name of a file"),
            ("pipe", "no file"),
            ("nowhere", "a link to what isn't there"),
        ] {
            let error = Unfinished::create(&folder.path().join(path)).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains("can't be written") && error.contains(expected), "{error}");
        }
    }
}
