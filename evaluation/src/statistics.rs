use std::fmt;

use serde::Serialize;

/// The 97.5th percentile of the normal distribution: intervals hold 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// A share, with its 95 % interval by Wilson (1927, "Probable Inference, the Law of Succession, and Statistical
/// Inference").
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// From 0 to 1; 0 if it is a share of nothing.
    pub share: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How many it is a share of.
    pub of: usize,
}

/// Another figure from 0 to 1, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Share {
    /// `hits` of `of`.
    pub fn of(hits: usize, of: usize) -> Self {
        if of == 0 {
            return Self { share: 0.0, low: 0.0, high: 1.0, of };
        }
        let (share, n) = (hits as f64 / of as f64, of as f64);
        let middle = share + Z * Z / (2.0 * n);
        let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        Self {
            share,
            low: ((middle - half) / scale).clamp(0.0, share),
            high: ((middle + half) / scale).clamp(share, 1.0),
            of,
        }
    }

    /// How many of them are so.
    pub fn count<T>(all: impl IntoIterator<Item = T>, is_so: impl Fn(T) -> bool) -> Self {
        let (mut hits, mut of) = (0, 0);
        for one in all {
            of += 1;
            hits += usize::from(is_so(one));
        }
        Self::of(hits, of)
    }
}

/// In per cent, with its interval.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { share, low, high, of } = *self;
        if of == 0 {
            return f.write_str("none");
        }
        Estimate { value: share, low, high }.fmt(f)
    }
}

impl Estimate {
    /// F1 of a class of which `hits` photos are right, of `either` that are of it or taken for it. It rises with their
    /// share, F* (Hand, Christen and Kirielle 2021, "F*: an interpretable transformation of the F-measure"), whose interval
    /// becomes its own.
    pub(crate) fn f1(hits: usize, either: usize) -> Self {
        let Share { low, high, .. } = Share::of(hits, either);
        let f1 = |share: f64| 2.0 * share / (1.0 + share);
        Self { value: 2.0 * hits as f64 / (hits + either).max(1) as f64, low: f1(low), high: f1(high) }
    }

    /// The mean of shares that count the same, as far as there are several: what more of their kind would have on average,
    /// with the interval of Student (1908, "The Probable Error of a Mean"), or, where they are all alike, as wide as if each
    /// were one hit or miss.
    pub(crate) fn mean(shares: &[f64]) -> Option<Self> {
        let n = shares.len() as f64;
        let value = shares.iter().sum::<f64>() / n;
        let freedom = n - 1.0;
        let variance = shares.iter().map(|share| (share - value).powi(2)).sum::<f64>() / freedom;
        let half = student(freedom) * (variance / n).sqrt();
        // That all are alike so far doesn't say that the next one is. What they differ by from their mean may be rounding.
        let differ = shares.iter().any(|share| *share != shares[0]);
        let Share { low, high, .. } = Share::of((value * n).round() as usize, shares.len());
        let range = || match differ {
            true => Self { value, low: (value - half).max(0.0), high: (value + half).min(1.0) },
            false => Self { value, low: low.min(value), high: high.max(value) },
        };
        (shares.len() > 1).then(range)
    }
}

/// In per cent, with its interval.
impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, low, high } = self;
        write!(f, "{:.1} ({:.1}–{:.1})", value * 100.0, low * 100.0, high * 100.0)
    }
}

/// The 97.5th percentile of Student's distribution (Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.5): within
/// a per cent from three degrees of freedom on.
fn student(freedom: f64) -> f64 {
    // Too few for the series.
    match freedom {
        1.0 => return 12.706,
        2.0 => return 4.303,
        _ => {}
    }
    let terms = [
        Z,
        (Z.powi(3) + Z) / 4.0,
        (5.0 * Z.powi(5) + 16.0 * Z.powi(3) + 3.0 * Z) / 96.0,
        (3.0 * Z.powi(7) + 19.0 * Z.powi(5) + 17.0 * Z.powi(3) - 15.0 * Z) / 384.0,
    ];
    terms.into_iter().rfold(0.0, |sum, term| sum / freedom + term)
}

/// The probability that one of `high` is above one of `low`, ties being half: the area under the curve of the receiver
/// operating characteristic (Hanley and McNeil 1982). None where there is no pair.
pub(crate) fn auroc(high: &[f64], low: &[f64]) -> Option<f64> {
    if high.is_empty() || low.is_empty() {
        return None;
    }
    let mut all: Vec<(f64, bool)> =
        high.iter().map(|it| (*it, true)).chain(low.iter().map(|it| (*it, false))).collect();
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut below, mut sum) = (0_usize, 0.0);
    for ties in all.chunk_by(|one, other| one.0 == other.0) {
        let highs = ties.iter().filter(|(_, is_high)| *is_high).count();
        let lows = ties.len() - highs;
        sum += highs as f64 * (below as f64 + lows as f64 / 2.0);
        below += lows;
    }
    Some(sum / (high.len() as f64 * low.len() as f64))
}

/// How probable it is that as uneven a split of `one + other` comes by chance: McNemar's test, exact and two-sided
/// (McNemar 1947, "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages").
pub(crate) fn mcnemar(one: usize, other: usize) -> f64 {
    let n = one + other;
    // In logarithms: 2 to the power of n is beyond what a number holds.
    let mut chosen = 0.0_f64;
    let mut sum = 0.0;
    for k in 0..=one.min(other) {
        if k > 0 {
            chosen += ((n - k + 1) as f64).ln() - (k as f64).ln();
        }
        sum += (chosen - n as f64 * std::f64::consts::LN_2).exp();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-4
    }

    #[test]
    fn figures_are_those_of_the_literature() {
        // Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I: 81/263, 15/148, 0/20, 1/29.
        for (hits, of, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let share = Share::of(hits, of);
            assert!(near(share.low, low) && near(share.high, high), "{share:?}");
        }
        // 2 × (1 + 10 + 45) ÷ 1024.
        assert!(near(mcnemar(2, 8), 0.109_375) && near(mcnemar(8, 2), 0.109_375));
        assert_eq!(Share::of(81, 263).to_string(), "30.8 (25.5–36.6)");
        assert_eq!(Share::of(0, 0).to_string(), "none");
        // 2 × 0.9 × 0.75 ÷ (0.9 + 0.75): of 12 of the class 9 are found, of 10 that are named so 9 are.
        assert!(near(Estimate::f1(9, 13).value, 0.818_182), "{:?}", Estimate::f1(9, 13));
        // As wide as what it is made of: six of six.
        let all = Estimate::f1(6, 6);
        assert!(all.value == 1.0 && all.high == 1.0 && near(all.low, 2.0 * 0.6097 / 1.6097), "{all:?}");
        // Tables of Student's distribution: 3.182, 2.262 and 2.030.
        let percentiles = [3.0, 9.0, 35.0].map(student);
        assert!(
            percentiles
                .iter()
                .zip([3.182, 2.262, 2.030])
                .all(|(one, other)| (one / other - 1.0).abs() < 0.01)
        );
        // Deviation 0.1, 3.182 × 0.1 ÷ 2.
        let mean = Estimate::mean(&[0.5, 0.6, 0.6, 0.7]).unwrap();
        assert!(near(mean.value, 0.6) && (mean.high - 0.6 - 0.1299).abs() < 2e-3, "{mean:?}");
        assert!(near(mean.high - mean.value, mean.value - mean.low));
        assert!(Estimate::mean(&[]).is_none() && Estimate::mean(&[0.5]).is_none());
        assert_eq!(Estimate::mean(&[1.0, 1.0, 1.0]).unwrap().to_string(), "100.0 (43.9–100.0)");
        // Three of them sum up to something that isn't three times as much.
        for share in [0.7, 0.1] {
            let mean = Estimate::mean(&[share; 3]).unwrap();
            assert!(near(mean.value, share) && mean.high - mean.low > 0.5, "{mean:?}");
        }
        assert_eq!([1.0, 2.0].map(student), [12.706, 4.303]);
        assert!(near(mcnemar(0, 0), 1.0) && near(mcnemar(700, 700), 1.0) && mcnemar(0, 700) < 1e-200);
        assert!(near(auroc(&[0.8, 0.4], &[0.4, 0.1]).unwrap(), 0.875) && auroc(&[], &[0.1]).is_none());
    }

    #[test]
    fn an_interval_holds_its_share_even_at_the_ends() {
        for of in 1..2000 {
            let (none, all) = (Share::of(0, of), Share::of(of, of));
            assert!(none.low == 0.0 && all.high == 1.0, "{of}");
        }
    }

    proptest! {
        #[test]
        fn an_interval_is_around_its_share(of in 1usize..2000, part in 0.0..=1.0f64) {
            let share = Share::of((of as f64 * part) as usize, of);
            prop_assert!(0.0 <= share.low && share.low <= share.share);
            prop_assert!(share.share <= share.high && share.high <= 1.0);
        }

        #[test]
        fn who_is_told_apart_is_counted_pair_by_pair(
            high in prop::collection::vec(0u8..9, 1..30),
            low in prop::collection::vec(0u8..9, 1..30),
        ) {
            let [high, low] = [high, low].map(|all| all.into_iter().map(f64::from).collect::<Vec<_>>());
            let pairs = high.iter().flat_map(|one| low.iter().map(move |other| (one, other)));
            let above = pairs.map(|(one, other)| if one > other { 1.0 } else if one == other { 0.5 } else { 0.0 });
            let expected = above.sum::<f64>() / (high.len() * low.len()) as f64;
            prop_assert!((auroc(&high, &low).unwrap() - expected).abs() < 1e-9);
        }
    }
}
