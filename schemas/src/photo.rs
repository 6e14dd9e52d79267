//! Which files are photos, by their names. What is in a file is the decoder's business.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the names of photos end in, in any case.
const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// Whether a file is a photo by its name: something, a dot, and one of `.jpg .jpeg .png .webp .bmp .gif .tif .tiff`, in any
/// case.
pub fn is_photo(path: &Path) -> bool {
    let Some(name) = path.file_name().map(OsStrExt::as_bytes) else { return false };
    let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else { return false };
    let ending = &name[dot + 1..];
    dot > 0 && ENDINGS.iter().any(|photo| ending.eq_ignore_ascii_case(photo.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn photos_are_known_by_their_ending_in_any_case() {
        for name in
            ["a.jpg", "B.JPEG", "c.Png", "d.webp", "e.bmp", "f.gif", "g.TIF", "h.tiff", "two.dots.jpg"]
        {
            assert!(is_photo(Path::new(name)), "{name}");
        }
        assert!(is_photo(Path::new(OsStr::from_bytes(b"red\xffshoe.jpg"))), "not UTF-8");
    }

    #[test]
    fn others_are_not() {
        for name in ["a.txt", "jpg", ".jpg", "", "a.", "a.jpg.part", "a.jpg~", "jpg.a"] {
            assert!(!is_photo(Path::new(name)), "{name}");
        }
    }
}
