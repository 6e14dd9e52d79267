//! Which names are taken. What is in them is the classifier's business.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How names end that programs give to files, and folders, which they haven't finished.
const TEMPORARY: [&str; 4] = [".part", ".tmp", "~", ".crdownload"];

/// Whether a file of this name is taken.
pub(crate) fn is_photo(name: &OsStr) -> bool {
    !is_private(name) && autorma_schemas::is_photo(Path::new(name))
}

/// Whether the name is hidden or temporary, be it of a file or of a folder.
pub(crate) fn is_private(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let ends_with = |end: &str| {
        name.len() >= end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
    };
    name.starts_with(b".") || TEMPORARY.into_iter().any(ends_with)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_that_are_hidden_or_temporary_are_not_taken() {
        assert!(is_photo(OsStr::new("a.jpg")));
        for name in [".a.jpg", "a.jpg.part", "a.jpg.tmp", "a.jpg~", "a.jpg.crdownload", "a.txt"] {
            assert!(!is_photo(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn folders_can_be_hidden_or_temporary_too() {
        for name in [".autorma", "upload.tmp", "upload.PART"] {
            assert!(is_private(OsStr::new(name)), "{name}");
        }
        assert!(!is_private(OsStr::new("2026-11")));
    }
}
