use std::collections::HashMap;

use super::PerceptualHash;

/// Two photos that look alike, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alike {
    /// The first.
    pub(super) one: usize,
    /// The second, which comes later.
    pub(super) other: usize,
    /// In how many bits their hashes differ.
    pub(super) distance: u32,
}

/// Photos whose hashes differ in at most so many of 256 bits look alike.
///
/// Chosen with `examples/look_alikes.rs`, on 2,357 studio photos of five classes and 944 of homes: of copies that were
/// compressed again, made smaller, stretched, brightened or given more contrast, 99 % are within 32 bits, and so are those
/// with 1 % cut off each side in the studio (36 in homes); one with 3 % cut off is not found. Of different studio photos,
/// 33 of 2.8 million pairs are, nearly all of them one cut in two colours, and none of two classes; in homes, none.
pub const NEAR: u32 = 32;

/// All pairs of different hashes at most `within` bits apart; of those with the same hash, each beside the first of them.
/// In order.
///
/// Not every hash is compared with every other: of `within` + 1 pieces of two such hashes, at least one piece is the same,
/// so only those that share a piece are compared (Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with
/// Multi-Index Hashing", 2012, proposition 1).
pub(super) fn pairs(hashes: &[PerceptualHash], within: u32) -> Vec<Alike> {
    let mut first: HashMap<PerceptualHash, usize> = HashMap::new();
    let (mut distinct, mut pairs) = (Vec::new(), Vec::new());
    for (place, hash) in hashes.iter().enumerate() {
        match first.get(hash) {
            Some(one) => pairs.push(Alike { one: *one, other: place, distance: 0 }),
            None => {
                first.insert(*hash, place);
                distinct.push(place);
            }
        }
    }
    let pieces = (within as usize + 1).min(BITS);
    for piece in 0..pieces {
        let mut sharing: HashMap<PerceptualHash, Vec<usize>> = HashMap::new();
        for place in &distinct {
            sharing.entry(cut(&hashes[*place], piece, pieces)).or_default().push(*place);
        }
        for bucket in sharing.values() {
            for (number, other) in bucket.iter().enumerate() {
                for one in &bucket[..number] {
                    let (one_hash, other_hash) = (&hashes[*one], &hashes[*other]);
                    let distance = one_hash.distance(other_hash);
                    let is_new =
                        || (0..piece).all(|it| cut(one_hash, it, pieces) != cut(other_hash, it, pieces));
                    if distance <= within && is_new() {
                        pairs.push(Alike { one: *one, other: *other, distance });
                    }
                }
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

const BITS: usize = 256;

/// The hash with nothing but one of its pieces.
fn cut(hash: &PerceptualHash, piece: usize, pieces: usize) -> PerceptualHash {
    let (from, to) = (piece * BITS / pieces, (piece + 1) * BITS / pieces);
    let word = |number: usize| {
        let below = |bit: usize| match bit.saturating_sub(number * 64).min(64) {
            64 => u64::MAX,
            bits => (1 << bits) - 1,
        };
        hash.0[number] & below(to) & !below(from)
    };
    PerceptualHash(std::array::from_fn(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hashes of which some are near each other: a few bits of others are turned.
    fn hashes() -> impl Strategy<Value = Vec<PerceptualHash>> {
        let near = (
            any::<[u64; 4]>(),
            proptest::collection::vec(proptest::collection::vec(0_usize..256, 0..40), 1..8),
        );
        let turned = |(base, copies): ([u64; 4], Vec<Vec<usize>>)| {
            let turn = |bits: Vec<usize>| {
                let mut hash = base;
                bits.iter().for_each(|bit| hash[bit / 64] ^= 1 << (bit % 64));
                PerceptualHash(hash)
            };
            copies.into_iter().map(turn).collect::<Vec<_>>()
        };
        proptest::collection::vec(near.prop_map(turned), 1..4).prop_map(|all| all.concat())
    }

    proptest! {
        #[test]
        fn exactly_the_near_ones_are_found(hashes in hashes(), within in 0_u32..300) {
            let mut expected = Vec::new();
            for (other, hash) in hashes.iter().enumerate() {
                let same = hashes.iter().position(|it| it == hash).unwrap();
                if same < other {
                    expected.push(Alike { one: same, other, distance: 0 });
                    continue;
                }
                for one in 0..other {
                    let is_first = hashes[..one].iter().all(|it| *it != hashes[one]);
                    let distance = hashes[one].distance(hash);
                    if is_first && distance <= within {
                        expected.push(Alike { one, other, distance });
                    }
                }
            }
            expected.sort();
            prop_assert_eq!(pairs(&hashes, within), expected);
        }
    }
}
