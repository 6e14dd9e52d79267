//! Places of a topic as people write them: `images-0:100..200,images-1:..`.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::bail;
use autorma_schemas::topics;

/// Ranges of offsets by partition. Their ends aren't part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranges(BTreeMap<i32, Vec<Range<i64>>>);

impl Ranges {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut ranges = BTreeMap::<i32, Vec<_>>::new();
        for part in text.split(',') {
            let Some((partition, range)) = range(part.trim()) else {
                bail!(
                    "--offsets: {part:?} is no range: write images-PARTITION:FROM..TO, for example images-0:100..200, or \
                     images-1:.. for all of a partition; TO isn't part of it"
                );
            };
            ranges.entry(partition).or_default().push(range);
        }
        Ok(Self(ranges))
    }

    /// Whether a record is in one of them.
    pub(super) fn contains(&self, partition: i32, offset: i64) -> bool {
        self.0.get(&partition).is_some_and(|ranges| ranges.iter().any(|range| range.contains(&offset)))
    }

    /// Around all ranges of a partition; None: it has none.
    pub(super) fn hull(&self, partition: i32) -> Option<Range<i64>> {
        let ranges = self.0.get(&partition)?;
        let start = ranges.iter().map(|range| range.start).min()?;
        Some(start..ranges.iter().map(|range| range.end).max()?)
    }

    /// The partitions that are named.
    pub(super) fn partitions(&self) -> impl Iterator<Item = i32> {
        self.0.keys().copied()
    }
}

fn range(text: &str) -> Option<(i32, Range<i64>)> {
    let (partition, range) = text.strip_prefix(topics::IMAGES)?.strip_prefix('-')?.split_once(':')?;
    let partition = partition.parse().ok().filter(|partition| *partition >= 0)?;
    let (from, to) = range.split_once("..")?;
    let number = |text: &str, missing| match text {
        "" => Some(missing),
        text => text.parse::<i64>().ok().filter(|number| *number >= 0),
    };
    let (from, to) = (number(from, 0)?, number(to, i64::MAX)?);
    (from < to).then_some((partition, from..to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood() {
        let ranges = Ranges::parse("images-0:100..200, images-1:..,images-0:5..6").unwrap();
        assert!(ranges.contains(0, 100) && ranges.contains(0, 199) && ranges.contains(0, 5));
        assert!(!ranges.contains(0, 200) && !ranges.contains(0, 6) && !ranges.contains(2, 0));
        assert!(ranges.contains(1, 0) && ranges.contains(1, i64::MAX - 1));
        assert_eq!((ranges.hull(0), ranges.hull(2)), (Some(5..200), None));
        assert_eq!(ranges.partitions().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn what_is_no_range_is_told() {
        for wrong in
            ["", "images-0", "images-0:5", "predictions-0:..", "images--1:..", "images-0:9..9", "0:1..2"]
        {
            let told = Ranges::parse(wrong).unwrap_err().to_string();
            assert!(told.contains("images-0:100..200"), "{wrong}: {told}");
        }
    }
}
