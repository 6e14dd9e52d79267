//! Which names are photos. What is in them is the classifier's business.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

const PHOTOS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];
/// How names end that programs give to files, and folders, which they haven't finished.
const TEMPORARY: [&str; 4] = [".part", ".tmp", "~", ".crdownload"];

/// Whether a file of this name is taken.
pub(crate) fn is_photo(name: &OsStr) -> bool {
    let extension = || name.as_bytes().rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    !is_private(name)
        && PHOTOS.iter().any(|photo| extension().eq_ignore_ascii_case(photo.as_bytes()))
        && name.as_bytes().contains(&b'.')
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
    fn photos_are_known_by_their_extension_in_any_case() {
        for name in
            ["a.jpg", "B.JPEG", "c.Png", "d.webp", "e.bmp", "f.gif", "g.TIF", "h.tiff", "two.dots.jpg"]
        {
            assert!(is_photo(OsStr::new(name)), "{name}");
        }
        assert!(is_photo(OsStr::from_bytes(b"red\xffshoe.jpg")), "not UTF-8");
    }

    #[test]
    fn others_are_not() {
        for name in [
            "a.txt",
            "jpg",
            "a.jpg.part",
            "a.jpg.tmp",
            "a.jpg~",
            "a.jpg.crdownload",
            ".a.jpg",
            ".jpg",
            "",
            "a.",
        ] {
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
