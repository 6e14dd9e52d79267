use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use autorma_schemas::sha256;

use crate::{File, Manifest, Member};

/// The manifest's file name in a model's folder.
pub const MANIFEST: &str = "manifest.json";

/// What a file may have, in bytes: a manifest by far, and an ONNX file by what Protocol Buffers can hold. A model's members
/// together have no more.
pub(crate) const MOST_OF_A_MANIFEST: u64 = 1 << 20;
pub(crate) const MOST_OF_A_MODEL: u64 = 1 << 31;

/// What helps where a folder's file isn't the one of its manifest.
const REMEDY: &str = "take it again from where it came from";

/// A model whose files are those that its manifest describes.
#[derive(Debug, Clone)]
pub struct Model {
    /// What it is.
    pub manifest: Manifest,
    /// The content of each member's ONNX file, in their order: what was verified is what is loaded.
    pub onnx: Vec<Vec<u8>>,
}

/// Why a model can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of it can't be read.
    #[error(
        "the model at {path}: {cause}; a model's folder, such as `--model` names, holds manifest.json and the files named \
         there, and a version is NAME@ALIAS or NAME/NUMBER"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file of it is larger than any of its kind.
    #[error("the model at {path}: {bytes} bytes, more than the {most} that it may have")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What it has.
        bytes: u64,
        /// What it may have.
        most: u64,
    },
    /// The manifest isn't one.
    #[error("the model's manifest {path}: {cause}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The file isn't the one described.
    #[error("the model {path} is not the one of its manifest: {found}, expected {expected}; {remedy}")]
    Different {
        /// The ONNX file.
        path: PathBuf,
        /// What the file is.
        found: String,
        /// What the manifest says.
        expected: String,
        /// What helps.
        remedy: &'static str,
    },
}

impl Model {
    /// Reads and verifies the model in `folder`: manifest, and length and SHA-256 of each member. Its reference isn't looked
    /// at: who serves a model doesn't need it.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::verified(folder, Self::manifest(folder)?)
    }

    /// The same of the model's reference, if it has one.
    pub fn open_reference(folder: &Path) -> Result<Option<Self>, Error> {
        Self::verified_reference(folder, &Self::manifest(folder)?)
    }

    /// Both, by one look at the manifest: somebody may replace the model meanwhile.
    pub(crate) fn open_with_reference(folder: &Path) -> Result<(Self, Option<Self>), Error> {
        let model = Self::open(folder)?;
        let reference = Self::verified_reference(folder, &model.manifest)?;
        Ok((model, reference))
    }

    /// The reference of the model with this manifest, whatever the one in `folder` says.
    pub(crate) fn verified_reference(folder: &Path, manifest: &Manifest) -> Result<Option<Self>, Error> {
        manifest.of_reference().map(|reference| Self::verified(folder, reference)).transpose()
    }

    /// What a registry keeps of the model in `folder`: the manifest with files that are named after their content, and each
    /// of these files, those of its reference too.
    pub(crate) fn open_all(folder: &Path) -> Result<(Manifest, BTreeMap<String, Vec<u8>>), Error> {
        let (model, reference) = Self::open_with_reference(folder)?;
        let named = model.manifest.with_named_files();
        let mut files = BTreeMap::new();
        for Self { manifest, onnx } in std::iter::once(model).chain(reference) {
            let names = manifest.with_named_files().members.into_iter().map(|member| member.model.file);
            files.extend(names.zip(onnx));
        }
        Ok((named, files))
    }

    /// The model with this manifest and its files in `folder`, whatever the manifest there says.
    pub(crate) fn verified(folder: &Path, manifest: Manifest) -> Result<Self, Error> {
        let (mut onnx, mut room) = (Vec::new(), MOST_OF_A_MODEL);
        for member in &manifest.members {
            onnx.push(verified(folder, &member.model, room)?);
            room -= member.model.bytes;
        }
        Ok(Self { manifest, onnx })
    }

    /// The manifest in `folder`, checked; the ONNX file isn't looked at.
    pub fn manifest(folder: &Path) -> Result<Manifest, Error> {
        Self::manifest_in(&Self::manifest_text(folder)?, &folder.join(MANIFEST))
    }

    /// The text of the manifest in `folder`.
    pub(crate) fn manifest_text(folder: &Path) -> Result<Vec<u8>, Error> {
        let path = folder.join(MANIFEST);
        length(&path, MOST_OF_A_MANIFEST)?;
        read(&path)
    }

    /// The manifest in a text, checked; errors say that it is at `path`.
    pub(crate) fn manifest_in(text: &[u8], path: &Path) -> Result<Manifest, Error> {
        let wrong = |cause: String| Error::Manifest { path: path.to_owned(), cause };
        let manifest: Manifest = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        match manifest.problem() {
            Some(problem) => Err(wrong(problem)),
            None => Ok(manifest),
        }
    }

    /// Writes it for another process: the manifest in a line, then the members' files.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        writeln!(to, "{}", serde_json::to_string(&self.manifest)?)?;
        self.onnx.iter().try_for_each(|onnx| to.write_all(onnx))
    }

    /// Reads what [`Model::write`] has written. Calls `announced` with the bytes of all files before it reads them.
    pub fn read(from: &mut impl BufRead, announced: impl FnOnce(u64) -> io::Result<()>) -> io::Result<Self> {
        let mut line = Vec::new();
        from.by_ref().take(MOST_OF_A_MANIFEST).read_until(b'\n', &mut line)?;
        let manifest = Self::manifest_in(&line, Path::new(MANIFEST)).map_err(io::Error::other)?;
        announced(manifest.bytes())?;
        let mut onnx = Vec::new();
        for Member { model, .. } in &manifest.members {
            let mut content = Vec::new();
            from.by_ref().take(model.bytes).read_to_end(&mut content)?;
            onnx.push(content);
        }
        Ok(Self { manifest, onnx })
    }
}

impl Manifest {
    /// Its text as a registry keeps it, which may be longer than the one that was read. Errors say that it is at `path`.
    pub(crate) fn text(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let text = serde_json::to_vec_pretty(self).expect("numbers and text are JSON");
        fits(path, text.len() as u64, MOST_OF_A_MANIFEST)?;
        Ok(text)
    }
}

impl File {
    /// An error, which says that it is at `path`, if this is another file's content.
    pub(crate) fn verify(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let (path, sha256, expected) = (path.to_owned(), sha256(content), self.sha256.clone());
        match sha256 == expected {
            true => Ok(()),
            false => {
                let found = format!("sha-256 {sha256}");
                Err(Error::Different { path, found, expected, remedy: REMEDY })
            }
        }
    }
}

/// The file's content, of at most `most` bytes, if it is the one described.
fn verified(folder: &Path, expected: &File, most: u64) -> Result<Vec<u8>, Error> {
    let path = folder.join(&expected.file);
    // Before it is read.
    let bytes = length(&path, most)?;
    if bytes != expected.bytes {
        let (found, expected) = (format!("{bytes} bytes"), format!("{} bytes", expected.bytes));
        return Err(Error::Different { path, found, expected, remedy: REMEDY });
    }
    let content = read(&path)?;
    expected.verify(&path, &content)?;
    Ok(content)
}

/// The file's length, if it is at most `most`.
fn length(path: &Path, most: u64) -> Result<u64, Error> {
    let metadata = fs::metadata(path).map_err(|cause| Error::Unreadable { path: path.to_owned(), cause })?;
    match metadata.len() {
        // What isn't a file has no length to hold it to, and may have no end.
        _ if !metadata.is_file() => {
            Err(Error::Unreadable { path: path.to_owned(), cause: io::Error::other("it isn't a file") })
        }
        bytes => fits(path, bytes, most),
    }
}

/// The length, if it is at most `most`.
fn fits(path: &Path, bytes: u64, most: u64) -> Result<u64, Error> {
    match bytes > most {
        true => Err(Error::TooLarge { path: path.to_owned(), bytes, most }),
        false => Ok(bytes),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|cause| Error::Unreadable { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shipped() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("shipped")
    }

    #[test]
    fn the_shipped_model_is_the_one_of_its_manifest() {
        let model = Model::open(&shipped()).unwrap();
        assert_eq!(model.manifest.classes, ["casual shoes", "handbags", "shirts", "tops", "watches"]);
        assert_eq!(model.manifest.identity().sha256, model.manifest.members[0].model.sha256);
    }

    #[test]
    fn a_reference_is_verified_like_the_model_and_by_those_who_ask_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).unwrap();
        let mut manifest = Model::manifest(&shipped()).unwrap();
        let shipped_file = manifest.members[0].model.file.clone();
        write(&shipped_file, &fs::read(shipped().join(&shipped_file)).unwrap());
        write("floats.onnx", b"floats");
        let said = |manifest: &Manifest| {
            write(MANIFEST, &serde_json::to_vec(manifest).unwrap());
            Model::open_reference(folder.path()).map_err(|error| error.to_string())
        };
        manifest.members[0].reference = None;
        assert!(said(&manifest).unwrap().is_none());
        let file = |file: &str, content: &[u8]| File {
            file: file.into(),
            sha256: sha256(content),
            bytes: content.len() as u64,
            precision: "fp32".into(),
        };
        manifest.members[0].reference = Some(file("floats.onnx", b"floats"));
        let reference = said(&manifest).unwrap().unwrap();
        assert_eq!(
            (&*reference.onnx, &reference.manifest.members[0].reference),
            (&[b"floats".to_vec()][..], &None)
        );
        assert_eq!(reference.manifest.classes, manifest.classes);
        manifest.members[0].reference = Some(file("floats.onnx", b"bloats"));
        assert!(said(&manifest).unwrap_err().contains("is not the one of its manifest"));
        // Who serves it doesn't look at what doesn't serve.
        Model::open(folder.path()).unwrap();
        manifest.members[0].reference = Some(file("../floats.onnx", b"floats"));
        assert!(said(&manifest).unwrap_err().contains("reference.file must be a name"));
        manifest.members[0].reference = Some(manifest.members[0].model.clone());
        assert!(said(&manifest).unwrap_err().contains("a file is listed twice"));
    }

    #[test]
    fn a_model_that_is_replaced_meanwhile_is_the_one_or_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let file = |name: &str, precision: &str| {
            fs::write(at(name), name).unwrap();
            let (file, precision) = (name.to_owned(), precision.to_owned());
            File { file, sha256: sha256(name.as_bytes()), bytes: name.len() as u64, precision }
        };
        let of = |members: Vec<Member>| Manifest { members, ..Model::manifest(&shipped()).unwrap() };
        let manifests = [
            of(Member::only(file("one.onnx", "fp32"), None)),
            of(Member::only(file("other.onnx", "int8"), Some(file("floats.onnx", "fp32")))),
        ];
        let texts = manifests.map(|manifest| serde_json::to_vec(&manifest).unwrap());
        let replace = |text: &Vec<u8>| {
            fs::write(at("next"), text).unwrap();
            fs::rename(at("next"), at(MANIFEST)).unwrap();
        };
        replace(&texts[0]);
        std::thread::scope(|scope| {
            let replacing = scope.spawn(|| texts.iter().cycle().take(2000).for_each(replace));
            while !replacing.is_finished() {
                let (manifest, files) = Model::open_all(folder.path()).unwrap();
                let named = manifest.members.iter().flat_map(Member::files).map(|it| &it.file);
                assert_eq!(files.keys().collect::<BTreeSet<_>>(), named.collect::<BTreeSet<_>>());
            }
        });
    }

    #[test]
    fn a_changed_byte_or_a_senseless_manifest_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = Model::manifest(&shipped()).unwrap();
        let file = manifest.members[0].model.file.clone();
        let mut onnx = fs::read(shipped().join(&file)).unwrap();
        onnx[1000] ^= 1;
        fs::write(folder.path().join(&file), onnx).unwrap();
        let write = |manifest: &Manifest| {
            fs::write(folder.path().join(MANIFEST), serde_json::to_vec(manifest).unwrap()).unwrap();
        };
        write(&manifest);
        assert!(matches!(Model::open(folder.path()), Err(Error::Different { .. })));
        manifest.temperature = 0.0;
        write(&manifest);
        assert!(Model::open(folder.path()).unwrap_err().to_string().contains("temperature"));
        let none = Model::open(&folder.path().join("none")).unwrap_err();
        assert!(matches!(none, Error::Unreadable { .. }));
        assert!(none.to_string().contains("NAME@ALIAS or NAME/NUMBER"), "it may be a version's name: {none}");
        fs::File::create(folder.path().join(MANIFEST)).unwrap().set_len(10_000_000_000).unwrap();
        assert!(matches!(Model::open(folder.path()), Err(Error::TooLarge { .. })));
        fs::remove_file(folder.path().join(MANIFEST)).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join(MANIFEST)).unwrap();
        assert!(Model::open(folder.path()).unwrap_err().to_string().contains("isn't a file"));
    }
}
