use std::ops::Range;

/// Does `attempt` on ranges of `0..count`: the whole first, and the halves of a range that fails, until what fails is
/// alone. One result for each item, in order.
///
/// A culprit among n items costs its neighbours about 2 log₂ n further attempts, and nothing else.
pub(crate) fn bisect<T, E>(
    count: usize,
    mut attempt: impl FnMut(Range<usize>) -> Result<Vec<T>, E>,
) -> Vec<Result<T, E>> {
    let mut results = Vec::with_capacity(count);
    // The next range is the last: results come in order.
    let mut ranges = Vec::from_iter((count > 0).then_some(0..count));
    while let Some(range) = ranges.pop() {
        match attempt(range.clone()) {
            Ok(done) => results.extend(done.into_iter().map(Ok)),
            Err(error) if range.len() == 1 => results.push(Err(error)),
            Err(_) => {
                let middle = range.start + range.len() / 2;
                ranges.extend([middle..range.end, range.start..middle]);
            }
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whichever items fail: they alone do, and everyone's result is at its place.
        #[test]
        fn culprits_fail_alone(bad in proptest::collection::vec(any::<bool>(), 0..20)) {
            let mut attempts = 0;
            let results = bisect(bad.len(), |range| {
                attempts += 1;
                if bad[range.clone()].contains(&true) { Err(range.start) } else { Ok(range.collect()) }
            });
            let expected: Vec<_> = bad.iter().enumerate().map(|(n, bad)| if *bad { Err(n) } else { Ok(n) }).collect();
            prop_assert_eq!(results, expected);
            prop_assert!(attempts <= 2 * bad.len(), "{attempts} attempts");
        }
    }
}
