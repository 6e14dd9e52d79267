//! Which file names are those of photos. What is in a file is the decoder's business.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What the names of photos end in, in any case.
const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// Whether a file of this name is a photo: something, a dot, and one of `.jpg .jpeg .png .webp .bmp .gif .tif .tiff`, in any case.
pub fn is_photo_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else { return false };
    let ending = &name[dot + 1..];
    dot > 0 && ENDINGS.iter().any(|photo| ending.eq_ignore_ascii_case(photo.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_are_known_by_their_ending_in_any_case() {
        for name in
            ["a.jpg", "B.JPEG", "c.Png", "d.webp", "e.bmp", "f.gif", "g.TIF", "h.tiff", "two.dots.jpg"]
        {
            assert!(is_photo_name(OsStr::new(name)), "{name}");
        }
        assert!(is_photo_name(OsStr::from_bytes(b"red\xffshoe.jpg")), "not UTF-8");
    }

    #[test]
    fn others_are_not() {
        for name in ["a.txt", "jpg", ".jpg", "", "a.", "a.jpg.part", "a.jpg~", "jpg.a"] {
            assert!(!is_photo_name(OsStr::new(name)), "{name}");
        }
    }
}
