use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::vec;

use crate::names::{is_photo, is_private};

/// Reads folders step by step, so that its owner can look after other things in between. Of a folder, only the names
/// are kept; they come in order, so that the same folder gives the same sequence.
#[derive(Debug)]
pub(crate) struct Scan {
    recursive: bool,
    /// Still to be read, the next one last.
    folders: Vec<PathBuf>,
    folder: PathBuf,
    names: vec::IntoIter<OsString>,
    announced: bool,
}

/// What a scan comes to.
#[derive(Debug)]
pub(crate) enum Step {
    /// A folder that is read next: whoever wants to hear of what comes into it must listen from now on.
    Folder(PathBuf),
    /// A folder that was read.
    Read {
        path: PathBuf,
        /// How many of its files don't have a photo's name.
        ignored: u64,
    },
    /// A folder that can't be read.
    Failed(PathBuf, io::Error),
    /// What has a photo's name.
    Photo(PathBuf),
}

impl Scan {
    /// With nothing to do yet.
    pub(crate) fn new(recursive: bool) -> Self {
        Self {
            recursive,
            folders: Vec::new(),
            folder: PathBuf::new(),
            names: Vec::new().into_iter(),
            announced: false,
        }
    }

    /// Reads this folder too.
    pub(crate) fn push(&mut self, folder: PathBuf) {
        self.folders.insert(0, folder);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.folders.is_empty() && self.names.len() == 0
    }

    fn read(folder: &Path, recursive: bool) -> io::Result<Listing> {
        // It was a folder a moment ago; a link that has taken its place isn't followed.
        if !fs::symlink_metadata(folder)?.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        let entries = fs::read_dir(folder)?.map(|entry| {
            let entry = entry?;
            Ok((entry.file_name(), entry.file_type().map(|kind| kind.is_dir())))
        });
        Listing::of(entries, recursive)
    }
}

/// Whether this says that something isn't there any more, rather than that it can't be read.
pub(crate) fn says_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// What is in a folder.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listing {
    photos: Vec<OsString>,
    /// Folders to read, the first one last.
    folders: Vec<OsString>,
    /// The number of other files.
    ignored: u64,
}

impl Listing {
    /// Of names, and of each whether it is a folder's. One that has gone since it was listed isn't there. Where nobody can
    /// say what one is, it is what its name says: whoever looks at it next finds out, or fails at it alone.
    fn of(
        entries: impl Iterator<Item = io::Result<(OsString, io::Result<bool>)>>,
        recursive: bool,
    ) -> io::Result<Self> {
        let mut listing = Self::default();
        for entry in entries {
            let (name, is_folder) = entry?;
            match is_folder {
                Ok(true) if recursive && !is_private(&name) => listing.folders.push(name),
                Ok(true) => {}
                Ok(false) if is_photo(&name) => listing.photos.push(name),
                Ok(false) => listing.ignored += 1,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(_) if is_photo(&name) => listing.photos.push(name),
                Err(_) if recursive && !is_private(&name) => listing.folders.push(name),
                Err(_) => listing.ignored += 1,
            }
        }
        listing.photos.sort_unstable();
        listing.folders.sort_unstable_by(|one, other| other.cmp(one));
        Ok(listing)
    }
}

impl Iterator for Scan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some(name) = self.names.next() {
            return Some(Step::Photo(self.folder.join(name)));
        }
        if !self.announced {
            let next = self.folders.last()?.clone();
            self.announced = true;
            return Some(Step::Folder(next));
        }
        self.announced = false;
        self.folder = self.folders.pop()?;
        match Self::read(&self.folder, self.recursive) {
            Ok(Listing { photos, folders, ignored }) => {
                self.names = photos.into_iter();
                self.folders.extend(folders.into_iter().map(|name| self.folder.join(name)));
                Some(Step::Read { path: self.folder.clone(), ignored })
            }
            Err(error) => Some(Step::Failed(std::mem::take(&mut self.folder), error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn photos(scan: Scan, root: &Path) -> Vec<String> {
        let name = |path: PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        scan.filter_map(|step| if let Step::Photo(path) = step { Some(name(path)) } else { None }).collect()
    }

    #[test]
    fn photos_come_in_order_and_folders_only_when_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("in");
        for name in ["b", "a", ".hidden", "a/c", "x.part"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        symlink(folder.path(), root.join("link")).unwrap();
        for name in [
            "z.jpg",
            "m.png",
            "n.txt",
            "b/2.jpg",
            "b/1.jpg",
            "a/3.jpg",
            "a/c/4.gif",
            ".hidden/5.jpg",
            "x.part/6.jpg",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        let scan = |recursive| {
            let mut scan = Scan::new(recursive);
            scan.push(root.clone());
            scan
        };
        assert_eq!(photos(scan(false), &root), ["m.png", "z.jpg"]);
        let all = ["m.png", "z.jpg", "a/3.jpg", "a/c/4.gif", "b/1.jpg", "b/2.jpg"];
        assert_eq!(photos(scan(true), &root), all);
        let ignored = |step| if let Step::Read { ignored, .. } = step { ignored } else { 0 };
        assert_eq!(scan(false).map(ignored).sum::<u64>(), 2, "n.txt and the link");
    }

    #[test]
    fn what_has_gone_since_it_was_listed_is_skipped_and_what_nobody_can_say_is_looked_at() {
        let entry = |name: &str, is_folder| Ok((name.into(), is_folder));
        let gone = || entry("gone.jpg", Err(ErrorKind::NotFound.into()));
        let rest = [gone(), entry("b.jpg", Ok(false)), entry("a.txt", Ok(false)), entry("c", Ok(true))];
        let expected = Listing { photos: vec!["b.jpg".into()], folders: vec!["c".into()], ignored: 1 };
        assert_eq!(Listing::of(rest.into_iter(), true).unwrap(), expected);
        let bad = |name| entry(name, Err(io::Error::other("the disk is dying")));
        for (recursive, folders, ignored) in [(true, vec!["bad".into()], 1), (false, vec![], 2)] {
            let bad = [entry("a.jpg", Ok(false)), bad("bad.jpg"), bad("bad"), bad(".bad")];
            let expected = Listing { photos: vec!["a.jpg".into(), "bad.jpg".into()], folders, ignored };
            assert_eq!(Listing::of(bad.into_iter(), recursive).unwrap(), expected);
        }
        let cut_off = [entry("a.jpg", Ok(false)), Err(io::Error::other("the disk is dying"))];
        assert!(Listing::of(cut_off.into_iter(), true).is_err());
    }

    #[test]
    fn a_folder_that_vanishes_or_becomes_a_link_is_told() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/", folder.path().join("link")).unwrap();
        for name in ["none", "link"] {
            let mut scan = Scan::new(true);
            scan.push(folder.path().join(name));
            assert!(matches!(scan.next(), Some(Step::Folder(_))));
            let Some(Step::Failed(path, error)) = scan.next() else { panic!("{name}") };
            assert!(path.ends_with(name) && says_gone(&error), "{error}");
            assert!(scan.next().is_none() && scan.is_idle());
        }
    }
}
