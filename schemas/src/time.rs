use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// An instant: microseconds since 1970-01-01T00:00:00Z (Avro's `timestamp-micros`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// Now, by the system's clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since.as_micros() as i64)
    }

    /// Seconds from `earlier` to this instant; negative when `earlier` is later. What others stamp may be any number.
    pub fn seconds_since(self, earlier: Micros) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e6
    }

    /// As runs are named: `20261123_153147`, local time.
    pub fn stamp(self) -> String {
        self.local().strftime("%Y%m%d_%H%M%S").to_string()
    }

    /// As the contract's files say when: `2026-11-23T15:31:47.716401`, local time without its zone.
    pub fn iso(self) -> String {
        self.local().strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
    }

    /// The beginning of 1970 stands for what no calendar has.
    fn local(self) -> Zoned {
        Timestamp::from_microsecond(self.0).unwrap_or_default().to_zoned(TimeZone::system())
    }
}

#[cfg(test)]
mod tests {
    use super::Micros;

    #[test]
    fn an_instant_is_written_as_the_contract_does() {
        let (stamp, iso) = (Micros(1_795_000_000_012_345).stamp(), Micros(1_795_000_000_012_345).iso());
        assert_eq!(stamp.len(), "20261123_153147".len());
        assert!(iso.ends_with(".012345"), "{iso}");
        assert_eq!(iso.replace(['-', ':'], "").replace('T', "_").split('.').next(), Some(&*stamp));
        assert_eq!(Micros(i64::MAX).iso().len(), iso.len());
    }

    #[test]
    fn instants_of_any_distance_are_compared() {
        assert_eq!(Micros(3_500_000).seconds_since(Micros(1_000_000)), 2.5);
        assert_eq!(Micros(i64::MAX).seconds_since(Micros(i64::MIN)), i64::MAX as f64 / 1e6);
        assert_eq!(Micros(i64::MIN).seconds_since(Micros(1)), i64::MIN as f64 / 1e6);
    }
}
