use std::fmt;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::ops::RangeBounds;
use std::path::PathBuf;
use std::time::Duration;

/// A value that a setting can have.
pub trait Value: Sized + PartialOrd + fmt::Debug {
    /// What it is, in a few words: "a whole number".
    const ALLOWED: &'static str;
    /// How it is written, where that isn't obvious.
    const WRITTEN: &'static str = "";
    /// Reads it, `None` if it can't be read.
    fn parse(text: &str) -> Option<Self>;
    /// As it would be written: reading it gives the same value.
    fn show(&self) -> String;
}

/// What may be written for a value within a range: "a whole number from 1 to 256".
pub(super) fn allowed<T: Value>(range: &impl RangeBounds<T>) -> String {
    let start = match range.start_bound() {
        Included(least) => Some(("at least", least.show())),
        Excluded(limit) => Some(("more than", limit.show())),
        Unbounded => None,
    };
    let end = match range.end_bound() {
        Included(most) => Some(("at most", most.show())),
        Excluded(limit) => Some(("less than", limit.show())),
        Unbounded => None,
    };
    let range = match (start, end) {
        (Some(("at least", least)), Some(("at most", most))) => format!(" from {least} to {most}"),
        (Some((low, start)), Some((high, end))) => format!(", {low} {start} and {high} {end}"),
        (Some((which, bound)), None) | (None, Some((which, bound))) => format!(", {which} {bound}"),
        (None, None) => String::new(),
    };
    format!("{}{range}{}", T::ALLOWED, T::WRITTEN)
}

macro_rules! parsed {
    ($($kind:ty: $allowed:literal),*) => {$(
        impl Value for $kind {
            const ALLOWED: &'static str = $allowed;
            fn parse(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

parsed!(usize: "a whole number", u64: "a whole number", u32: "a whole number", u16: "a whole number",
        f64: "a number", bool: "true or false", String: "a text");

/// A text with the spaces around it: a password may begin or end with one. What ends a line is the file's that it was in.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub struct Verbatim(pub String);

impl Value for Verbatim {
    const ALLOWED: &'static str = String::ALLOWED;
    fn parse(text: &str) -> Option<Self> {
        Some(Self(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Value for PathBuf {
    const ALLOWED: &'static str = "a path";
    fn parse(text: &str) -> Option<Self> {
        Some(PathBuf::from(text))
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

/// The units of durations in nanoseconds, the largest first.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1000),
    ("ns", 1),
];

impl Value for Duration {
    const ALLOWED: &'static str = "a duration";
    const WRITTEN: &'static str = " (written like 5ms, 2s, 10m, 1h or 7d)";

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic())?);
        let number = number.trim();
        let (_, nanos) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        // Whole numbers don't go through floating point, so that what is shown reads back as the same duration.
        match number.parse::<u64>() {
            Ok(whole) => {
                let nanos = u128::from(whole) * u128::from(nanos);
                let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
                Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
            }
            Err(_) => Duration::try_from_secs_f64(number.parse::<f64>().ok()? * (nanos as f64 / 1e9)).ok(),
        }
    }

    fn show(&self) -> String {
        let nanos = self.as_nanos();
        let fits = |(_, unit): &(&str, u64)| nanos.is_multiple_of(u128::from(*unit));
        match UNITS.into_iter().find(fits) {
            Some((name, unit)) if nanos > 0 => format!("{}{name}", nanos / u128::from(unit)),
            _ => "0s".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn durations_are_read_in_every_unit() {
        let read = <Duration as Value>::parse;
        assert_eq!(read("5ms"), Some(ms(5)));
        assert_eq!(read(" 1.5 s "), Some(ms(1500)));
        assert_eq!(read("10m"), Some(Duration::from_secs(600)));
        assert_eq!(read("7d"), Some(Duration::from_secs(7 * 86_400)));
        for wrong in ["", "5", "s", "-1s", "5 apples", "1e9s", "18446744073709551615d", "nans", "infs"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn durations_are_shown_in_the_unit_that_fits() {
        let shown = [0, 5, 1500, 90_000, 3_600_000, 604_800_000].map(|count| ms(count).show());
        assert_eq!(shown, ["0s", "5ms", "1500ms", "90s", "1h", "7d"]);
    }

    proptest! {
        #[test]
        fn a_shown_duration_reads_back(seconds in 0..=u64::MAX / 1_000_000_000, nanos in 0..1_000_000_000_u32) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(<Duration as Value>::parse(&duration.show()), Some(duration));
        }
    }

    #[test]
    fn ranges_read_well() {
        assert_eq!(allowed::<u32>(&(1..=256)), "a whole number from 1 to 256");
        assert_eq!(allowed::<usize>(&(1..)), "a whole number, at least 1");
        assert_eq!(allowed::<f64>(&(..1.0)), "a number, less than 1");
        assert_eq!(allowed::<f64>(&(0.0..1.0)), "a number, at least 0 and less than 1");
        assert_eq!(allowed::<bool>(&(..)), "true or false");
        assert!(allowed(&(ms(1000)..)).starts_with("a duration, at least 1s (written like 5ms"));
        assert!(allowed(&(ms(0)..=ms(60_000))).starts_with("a duration from 0s to 1m ("));
    }
}
