use std::collections::{BTreeMap, VecDeque};

use sha2::{Digest, Sha256};

use super::reading::{Photo, read};
use super::{Broken, Candidate, Cost, DatasetError};
use crate::Progress;

/// A number that chance gives to a name, the same with the same seed.
pub(super) fn lot(seed: u64, name: &str) -> [u8; 32] {
    Sha256::digest([&seed.to_be_bytes()[..], name.as_bytes()].concat()).into()
}

/// Of each class so many photos that can be decoded, drawn by lot, and what was found broken on the way. A broken file
/// is replaced by the next in the draw, so it costs no other its place.
pub(super) fn draw(
    candidates: &[Candidate],
    per_class: Option<usize>,
    seed: u64,
    cost: Cost,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<(Vec<Photo>, Vec<Broken>), DatasetError> {
    let mut drawn: Vec<_> = candidates.iter().map(|photo| (lot(seed, &photo.name), photo)).collect();
    drawn.sort_by_key(|(lot, _)| *lot);
    let mut waiting: BTreeMap<&str, (usize, VecDeque<&Candidate>)> = BTreeMap::new();
    for (_, photo) in drawn {
        let wanted = per_class.unwrap_or(usize::MAX);
        waiting.entry(&photo.class).or_insert((wanted, VecDeque::new())).1.push_back(photo);
    }
    let (mut photos, mut broken) = (Vec::new(), Vec::new());
    loop {
        let mut next = Vec::new();
        for (wanted, waiting) in waiting.values_mut() {
            next.extend(waiting.drain(..(*wanted).min(waiting.len())).cloned());
        }
        if next.is_empty() {
            break;
        }
        for photo in read(&next, cost, progress).ok_or(DatasetError::Stopped)? {
            match photo {
                Ok(photo) => {
                    if let Some((wanted, _)) = waiting.get_mut(photo.candidate.class.as_str()) {
                        *wanted -= 1;
                    }
                    photos.push(photo);
                }
                Err(file) => broken.push(file),
            }
        }
    }
    photos.sort_by(|one, other| one.candidate.name.cmp(&other.candidate.name));
    broken.sort_by(|one, other| one.path.cmp(&other.path));
    Ok((photos, broken))
}
