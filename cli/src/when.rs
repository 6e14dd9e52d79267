//! Times as people write them, and as scripts read them.

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
        _ => {
            // Only that flag takes it (`crate::models::live`).
            let ago = if flag == "--since" { ", how long ago it was (2h, 7d)" } else { "" };
            bail!(
                "{flag} {text:?} is no time: write a date (2026-11-24), local time (2026-11-24T02:00){ago} or a time \
                 with its zone (2026-11-24T02:00:00Z)"
            )
        }
    };
    let zoned: Zoned = local.to_zoned(TimeZone::system()).with_context(|| format!("{flag} {text:?}"))?;
    Ok(Micros(zoned.timestamp().as_microsecond()))
}

/// An instant for scripts, by RFC 3339: local time with its offset.
pub(crate) fn with_offset(at: Micros) -> String {
    let at = Timestamp::from_microsecond(at.0).unwrap_or_default();
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S.%6f%:z").to_string()
}

/// The same of a time as locks have it, `2026-11-24 20:01:02+01:00`. Whose lock has none yet has just begun.
pub(crate) fn since(told: &str) -> String {
    let at = told.parse::<Timestamp>();
    with_offset(at.map_or_else(|_| Micros::now(), |at| Micros(at.as_microsecond())))
}

/// A time for people, of one that is written in more detail: `2026-11-24T20:01:02`.
pub(crate) fn to_the_second(written: &str) -> String {
    written.chars().take("2026-11-24T20:01:02".len()).collect()
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
            assert!(!told.contains("7d"), "it isn't understood here: {told}");
        }
        let told = instant("--since", "tomorrow").unwrap_err().to_string();
        assert!(told.contains("2h, 7d"), "{told}");
    }

    #[test]
    fn a_time_for_scripts_is_one_instant_in_every_zone() {
        let at = Micros(1_795_000_000_012_345);
        let written = with_offset(at);
        assert_eq!(instant("--from", &written).unwrap(), at, "{written}");
        assert!(written.parse::<Timestamp>().is_ok(), "it has no offset: {written}");
        assert!(written.starts_with(&at.iso()), "it is local: {written}");
        let held = since("2026-11-18 01:30:05+05:30");
        assert_eq!(instant("--from", &held).unwrap(), instant("--from", "2026-11-17T20:00:05Z").unwrap());
        let begun = instant("--from", &since("now")).unwrap();
        assert!(Micros::now().seconds_since(begun) < 60.0);
    }
}
