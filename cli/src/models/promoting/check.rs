//! A condition of the gate: in words for people, and in numbers for programs.

use autorma_evaluation::Share;
use serde::Serialize;

/// One condition of the gate.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) what: &'static str,
    pub(super) found: String,
    pub(super) wanted: String,
    /// What is found as a number, if there is one, in the unit of its words.
    figure: Option<f64>,
    /// What it is held against, if that is a number.
    bound: Option<f64>,
    pub(super) passed: bool,
}

/// A number that was found.
#[derive(Debug)]
pub(super) struct Figure {
    /// None where there was no photo to find it by.
    pub(super) number: Option<f64>,
    pub(super) words: String,
}

impl Check {
    /// One without numbers.
    pub(super) fn said(
        what: &'static str,
        found: impl Into<String>,
        wanted: impl Into<String>,
        passed: bool,
    ) -> Self {
        Self { what, found: found.into(), wanted: wanted.into(), figure: None, bound: None, passed }
    }

    /// A figure that is held against a bound, which is in `wanted`.
    pub(super) fn of(
        what: &'static str,
        figure: Figure,
        bound: Option<f64>,
        wanted: impl Into<String>,
        passed: bool,
    ) -> Self {
        let Figure { number, words } = figure;
        Self { figure: number, bound, ..Self::said(what, words, wanted, passed) }
    }

    /// One that must not be below the bound: 0.3 points of 1,000 photos are three photos, whatever the last bits of the
    /// shares say. What isn't there counts as 0.
    pub(super) fn at_least(
        what: &'static str,
        figure: Figure,
        bound: f64,
        wanted: impl Into<String>,
    ) -> Self {
        let passed = figure.number.unwrap_or(0.0) >= bound - 1e-9;
        Self::of(what, figure, Some(bound), wanted, passed)
    }

    /// One that must not be above it, in the same way.
    pub(super) fn at_most(what: &'static str, figure: Figure, bound: f64, wanted: impl Into<String>) -> Self {
        let passed = figure.number.unwrap_or(0.0) <= bound + 1e-9;
        Self::of(what, figure, Some(bound), wanted, passed)
    }

    /// A share that may be so many points below a former one.
    pub(super) fn no_less(what: &'static str, share: Share, former: Share, margin: f64) -> Self {
        let wanted = format!("at least {} - {margin} points", Figure::percent(former).words);
        Self::at_least(what, Figure::percent(share), former.share * 100.0 - margin, wanted)
    }

    /// A share that may be so many points above a former one.
    pub(super) fn no_more(what: &'static str, share: Share, former: Share, margin: f64) -> Self {
        let wanted = format!("at most {} + {margin} points", Figure::percent(former).words);
        Self::at_most(what, Figure::percent(share), former.share * 100.0 + margin, wanted)
    }
}

impl Figure {
    pub(super) fn new(number: f64, words: String) -> Self {
        Self { number: Some(number), words }
    }

    /// A number that is about so many photos; there is none about none.
    pub(super) fn of(photos: usize, number: f64, words: String) -> Self {
        match photos {
            0 => Self { number: None, words: "none".into() },
            _ => Self::new(number, words),
        }
    }

    pub(super) fn count(count: usize) -> Self {
        Self::new(count as f64, count.to_string())
    }

    pub(super) fn percent(share: Share) -> Self {
        let number = share.share * 100.0;
        Self::of(share.of, number, format!("{number:.2} %"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nothing_is_no_figure_and_counts_as_none() {
        let (nothing, most) = (Share::of(0, 0), Share::of(9, 10));
        let [less, more] = [Check::no_less("a", nothing, most, 0.5), Check::no_more("a", nothing, most, 0.5)];
        for check in [&less, &more] {
            assert_eq!((check.found.as_str(), check.figure), ("none", None));
            assert!(check.bound.is_some(), "{check:?}");
        }
        assert!(!less.passed && more.passed);
    }
}
