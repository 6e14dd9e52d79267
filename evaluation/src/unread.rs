use std::ffi::OsStr;
use std::path::Path;

/// How the names of pictures end that aren't looked at. `jfif` and `jpe` are JPEG: who takes them here takes them for ingest,
/// too ([`autorma_schemas::is_photo`]).
const ENDINGS: [&str; 14] =
    ["jfif", "jpe", "heic", "heif", "avif", "jxl", "svg", "psd", "raw", "dng", "cr2", "cr3", "nef", "arw"];

/// What people are told of such a picture.
pub const UNREAD: &str = "pictures whose names end so aren't looked at: convert them to JPEG or PNG, or rename to .jpg what is \
                          JPEG already";

/// Whether it is a picture that isn't looked at, by the ending of its name in any case.
pub fn is_unread(path: &Path) -> bool {
    let ending = path.extension().and_then(OsStr::to_str);
    ending.is_some_and(|ending| ENDINGS.iter().any(|unread| ending.eq_ignore_ascii_case(unread)))
}

#[cfg(test)]
mod tests {
    use autorma_schemas::is_photo;

    use super::*;

    #[test]
    fn a_picture_that_isn_t_looked_at_is_no_photo_and_what_is_none_is_neither() {
        for name in ["a.heic", "b.two.HEIC", "c.jfif", "d.Dng"] {
            assert!(is_unread(Path::new(name)) && !is_photo(Path::new(name)), "{name}");
        }
        for name in ["a.jpg", "heic", ".heic", "a.heic.txt", "manifest.csv"] {
            assert!(!is_unread(Path::new(name)), "{name}");
        }
        let photos = ENDINGS.iter().filter(|ending| is_photo(Path::new(&format!("a.{ending}"))));
        assert_eq!(photos.count(), 0);
    }
}
