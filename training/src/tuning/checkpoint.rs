use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::adam::State;
use crate::{Error, files};

/// Bytes of a SHA-256.
const CHECK: usize = 32;

/// The file that a learner's state is kept in, so that whoever is killed goes on from there.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    path: PathBuf,
    /// A hash of all that the learner depends on.
    of: [u8; 32],
}

impl Checkpoint {
    /// In a folder, for the learner of this number.
    pub(crate) fn at(folder: &Path, number: usize, of: [u8; 32]) -> Self {
        Self { path: folder.join(format!("tuning-{number}.bin")), of }
    }

    /// Replaces the file by one with this state.
    pub(super) fn keep(&self, state: &State) -> Result<(), Error> {
        let mut content = self.of.to_vec();
        content.extend(state.step.to_le_bytes());
        for numbers in [&state.parameters, &state.average, &state.first, &state.second] {
            content.extend(numbers.iter().flat_map(|it| it.to_le_bytes()));
        }
        content.extend(state.losses.iter().flat_map(|it| it.to_le_bytes()));
        let check = Sha256::digest(&content);
        content.extend(check);
        files::write(&self.path, &content)
    }

    /// What was kept of the same learner, which has so many parameters; None if nothing whole was.
    pub(super) fn kept(&self, parameters: usize) -> Option<State> {
        let file = fs::read(&self.path).ok()?;
        let (content, check) = file.split_at_checked(file.len().checked_sub(CHECK)?)?;
        let (of, content) = content.split_at_checked(self.of.len())?;
        let (step, numbers) = content.split_at_checked(size_of::<u32>())?;
        let step = u32::from_le_bytes(step.try_into().ok()?);
        let (numbers, losses) = numbers.split_at_checked(4 * parameters * size_of::<f32>())?;
        let is_whole = losses.len() == step as usize * size_of::<f64>();
        if of != self.of || !is_whole || Sha256::digest(&file[..file.len() - CHECK]).as_slice() != check {
            return None;
        }
        let mut parts = numbers.chunks_exact(parameters * size_of::<f32>()).map(|part| {
            let numbers = part.chunks_exact(size_of::<f32>());
            numbers.map(|it| f32::from_le_bytes(std::array::from_fn(|byte| it[byte]))).collect()
        });
        let losses = losses.chunks_exact(size_of::<f64>());
        let losses = losses.map(|loss| f64::from_le_bytes(std::array::from_fn(|byte| loss[byte]))).collect();
        Some(State {
            step,
            parameters: parts.next()?,
            average: parts.next()?,
            first: parts.next()?,
            second: parts.next()?,
            losses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_whole_and_of_the_same_learner_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::at(folder.path(), 3, [7; 32]);
        assert!(checkpoint.kept(2).is_none());
        let mut state = State::new(vec![1.5, -2.0]);
        (state.step, state.first) = (2, vec![0.5, f32::MIN_POSITIVE]);
        state.losses = vec![3.5, 2.25];
        checkpoint.keep(&state).unwrap();
        assert_eq!(checkpoint.kept(2), Some(state));
        assert!(checkpoint.kept(3).is_none());
        assert!(Checkpoint::at(folder.path(), 3, [8; 32]).kept(2).is_none());
        let file = fs::read(&checkpoint.path).unwrap();
        for length in 0..file.len() {
            fs::write(&checkpoint.path, &file[..length]).unwrap();
            assert!(checkpoint.kept(2).is_none(), "{length} bytes");
        }
        for place in 0..file.len() {
            let mut spoilt = file.clone();
            spoilt[place] ^= 1;
            fs::write(&checkpoint.path, &spoilt).unwrap();
            assert!(checkpoint.kept(2).is_none(), "byte {place}");
        }
    }
}
