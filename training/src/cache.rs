use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::at;
use crate::{Error, files};

/// What features are of: a hash of photo, backbone and variation, as `Views::key` says; not of the decoder and ONNX Runtime.
pub(crate) type Key = [u8; 32];
/// Bytes of a record's checksum.
const CHECK: usize = 8;

/// Features that were computed already, in a file that only grows: records of a key, the numbers and a checksum. What a
/// kill has cut short at its end is dropped when it is opened again, so that training goes on where it was; so is what
/// follows a record that is spoilt, or of what is no number, as earlier versions kept it. One process at a time has it.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    file: File,
    features: usize,
    /// The place of each key's record.
    places: HashMap<Key, u64>,
}

impl Cache {
    /// The file at `path`, which is created with its folder; each record has so many features.
    pub(crate) fn open(path: &Path, features: usize) -> Result<Self, Error> {
        let file = files::lock(path)?;
        let mut cache = Self { path: path.to_owned(), file, features, places: HashMap::new() };
        at(path, cache.index())?;
        Ok(cache)
    }

    fn record(&self) -> usize {
        size_of::<Key>() + self.features * size_of::<f32>() + CHECK
    }

    fn index(&mut self) -> io::Result<()> {
        let mut record = vec![0; self.record()];
        let whole = self.file.metadata()?.len() / record.len() as u64;
        for place in 0..whole {
            let at = place * record.len() as u64;
            self.file.read_exact_at(&mut record, at)?;
            let (content, check) = record.split_at(record.len() - CHECK);
            let (key, values) = content.split_at(size_of::<Key>());
            // A single value that is no number would be in all that heads learn.
            if checksum(content) != check || !numbers(values).all(f32::is_finite) {
                break;
            }
            self.places.extend(Key::try_from(key).map(|key| (key, place)));
        }
        self.file.set_len(self.places.len() as u64 * record.len() as u64)
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    /// Keeps what it hasn't yet.
    pub(crate) fn add(&mut self, key: Key, features: &[f32]) -> Result<(), Error> {
        if self.has(&key) {
            return Ok(());
        }
        let mut record = key.to_vec();
        record.extend(features.iter().flat_map(|value| value.to_le_bytes()));
        let check = checksum(&record);
        record.extend(check);
        let place = self.places.len() as u64;
        at(&self.path, self.file.write_all_at(&record, place * record.len() as u64))?;
        self.places.insert(key, place);
        Ok(())
    }

    /// Reads what it has; false if it hasn't.
    pub(crate) fn read(&self, key: &Key, features: &mut [f32]) -> Result<bool, Error> {
        let Some(place) = self.places.get(key) else { return Ok(false) };
        let mut record = vec![0; self.record()];
        let from = place * record.len() as u64;
        at(&self.path, self.file.read_exact_at(&mut record, from))?;
        for (to, value) in features.iter_mut().zip(numbers(&record[size_of::<Key>()..])) {
            *to = value;
        }
        Ok(true)
    }
}

fn numbers(values: &[u8]) -> impl Iterator<Item = f32> {
    let values = values.chunks_exact(size_of::<f32>());
    values.map(|value| f32::from_le_bytes(std::array::from_fn(|byte| value[byte])))
}

fn checksum(content: &[u8]) -> [u8; CHECK] {
    let digest = Sha256::digest(content);
    std::array::from_fn(|byte| digest[byte])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn key(number: u8) -> Key {
        [number; 32]
    }

    #[test]
    fn whatever_is_cut_off_or_spoilt_is_computed_again_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner/features");
        {
            let mut cache = Cache::open(&path, 3).unwrap();
            for number in 0..5 {
                cache.add(key(number), &[f32::from(number), -1.5, f32::MIN_POSITIVE]).unwrap();
                cache.add(key(number), &[99.0; 3]).unwrap();
            }
            assert!(matches!(Cache::open(&path, 3), Err(Error::InUse(_))));
        }
        let whole = fs::read(&path).unwrap();
        let record = whole.len() / 5;
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let mut cache = Cache::open(&path, 3).unwrap();
            let has: Vec<_> = (0..5).filter(|number| cache.has(&key(*number))).collect();
            assert_eq!(has, (0..(length / record) as u8).collect::<Vec<_>>());
            cache.add(key(9), &[7.0, 8.0, 9.0]).unwrap();
            drop(cache);
            let (cache, mut features) = (Cache::open(&path, 3).unwrap(), [0.0; 3]);
            assert!(cache.read(&key(9), &mut features).unwrap() && features == [7.0, 8.0, 9.0]);
            assert!(!cache.read(&key(8), &mut features).unwrap());
        }
        let mut spoilt = whole.clone();
        spoilt[3 * record + 40] ^= 1;
        fs::write(&path, &spoilt).unwrap();
        let cache = Cache::open(&path, 3).unwrap();
        assert_eq!([0, 2, 3, 4].map(|number| cache.has(&key(number))), [true, true, false, false]);
    }

    /// Earlier versions kept it.
    #[test]
    fn what_is_no_number_is_computed_again() {
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in [("nan", f32::NAN), ("infinity", f32::NEG_INFINITY)] {
            let (path, mut features) = (folder.path().join(name), [0.0; 2]);
            {
                let mut cache = Cache::open(&path, 2).unwrap();
                cache.add(key(0), &[1.0, 2.0]).unwrap();
                cache.add(key(1), &[1.0, value]).unwrap();
            }
            let mut cache = Cache::open(&path, 2).unwrap();
            assert_eq!([0, 1].map(|number| cache.has(&key(number))), [true, false], "{name}");
            cache.add(key(1), &[3.0, 4.0]).unwrap();
            drop(cache);
            let cache = Cache::open(&path, 2).unwrap();
            assert!(cache.read(&key(1), &mut features).unwrap() && features == [3.0, 4.0], "{name}");
        }
    }
}
