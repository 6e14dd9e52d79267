use std::ops::Range;

use sha2::{Digest, Sha256};

/// Random numbers by SplitMix64 (Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators"). What they are
/// depends on the seed, the photo's content and the copy alone, so neither the order of work nor the number of threads
/// changes a model.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, photo: &[u8], copy: u32) -> Self {
        let digest = Sha256::new()
            .chain_update(seed.to_le_bytes())
            .chain_update(photo)
            .chain_update(copy.to_le_bytes())
            .finalize();
        Self(digest.iter().take(8).fold(0, |state, byte| state << 8 | u64::from(*byte)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    fn share(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u32 << 24) as f32
    }

    pub(crate) fn between(&mut self, range: Range<f32>) -> f32 {
        range.start + (range.end - range.start) * self.share()
    }

    pub(crate) fn happens(&mut self, probability: f32) -> bool {
        self.share() < probability
    }

    /// One of 0 to below `count`, which is above 0.
    pub(crate) fn below(&mut self, count: u32) -> u32 {
        (self.next() % u64::from(count)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn the_same_photo_and_copy_fall_the_same_and_others_otherwise() {
        let first = |seed, photo: &[u8], copy| Dice::new(seed, photo, copy).next();
        assert_eq!(first(1, b"a", 1), first(1, b"a", 1));
        let all = [first(1, b"a", 1), first(2, b"a", 1), first(1, b"b", 1), first(1, b"a", 2)];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn what_falls_is_even() {
        let mut dice = Dice::new(7, b"", 0);
        let mean = (0..10_000).map(|_| dice.between(2.0..4.0)).sum::<f32>() / 10_000.0;
        assert!((mean - 3.0).abs() < 0.03, "{mean}");
        let hits = (0..10_000).filter(|_| dice.happens(0.2)).count();
        assert!((1_850..2_150).contains(&hits), "{hits}");
        assert!((0..1000).map(|_| dice.below(3)).all(|it| it < 3));
    }
}
