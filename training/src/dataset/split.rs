use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use autorma_evaluation::plain;
use serde::{Deserialize, Serialize};

use super::Misnamed;

/// A side of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by, while learning.
    Val,
    /// To judge by, once.
    Test,
}

impl Split {
    /// All of them.
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    /// The name of its folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }

    /// What people may mean by a folder of this name.
    fn meant(name: &str) -> Option<Self> {
        match plain(name).as_str() {
            "train" | "training" => Some(Split::Train),
            "val" | "valid" | "validation" => Some(Split::Val),
            "test" | "testing" => Some(Split::Test),
            _ => None,
        }
    }
}

/// Of folders beside each other the first that seems to be meant as a side and isn't called so, and that side; None if no
/// other one is named like a side: a class may be called training.
pub(crate) fn misnamed(folders: impl Iterator<Item = PathBuf>) -> Option<Misnamed> {
    let side = |folder: PathBuf| {
        let side = Split::meant(&folder.file_name()?.to_string_lossy())?;
        Some(Misnamed { folder, side })
    };
    let sides: Vec<_> = folders.filter_map(side).collect();
    let is_split = sides.len() > 1;
    let is_wrong = |it: &Misnamed| it.folder.file_name() != Some(OsStr::new(it.side.as_str()));
    sides.into_iter().find(is_wrong).filter(|_| is_split)
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| "expected train, val or test".to_owned())
    }
}

/// What shares train, val and test get, written 70/15/15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio([u32; 3]);

impl Ratio {
    /// The share of each of [`Split::ALL`]; their sum is 1.
    pub fn shares(&self) -> [f64; 3] {
        self.0.map(|part| f64::from(part) / f64::from(self.0.iter().sum::<u32>()))
    }
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Result<Vec<u32>, _> = text.split('/').map(|part| part.trim().parse()).collect();
        match parts.ok().and_then(|parts| <[u32; 3]>::try_from(parts).ok()) {
            Some(parts) if parts[0] > 0 && parts.iter().all(|part| *part <= 1_000_000) => Ok(Self(parts)),
            _ => Err("expected parts for train, val and test, like 70/15/15, with some for train".to_owned()),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [train, val, test] = self.0;
        write!(f, "{train}/{val}/{test}")
    }
}

/// The side of each group, whole groups only, so that each class is near to the ratio on each side. `groups` says how many
/// items of each class each has. The order counts where nothing else does.
///
/// Large groups first, each to the side where χ² of what is there against what should be is the least then. So all sides
/// fill up at the same pace, and get groups of every size. Of a class whose groups have no other class in them, a side gets
/// more than its share by less than its largest group.
pub(super) fn assign(groups: &[Vec<usize>], ratio: Ratio) -> Vec<Split> {
    let classes = groups.iter().map(Vec::len).max().unwrap_or(0);
    let total = |class: usize| groups.iter().filter_map(|group| group.get(class)).sum::<usize>() as f64;
    let totals: Vec<f64> = (0..classes).map(total).collect();
    let shares = ratio.shares();
    let mut there = [(); 3].map(|()| vec![0.0; classes]);
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|group| std::cmp::Reverse(groups[*group].iter().sum::<usize>()));
    let mut sides = vec![Split::Train; groups.len()];
    for group in order {
        let cost = |side: usize| {
            let of_class = |(class, items): (usize, &usize)| {
                let (items, target) = (*items as f64, totals[class] * shares[side]);
                if items == 0.0 {
                    0.0
                } else {
                    items * (2.0 * (there[side][class] - target) + items) / target
                }
            };
            groups[group].iter().enumerate().map(of_class).sum::<f64>()
        };
        let able = (0..3).filter(|side| shares[*side] > 0.0);
        let best = able.min_by(|one, other| cost(*one).total_cmp(&cost(*other))).unwrap_or(0);
        groups[group].iter().zip(&mut there[best]).for_each(|(items, there)| *there += *items as f64);
        sides[group] = Split::ALL[best];
    }
    sides
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ratio() -> impl Strategy<Value = Ratio> {
        (1_u32..100, 0_u32..100, 0_u32..100).prop_map(|(train, val, test)| Ratio([train, val, test]))
    }

    /// Groups of one class each, as numbers of items of each of three classes.
    fn groups() -> impl Strategy<Value = Vec<Vec<usize>>> {
        let group = (0_usize..3, 1_usize..30).prop_map(|(class, items)| {
            let mut counts = vec![0; 3];
            counts[class] = items;
            counts
        });
        proptest::collection::vec(group, 1..200)
    }

    proptest! {
        #[test]
        fn each_class_is_near_the_ratio(groups in groups(), ratio in ratio()) {
            let sides = assign(&groups, ratio);
            prop_assert_eq!(&sides, &assign(&groups, ratio));
            for class in 0..3 {
                let total: usize = groups.iter().map(|group| group[class]).sum();
                let largest = groups.iter().map(|group| group[class]).max().unwrap() as f64;
                for (side, share) in Split::ALL.into_iter().zip(ratio.shares()) {
                    let of_side = groups.iter().zip(&sides).filter(|(_, it)| **it == side);
                    let got = of_side.map(|(group, _)| group[class]).sum::<usize>() as f64;
                    let asked = total as f64 * share;
                    prop_assert!(got < asked + largest + 1e-6, "{side} got {got} instead of {asked}");
                    prop_assert!(got > asked - 2.0 * largest - 1e-6, "{side} got {got} instead of {asked}");
                    prop_assert!(share > 0.0 || got == 0.0, "{side} has no share and got {got}");
                }
            }
        }
    }

    #[test]
    fn sides_get_groups_of_every_size() {
        let groups: Vec<_> = (0..200).map(|number| vec![if number < 100 { 3 } else { 1 }]).collect();
        let sides = assign(&groups, "70/15/15".parse().unwrap());
        let of = |side: Split, from: usize| sides[from..from + 100].iter().filter(|it| **it == side).count();
        assert_eq!(Split::ALL.map(|side| of(side, 0)), [70, 15, 15]);
        assert_eq!(Split::ALL.map(|side| of(side, 100)), [70, 15, 15]);
    }

    #[test]
    fn a_ratio_needs_three_parts_and_some_for_training() {
        assert_eq!("8/1/1".parse::<Ratio>().unwrap().shares(), [0.8, 0.1, 0.1]);
        for wrong in ["", "70/30", "0/50/50", "70/15/-15", "a/b/c", "1/1/1/1", "4294967295/1/1"] {
            assert!(wrong.parse::<Ratio>().is_err(), "{wrong}");
        }
    }
}
