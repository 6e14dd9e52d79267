use std::collections::VecDeque;

/// The dead-letter policy: when more than a share of recent events is dead, something other than the events is wrong,
/// and the stage stops rather than drain its topic into the dead letters.
#[derive(Debug)]
pub struct DeadShare {
    limit: f64,
    window: usize,
    recent: VecDeque<bool>,
    dead: usize,
}

impl DeadShare {
    /// Allows a share of at most `limit` (0 to 1) among the last `window` events. It says nothing before the window
    /// is full, so that a small folder of broken photos is just that.
    pub fn new(limit: f64, window: usize) -> Self {
        Self { limit, window: window.max(1), recent: VecDeque::new(), dead: 0 }
    }

    /// Counts one event. `Err` holds the dead among the last events when there are too many.
    pub fn count(&mut self, is_dead: bool) -> Result<(), usize> {
        self.recent.push_back(is_dead);
        self.dead += usize::from(is_dead);
        if self.recent.len() > self.window {
            self.dead -= usize::from(self.recent.pop_front().unwrap_or(false));
        }
        let full = self.recent.len() == self.window;
        if full && self.dead as f64 > self.limit * self.window as f64 { Err(self.dead) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::DeadShare;

    #[test]
    fn stops_only_when_too_many_recent_events_are_dead() {
        let mut share = DeadShare::new(0.5, 4);
        assert!(
            [true, true, true].into_iter().all(|dead| share.count(dead).is_ok()),
            "the window isn't full"
        );
        assert_eq!(share.count(false), Err(3));
        assert_eq!(share.count(false), Ok(()), "two of the last four");
    }

    #[test]
    fn a_limit_of_one_never_stops() {
        let mut share = DeadShare::new(1.0, 2);
        assert!((0..100).all(|_| share.count(true).is_ok()));
    }
}
