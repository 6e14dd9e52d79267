use std::io::Cursor;

use autorma_classifier::{Decoder, Failure, Limits, contained, read_file};
use autorma_evaluation::parallel::each;
use autorma_schemas::sha256;
use image::ImageReader;
use serde::{Deserialize, Serialize};

use super::{Candidate, Cost, PerceptualHash, SIDE};
use crate::{Progress, What};

/// A file that is no photo, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Its path below the folder, or the row of a list.
    pub path: String,
    /// The reason: one of those of dead letters, or `bad_row`, `no_class`, `link`, `unread` or `beside`.
    pub reason: String,
    /// The details, for people.
    pub message: String,
}

impl Broken {
    pub(super) fn new(path: String, reason: &str, message: &str) -> Self {
        Self { path, reason: reason.to_owned(), message: message.to_owned() }
    }
}

/// A photo that was read.
#[derive(Debug, Clone)]
pub(super) struct Photo {
    pub(super) candidate: Candidate,
    /// Of the file, as hexadecimal digits.
    pub(super) sha256: String,
    pub(super) hash: PerceptualHash,
    /// Of the file.
    pub(super) bytes: u64,
    /// Width and height in pixels as the file has them, before it is turned upright; None where only the decoder of the
    /// classifier can tell them.
    pub(super) size: Option<(u32, u32)>,
}

/// Reads and decodes each photo as the classifier does; in the order of `candidates`. None if `progress` has said false.
pub(super) fn read(
    candidates: &[Candidate],
    Cost { limits, threads }: Cost,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Option<Vec<Result<Photo, Broken>>> {
    let read = |decoder: &mut Decoder, place: usize| {
        let candidate = &candidates[place];
        let broken = |it: Failure| Broken::new(candidate.name.clone(), it.reason.as_str(), &it.message);
        one(candidate, decoder, limits).map_err(broken)
    };
    let decoders = (0..threads).map(|_| Decoder::new(SIDE, SIDE, limits));
    let of = candidates.len();
    each(of, decoders, read, |done| progress(Progress::Count { what: What::Read, done, of }))
}

fn one(candidate: &Candidate, decoder: &mut Decoder, limits: Limits) -> Result<Photo, Failure> {
    let file = read_file(&candidate.path, limits.bytes)?;
    let (hash, size) = contained(|| {
        let picture = decoder.decode(&file)?;
        Ok((PerceptualHash::of(&picture.0), size(&file)))
    })?;
    Ok(Photo { candidate: candidate.clone(), sha256: sha256(&file), hash, bytes: file.len() as u64, size })
}

/// As the file's header says.
fn size(file: &[u8]) -> Option<(u32, u32)> {
    ImageReader::new(Cursor::new(file)).with_guessed_format().ok()?.into_dimensions().ok()
}
