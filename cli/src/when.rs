//! Times as people write them.

use anyhow::{Context, bail};
use autorma_schemas::Micros;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// An instant: RFC 3339 with its zone, or local time with or without its hours.
pub(crate) fn instant(flag: &str, text: &str) -> anyhow::Result<Micros> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Micros(at.as_microsecond()));
    }
    let local = match (text.parse::<DateTime>(), text.parse::<Date>()) {
        (Ok(at), _) => at,
        (_, Ok(date)) => date.at(0, 0, 0, 0),
        _ => bail!(
            "{flag} {text:?} is no time: write a date (2026-11-24), local time (2026-11-24T02:00) or a time with its \
             zone (2026-11-24T02:00:00Z)"
        ),
    };
    let zoned: Zoned = local.to_zoned(TimeZone::system()).with_context(|| format!("{flag} {text:?}"))?;
    Ok(Micros(zoned.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_understood() {
        let at = |text| instant("--from", text).unwrap().0;
        assert_eq!(at("2026-11-18T11:06:40.012345Z"), 1_795_000_000_012_345);
        assert_eq!(at("2026-11-18T12:06:40+01:00"), 1_795_000_000_000_000);
        assert_eq!(at("2026-11-18"), at("2026-11-18T00:00"));
        assert_eq!(at("2026-11-18T01:30") - at("2026-11-18"), 90 * 60 * 1_000_000);
        assert_eq!(at("2026-11-18 01:30:05"), at("2026-11-18T01:30:05"));
        for wrong in ["yesterday", "", "2026-13-01", "1795000000"] {
            let told = instant("--to", wrong).unwrap_err().to_string();
            assert!(told.contains("--to") && told.contains("2026-11-24"), "{told}");
        }
    }
}
