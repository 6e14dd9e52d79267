//! Names and URLs of files whose names may be any bytes: readable in JSON, and the way back is known.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

/// What isn't written as it is in a path of a URL (RFC 3986, section 3.3), without the slash.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The `file://` URL of an absolute path; bytes that aren't UTF-8 are percent-encoded.
pub fn file_url(path: &Path) -> String {
    format!("file://{}", percent_encode(path.as_os_str().as_bytes(), RESERVED))
}

/// The path of a `file://` URL; None for any other.
pub fn file_path(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("file://").filter(|path| path.starts_with('/'))?;
    Some(PathBuf::from(OsString::from_vec(percent_decode_str(path).collect())))
}

/// A file's name for people: bytes that aren't UTF-8 become `\xHH`, and so does a backslash, so that each name is
/// written in its own way.
pub fn readable(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\x5C"));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02X}")));
    }
    text
}

/// Without what would move the cursor or turn the line around: a file's name may hold anything.
pub fn printable(text: &str) -> String {
    let dangerous =
        |c: char| c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let show = |c: char| if dangerous(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(show).collect()
}

/// Where a photo is, for people: a path if it is a file, the URL of any other.
pub fn readable_url(url: &str) -> String {
    file_path(url).map_or_else(|| url.to_owned(), |path| readable(path.as_os_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_path_survives_its_url(bytes in proptest::collection::vec(1u8.., 0..40)) {
            let path = Path::new("/").join(OsStr::from_bytes(&bytes));
            prop_assert_eq!(file_path(&file_url(&path)), Some(path));
        }

        #[test]
        fn different_names_read_differently(one in proptest::collection::vec(0u8.., 0..6), two in proptest::collection::vec(0u8.., 0..6)) {
            let read = |name: &[u8]| readable(OsStr::from_bytes(name));
            prop_assert_eq!(one == two, read(&one) == read(&two));
        }
    }

    #[test]
    fn names_stay_readable() {
        assert_eq!(readable(OsStr::new("café 👕.jpg")), "café 👕.jpg");
        assert_eq!(readable(OsStr::from_bytes(b"red\xffshoe\\x.jpg")), "red\\xFFshoe\\x5Cx.jpg");
        assert_eq!(file_url(Path::new("/in/a b#1.jpg")), "file:///in/a%20b%231.jpg");
        assert_eq!(file_path("s3://bucket/a.jpg"), None);
    }

    #[test]
    fn a_url_is_what_people_can_open() {
        assert_eq!(readable_url("file:///in/a%20b.jpg"), "/in/a b.jpg");
        assert_eq!(readable_url("file:///in/%ff.jpg"), "/in/\\xFF.jpg");
        assert_eq!(readable_url("s3://bucket/a%20b.jpg"), "s3://bucket/a%20b.jpg");
    }
}
