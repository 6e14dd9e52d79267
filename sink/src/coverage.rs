use std::collections::BTreeMap;

use crate::part::Header;

/// Of each unfinished run, the offsets that its parts go through. A part holds every outcome of its run within its
/// offsets, so one that was read and isn't here was in a part that has vanished.
#[derive(Debug, Default)]
pub(crate) struct Coverage(BTreeMap<String, BTreeMap<String, Ranges>>);

/// Ranges that don't touch: the first offset of each, and the one behind its last.
type Ranges = BTreeMap<i64, i64>;

impl Coverage {
    /// Takes a part's offsets. Another part may go through some of them: one that was put back after it was filled up.
    /// Whether not through all.
    pub(crate) fn add(&mut self, part: &Header) -> bool {
        let partitions = self.0.entry(part.run_id.clone()).or_default();
        let is_within = |(at, range)| partitions.get(at).is_some_and(|ranges| holds(ranges, range));
        let is_new = part.covers.is_empty() || !part.covers.iter().all(is_within);
        for (at, range) in &part.covers {
            insert(partitions.entry(at.clone()).or_default(), *range);
        }
        is_new
    }

    /// The gap between a run's parts that an offset is in, named by its first offset; None if a part goes through it.
    pub(crate) fn gap(&self, run_id: &str, at: &str, offset: i64) -> Option<i64> {
        let ranges = self.0.get(run_id).and_then(|partitions| partitions.get(at));
        match ranges.and_then(|ranges| ranges.range(..=offset).next_back()) {
            Some((_, end)) => (*end <= offset).then_some(*end),
            None => Some(0),
        }
    }
}

fn holds(ranges: &Ranges, [start, end]: &[i64; 2]) -> bool {
    ranges.range(..=start).next_back().is_some_and(|(_, behind)| behind >= end)
}

/// Joins what touches: the parts of a run that is alone are one range.
fn insert(ranges: &mut Ranges, [mut start, mut end]: [i64; 2]) {
    while let Some((before, behind)) =
        ranges.range(..=end).next_back().map(|(before, behind)| (*before, *behind))
        && behind >= start
    {
        ranges.remove(&before);
        (start, end) = (start.min(before), end.max(behind));
    }
    ranges.insert(start, end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_schemas::Micros;

    fn part(covers: &[(&str, [i64; 2])]) -> Header {
        let covers = covers.iter().map(|(at, range)| ((*at).into(), *range)).collect();
        Header { part: 0, run_id: "r".into(), stored_at: Micros(0), duplicates: 0, covers }
    }

    #[test]
    fn gaps_are_what_no_part_goes_through() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.gap("r", "p-0", 7), Some(0), "there is no part");
        for range in [[10, 20], [30, 40], [20, 25], [25, 30], [2, 5]] {
            coverage.add(&part(&[("p-0", range)]));
        }
        let gap = |offset| coverage.gap("r", "p-0", offset);
        assert_eq!([0, 1, 5, 9, 40, 99].map(gap), [0, 0, 5, 5, 40, 40].map(Some));
        assert_eq!([2, 4, 10, 19, 20, 25, 30, 39].map(gap), [None; 8]);
        assert_eq!((coverage.gap("r", "p-1", 10), coverage.gap("s", "p-0", 10)), (Some(0), Some(0)));
        assert_eq!(coverage.0["r"]["p-0"], Ranges::from([(2, 5), (10, 40)]), "what touches is one");
    }

    #[test]
    fn parts_that_go_through_the_same_are_one_range() {
        for ranges in
            [[[10, 20], [15, 30], [9, 11]], [[9, 30], [10, 20], [29, 30]], [[25, 30], [9, 12], [11, 26]]]
        {
            let mut coverage = Coverage::default();
            let new = ranges.map(|range| coverage.add(&part(&[("p-0", range)])));
            assert_eq!(new, [true, ranges[0] != [9, 30], ranges[0] != [9, 30]], "{ranges:?}");
            assert_eq!(coverage.0["r"]["p-0"], Ranges::from([(9, 30)]), "{ranges:?}");
        }
    }
}
