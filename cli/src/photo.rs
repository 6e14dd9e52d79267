//! What a file holds, as its event says it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use autorma_schemas::{event_id, file_url, hex};
use sha2::{Digest, Sha256};

/// Bytes that are read at once.
const BUFFER: usize = 1 << 16;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Photo {
    /// Absolute; the folder is the real one, the name may be that of a link.
    pub(crate) path: PathBuf,
    pub(crate) uri: String,
    pub(crate) sha256: String,
    pub(crate) length: u64,
    /// The content, if it is to travel in the event.
    pub(crate) bytes: Option<Vec<u8>>,
}

impl Photo {
    /// As ingest would name it: the same file published both ways is the same event.
    pub(crate) fn event_id(&self) -> String {
        event_id(&self.uri, &self.sha256)
    }
}

/// Reads a file. `inline` is the largest that may travel in its event; None: none does.
pub(crate) fn read(file: &Path, inline: Option<u64>) -> anyhow::Result<Photo> {
    let before = fs::metadata(file).context("can't be read")?;
    if before.is_dir() {
        bail!(
            "is a folder: name the files in it, as in folder/*.jpg, or classify all of it: autorma run --input"
        );
    }
    // To open a named pipe waits for its writer.
    ensure!(before.is_file(), "is no file");
    if let Some(most) = inline.filter(|most| before.len() > *most) {
        bail!(
            "{} bytes are more than the {most} that travel inline: allow more (--inline-limit), send a smaller picture, \
             or publish it without --inline from where the classifier can read it",
            before.len()
        );
    }
    let path = place(file).context("can't be read")?;
    let mut content = inline.map(|_| Vec::with_capacity(before.len() as usize));
    let (sha256, length) = hash(file, before.len(), &mut content).context("can't be read")?;
    let after = fs::metadata(file).context("can't be read")?;
    let is_same =
        length == before.len() && after.len() == length && after.modified()? == before.modified()?;
    ensure!(is_same, "is still being written: publish it when it is complete");
    Ok(Photo { uri: file_url(&path), path, sha256, length, bytes: content })
}

/// Its name in the real folder that it is in: links among the folders have other ways to the same file.
pub(crate) fn place(file: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(file)?;
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(folder.canonicalize()?.join(name)),
        _ => path.canonicalize(),
    }
}

/// Reads at most a byte more than `expected`: a file that grows as fast as it is read has no end.
fn hash(file: &Path, expected: u64, content: &mut Option<Vec<u8>>) -> io::Result<(String, u64)> {
    let mut file = File::open(file)?.take(expected + 1);
    let (mut sha256, mut length, mut buffer) = (Sha256::new(), 0, vec![0; BUFFER]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hex(&sha256.finalize()), length)),
            Ok(read) => {
                sha256.update(&buffer[..read]);
                length += read as u64;
                if let Some(content) = content {
                    content.extend_from_slice(&buffer[..read]);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_by_reference_or_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b.jpg");
        let content: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        fs::write(&file, &content).unwrap();
        let reference = read(&file, None).unwrap();
        assert_eq!(reference.sha256, autorma_schemas::sha256(&content));
        assert_eq!((reference.length, &reference.bytes), (100_000, &None));
        assert!(reference.uri.ends_with("/a%20b.jpg"), "{}", reference.uri);
        let inline = read(&file, Some(100_000)).unwrap();
        assert_eq!(inline.bytes.as_ref(), Some(&content));
        assert_eq!(inline.event_id(), reference.event_id());
        let told = read(&file, Some(99_999)).unwrap_err().to_string();
        assert!(told.contains("--inline-limit"), "{told}");
    }

    #[test]
    fn links_among_the_folders_are_no_other_place() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("real")).unwrap();
        fs::write(folder.path().join("real/a.jpg"), "photo").unwrap();
        std::os::unix::fs::symlink(folder.path().join("real"), folder.path().join("link")).unwrap();
        let id = |path: &str| read(&folder.path().join(path), None).unwrap().event_id();
        assert_eq!(id("real/a.jpg"), id("link/a.jpg"));
    }

    #[test]
    fn what_is_no_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path| format!("{:#}", read(path, None).unwrap_err());
        assert!(told(folder.path()).contains("folder/*.jpg"));
        assert!(told(&folder.path().join("none.jpg")).contains("No such file"));
        let pipe = folder.path().join("pipe.jpg");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(told(&pipe).contains("no file"));
    }
}
