//! Looking again and again.

use std::time::{Duration, Instant};

use anyhow::Context;

/// Looks until there is something, for a few minutes at most.
pub(crate) fn wait<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    wait_at(Duration::from_micros(300), what, &mut condition)
}

/// The same at that pace: where a look costs those something who are being looked at.
pub(crate) fn wait_at<T>(
    pace: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(300) {
        if let Some(value) = condition() {
            return Ok(value);
        }
        std::thread::sleep(pace);
    }
    None.with_context(|| format!("waited in vain: {what}"))
}
