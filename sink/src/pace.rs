use std::time::{Duration, Instant};

/// After a flush, nothing is flushed for so many times as long as it took...
const PAUSE: u32 = 9;
/// ... and so many times more for each outcome that it carried: the more come, the more should come together.
const PAUSE_EACH: u32 = 4;
/// However long a flush takes, outcomes don't wait longer for the next.
const LONGEST: Duration = Duration::from_secs(1);

/// When to flush: at once when idle, so that an outcome is in a file within milliseconds. While some come now and then,
/// flushing, whose price is a few fsyncs whatever it carries, takes at most a tenth of the time; while many come, there
/// is a flush a second.
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

    /// There was a flush that carried so many outcomes.
    pub(crate) fn flushed(&mut self, begun: Instant, ended: Instant, outcomes: usize) {
        let took = ended.saturating_duration_since(begun);
        let each = PAUSE_EACH.saturating_mul(u32::try_from(outcomes).unwrap_or(u32::MAX));
        let pause = took.saturating_mul(PAUSE.saturating_add(each));
        self.next = Some(ended + pause.min(LONGEST));
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
        pace.flushed(start, start + ms(5), 1);
        assert_eq!(pace.pause(start + ms(5)), ms(65), "busy: it has just flushed");
        assert_eq!(pace.pause(start + ms(80)), Duration::ZERO, "idle again");
        pace.flushed(start, start + ms(5), 50);
        assert_eq!(pace.pause(start + ms(5)), LONGEST, "many come");
    }

    proptest! {
        /// However long flushes take and whenever outcomes come: no more than a tenth of the time is spent flushing,
        /// as long as that doesn't keep an outcome waiting for more than a second.
        #[test]
        fn flushing_takes_a_small_part_of_the_time(
            steps in proptest::collection::vec((0u64..3000, 1u64..400, 0usize..100), 1..60)
        ) {
            let mut now = Instant::now();
            let mut pace = Pace::default();
            let mut previous: Option<(Duration, Instant)> = None;
            for (arrival, takes, outcomes) in steps {
                now += ms(arrival);
                let waits = pace.pause(now);
                prop_assert!(waits <= LONGEST);
                if let Some((took, ended)) = previous {
                    let between = now + waits - ended;
                    prop_assert!(between >= (took * PAUSE).min(LONGEST));
                }
                let begun = now + waits;
                now = begun + ms(takes);
                pace.flushed(begun, now, outcomes);
                previous = Some((ms(takes), now));
            }
        }
    }
}
