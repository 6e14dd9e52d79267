use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use autorma_service::files::is_out_of_files;

use crate::Error;
use crate::settle::Version;

/// The input folder: nothing outside it is looked into.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// As it was named.
    named: PathBuf,
    /// What stands in it, if that is a link.
    link: Option<PathBuf>,
    /// Canonical.
    path: PathBuf,
    text: String,
    identity: (u64, u64),
}

/// What is at a path.
#[derive(Debug)]
pub(crate) enum Look {
    /// A file, or a link to one inside the root.
    File(Seen),
    /// A folder; a link to one is [`Look::Other`].
    Folder,
    /// Neither.
    Other,
    /// A link that leads there.
    Outside(PathBuf),
    /// Nothing.
    Gone,
    /// That can't be said.
    Failed(io::Error),
}

/// A file as it was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) version: Version,
    identity: (u64, u64),
    /// Whether it can have come without being written: a link, hard or symbolic, is made in one step.
    pub(crate) is_link: bool,
}

impl Seen {
    pub(crate) fn of(metadata: &Metadata, is_link: bool) -> Self {
        let modified = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Self {
            version: Version { size: metadata.len(), modified_ns: modified },
            identity: identity(metadata),
            is_link: is_link || metadata.nlink() > 1,
        }
    }

    /// Whether it is the same file with nothing written since.
    pub(crate) fn is_still(&self, metadata: &Metadata) -> bool {
        let now = Seen::of(metadata, false);
        metadata.is_file() && (self.identity, self.version) == (now.identity, now.version)
    }
}

/// Which file or folder it is, whatever its path: device and number.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Root {
    pub(crate) fn open(input: &Path) -> Result<Self, Error> {
        let failed = |cause: io::Error| match cause.kind() {
            ErrorKind::NotFound => Error::InputMissing(input.to_owned()),
            ErrorKind::NotADirectory => Error::InputNotAFolder(input.to_owned()),
            _ if is_out_of_files(&cause) => Error::OutOfFiles(cause),
            _ => Error::InputUnreadable { path: input.to_owned(), cause },
        };
        let path = input.canonicalize().map_err(failed)?;
        fs::read_dir(&path).map_err(failed)?;
        let Some(text) = path.to_str().map(str::to_owned) else { return Err(Error::InputNotUtf8(path)) };
        let identity = identity(&fs::metadata(&path).map_err(failed)?);
        // Without a slash at its end, behind which nothing is a link.
        let named: PathBuf = input.components().collect();
        Ok(Self { link: fs::read_link(&named).ok(), named, path, text, identity })
    }

    /// An error if it isn't there any more: then that files of it are gone says nothing.
    pub(crate) fn expect_there(&self) -> Result<(), Error> {
        let is_there = fs::metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity);
        if is_there { Ok(()) } else { Err(Error::InputGone(self.path.clone())) }
    }

    /// As it was named.
    pub(crate) fn named(&self) -> &Path {
        &self.named
    }

    /// Where what was named leads by now, if it is a link that has been changed; it isn't followed, for what it leads to may
    /// hang. An error if it is no link any more, or nobody can say.
    pub(crate) fn elsewhere(&self) -> io::Result<Option<PathBuf>> {
        let Some(link) = &self.link else { return Ok(None) };
        Ok(Some(fs::read_link(&self.named)?).filter(|now| now != link))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder as runs name it: exactly, since the classifier takes it as a path.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Looks at a path below the root, without opening what is there.
    pub(crate) fn look(&self, path: &Path) -> Look {
        self.try_look(path).unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Look::Gone,
            _ => Look::Failed(error),
        })
    }

    /// Whether the folder of this path is really below the root, not behind a link.
    pub(crate) fn holds_folder_of(&self, path: &Path) -> bool {
        let Some(folder) = path.parent() else { return false };
        folder == self.path
            || folder.starts_with(&self.path) && folder.canonicalize().is_ok_and(|real| real == folder)
    }

    fn try_look(&self, path: &Path) -> io::Result<Look> {
        let metadata = fs::symlink_metadata(path)?;
        if metadata.is_dir() {
            return Ok(Look::Folder);
        }
        if !metadata.is_symlink() {
            return Ok(if metadata.is_file() { Look::File(Seen::of(&metadata, false)) } else { Look::Other });
        }
        let target = path.canonicalize().map_err(|error| match error.kind() {
            ErrorKind::NotFound => io::Error::other("the link leads nowhere"),
            _ => error,
        })?;
        if !target.starts_with(&self.path) {
            return Ok(Look::Outside(target));
        }
        let metadata = fs::metadata(&target)?;
        Ok(if metadata.is_file() { Look::File(Seen::of(&metadata, true)) } else { Look::Other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_there_is_told_apart_and_links_are_not_followed_out() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("secret.jpg"));
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::write(&outside, "x").unwrap();
        fs::write(inside.join("sub/a.jpg"), "xyz").unwrap();
        let link = |target: &Path, name: &str| symlink(target, inside.join(name)).unwrap();
        link(&outside, "out.jpg");
        link(Path::new("sub/a.jpg"), "in.jpg");
        link(Path::new("sub"), "folder.jpg");
        link(Path::new("loop.jpg"), "loop.jpg");
        link(Path::new("nowhere"), "broken.jpg");
        let root = Root::open(&inside).unwrap();
        let look = |name: &str| root.look(&root.path().join(name));
        assert!(matches!(look("sub/a.jpg"), Look::File(seen) if seen.version.size == 3 && !seen.is_link));
        assert!(matches!(look("in.jpg"), Look::File(seen) if seen.is_link));
        assert!(matches!(look("out.jpg"), Look::Outside(_)));
        assert!(matches!(look("sub"), Look::Folder));
        assert!(matches!(look("folder.jpg"), Look::Other));
        assert!(matches!(look("loop.jpg"), Look::Failed(_)));
        assert!(matches!(look("broken.jpg"), Look::Failed(_)));
        assert!(matches!(look("none.jpg"), Look::Gone));
        assert!(matches!(look("sub/a.jpg/b.jpg"), Look::Gone));
        assert!(root.holds_folder_of(&root.path().join("sub/a.jpg")));
        assert!(!root.holds_folder_of(&root.path().join("folder.jpg/a.jpg")), "behind a link");
    }

    #[test]
    fn an_input_that_leads_elsewhere_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let (one, other, link) = (folder.join("one"), folder.join("other"), folder.join("in"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&other).unwrap();
        let lead_to = |to: &Path| {
            drop(fs::remove_file(&link));
            symlink(to, &link).unwrap();
        };
        lead_to(&one);
        let root = Root::open(&link).unwrap();
        assert_eq!(root.elsewhere().unwrap(), None);
        lead_to(&other);
        assert_eq!(root.elsewhere().unwrap(), Some(other));
        lead_to(&folder.join("nowhere"));
        assert_eq!(root.elsewhere().unwrap(), Some(folder.join("nowhere")));
        fs::remove_file(&link).unwrap();
        assert!(root.elsewhere().is_err(), "it may be about to lead here again");
        lead_to(&one);
        assert_eq!(root.elsewhere().unwrap(), None);
        // Its folder has another name, and is the same one.
        let moved = folder.join("moved");
        fs::rename(&one, &moved).unwrap();
        symlink(&moved, &one).unwrap();
        assert_eq!(
            (Root::open(&one.join("")).unwrap().elsewhere().unwrap(), root.elsewhere().unwrap()),
            (None, None)
        );
    }

    #[test]
    fn runs_name_an_input_exactly_and_one_that_they_can_not_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let inside = |name: &[u8]| {
            let input = folder.join(OsStr::from_bytes(name));
            fs::create_dir(&input).unwrap();
            input
        };
        let backslash = inside(b"back\\slash \xc3\xa9");
        assert_eq!(Path::new(Root::open(&backslash).unwrap().text()), backslash);
        let below = inside(b"red\xff").join("photos");
        fs::create_dir(&below).unwrap();
        symlink(&below, folder.join("link")).unwrap();
        for input in [&below, &folder.join("link")] {
            let error = Root::open(input).unwrap_err();
            assert!(matches!(&error, Error::InputNotUtf8(path) if *path == below), "{error}");
            let said = error.to_string();
            assert!(said.contains("red\\xFF") && said.contains("rename") && said.contains("link"), "{said}");
        }
    }

    #[test]
    fn an_input_that_will_not_do_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for input in [folder.path().join("none"), file] {
            let error = Root::open(&input).unwrap_err().to_string();
            assert!(error.contains("--input") && error.contains(&*input.to_string_lossy()), "{error}");
        }
    }
}
