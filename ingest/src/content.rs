use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use autorma_service::files;
use sha2::{Digest, Sha256};

use crate::root::Seen;

/// What was in a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// All of it, and nothing has changed since the look.
    Whole([u8; 32]),
    /// It was changed, or replaced, since the look; this is what it is now.
    Changed(Seen),
    /// There was no time to read it all.
    Interrupted,
}

/// Reads a file that was looked at, with a buffer of a fixed size. `go_on` is asked now and then.
pub(crate) fn read(
    path: &Path,
    seen: &Seen,
    buffer: &mut [u8],
    go_on: impl FnMut() -> bool,
) -> io::Result<Content> {
    let mut file = files::open(path)?;
    if !seen.is_still(&file.metadata()?) {
        return changed(&file);
    }
    // A file that grows as fast as it is read has no end.
    let Some((length, sha256)) = hash(&mut (&mut file).take(seen.version.size + 1), buffer, go_on)? else {
        return Ok(Content::Interrupted);
    };
    if length != seen.version.size || !seen.is_still(&file.metadata()?) {
        return changed(&file);
    }
    Ok(Content::Whole(sha256))
}

fn changed(file: &File) -> io::Result<Content> {
    Ok(Content::Changed(Seen::of(&file.metadata()?, false)))
}

fn hash(
    file: &mut impl Read,
    buffer: &mut [u8],
    mut go_on: impl FnMut() -> bool,
) -> io::Result<Option<(u64, [u8; 32])>> {
    let (mut sha256, mut length) = (Sha256::new(), 0);
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(Some((length, sha256.finalize().into()))),
            Ok(read) => {
                sha256.update(&buffer[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if !go_on() {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_schemas::hex;
    use std::fs;
    use std::io::Write;

    fn file_of(bytes: &[u8]) -> (tempfile::NamedTempFile, Seen) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let seen = Seen::of(&file.as_file().metadata().unwrap(), false);
        (file, seen)
    }

    #[test]
    fn a_file_is_read_in_pieces() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        let (file, seen) = file_of(&bytes);
        let Content::Whole(sha256) = read(file.path(), &seen, &mut [0; 999], || true).unwrap() else {
            panic!()
        };
        assert_eq!(hex(&sha256), autorma_schemas::sha256(&bytes));
        assert_eq!(read(file.path(), &seen, &mut [0; 999], || false).unwrap(), Content::Interrupted);
    }

    #[test]
    fn what_grows_or_is_replaced_is_told() {
        let (mut file, seen) = file_of(b"half");
        file.write_all(b" and half").unwrap();
        let Content::Changed(now) = read(file.path(), &seen, &mut [0; 9], || true).unwrap() else { panic!() };
        assert_eq!(now.version.size, 13);
        let (other, _) = file_of(b"half and half");
        fs::rename(other.path(), file.path()).unwrap();
        assert!(matches!(read(file.path(), &now, &mut [0; 9], || true).unwrap(), Content::Changed(_)));
    }

    #[test]
    fn what_grows_while_it_is_read_is_told() {
        let (file, seen) = file_of(b"half");
        let grow = || {
            let mut writer = fs::OpenOptions::new().append(true).open(file.path()).unwrap();
            writer.write_all(b"!").is_ok()
        };
        assert!(matches!(read(file.path(), &seen, &mut [0; 2], grow).unwrap(), Content::Changed(_)));
    }

    #[test]
    fn a_pipe_in_its_place_does_not_block() {
        let (file, seen) = file_of(b"photo");
        fs::remove_file(file.path()).unwrap();
        let made = std::process::Command::new("mkfifo").arg(file.path()).status().unwrap();
        assert!(made.success());
        assert!(matches!(read(file.path(), &seen, &mut [0; 9], || true).unwrap(), Content::Changed(_)));
    }

    #[test]
    fn an_error_in_the_middle_is_an_error() {
        struct Broken(u8);
        impl Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => Err(ErrorKind::Interrupted.into()),
                    2 => {
                        buffer[0] = 1;
                        Ok(1)
                    }
                    _ => Err(io::Error::other("the disk is dying")),
                }
            }
        }
        assert!(hash(&mut Broken(0), &mut [0; 9], || true).is_err());
    }
}
