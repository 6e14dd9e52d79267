use std::time::{Duration, Instant};

/// Flushing takes about one part of the time in this many and one.
const SHARE: u32 = 24;
/// However long a flush takes, outcomes don't wait longer for the next.
const LONGEST: Duration = Duration::from_secs(1);

/// When to flush: at once when idle, so that an outcome is in a file within milliseconds; while busy so seldom that
/// flushing, whose price is a few fsyncs whatever it carries, takes about 4 % of the time.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Before it the next flush would be too much.
    next: Option<Instant>,
}

impl Pace {
    /// How long outcomes that are there should still be collected; zero: flush them now.
    pub(crate) fn pause(&self, now: Instant) -> Duration {
        self.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }

    /// There was a flush.
    pub(crate) fn flushed(&mut self, begun: Instant, ended: Instant) {
        let took = ended.saturating_duration_since(begun);
        self.next = Some(ended + (took * SHARE).min(LONGEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn an_idle_sink_flushes_at_once() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        assert_eq!(pace.pause(start), Duration::ZERO);
        pace.flushed(start, start + ms(5));
        assert_eq!(pace.pause(start + ms(5)), ms(120), "busy: it has just flushed");
        assert_eq!(pace.pause(start + ms(130)), Duration::ZERO, "idle again");
    }

    proptest! {
        /// However long flushes take and whenever outcomes come: no more than 4 % of the time is spent flushing,
        /// as long as that doesn't keep an outcome waiting for more than a second.
        #[test]
        fn flushing_takes_a_small_part_of_the_time(
            steps in proptest::collection::vec((0u64..3000, 1u64..400), 1..60)
        ) {
            let mut now = Instant::now();
            let mut pace = Pace::default();
            let mut previous: Option<(Duration, Instant)> = None;
            for (arrival, takes) in steps {
                now += ms(arrival);
                let waits = pace.pause(now);
                prop_assert!(waits <= LONGEST);
                if let Some((took, ended)) = previous {
                    let between = now + waits - ended;
                    prop_assert!(between >= (took * SHARE).min(LONGEST));
                }
                let begun = now + waits;
                now = begun + ms(takes);
                pace.flushed(begun, now);
                previous = Some((ms(takes), now));
            }
        }
    }
}
