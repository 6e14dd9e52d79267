use std::collections::VecDeque;

/// So many events of a process say something already, where its window isn't full.
const FEW: usize = 10;

/// The dead-letter policy: when more than a share of recent events is dead, something other than the events is wrong,
/// and the stage stops rather than drain its topic into the dead letters.
#[derive(Debug)]
pub struct DeadShare {
    limit: f64,
    window: usize,
    recent: VecDeque<bool>,
    dead: usize,
    asked: bool,
}

impl DeadShare {
    /// Allows a share of at most `limit` (0 to 1) among the last `window` events. It says nothing before the window
    /// is full, so that a small folder of broken photos is just that.
    pub fn new(limit: f64, window: usize) -> Self {
        Self { limit, window: window.max(1), recent: VecDeque::new(), dead: 0, asked: false }
    }

    /// Counts one event. `Err` holds the dead among the last events when there are too many.
    pub fn count(&mut self, is_dead: bool) -> Result<(), usize> {
        self.recent.push_back(is_dead);
        self.dead += usize::from(is_dead);
        if self.recent.len() > self.window {
            self.dead -= usize::from(self.recent.pop_front().unwrap_or(false));
        }
        self.verdict()
    }

    /// How many events from before would fill the window. Asked once, and only where too many of the few that were
    /// counted are dead: without the others, a process that is started again whenever it stops would drain the topic
    /// all the same, a window at a time.
    pub fn lacks(&mut self) -> Option<usize> {
        let counted = self.recent.len();
        let lacking = (FEW..self.window).contains(&counted).then_some(self.window - counted);
        let lacking = lacking.filter(|_| !self.asked && self.is_over(counted));
        self.asked |= lacking.is_some();
        lacking
    }

    /// Counts what was before, the newest event first; `Err` as [`count`](Self::count).
    pub fn precede(&mut self, earlier: impl IntoIterator<Item = bool>) -> Result<(), usize> {
        for is_dead in earlier.into_iter().take(self.window - self.recent.len()) {
            self.recent.push_front(is_dead);
            self.dead += usize::from(is_dead);
        }
        self.verdict()
    }

    fn verdict(&self) -> Result<(), usize> {
        let is_full = self.recent.len() == self.window;
        if is_full && self.is_over(self.window) { Err(self.dead) } else { Ok(()) }
    }

    fn is_over(&self, events: usize) -> bool {
        self.dead as f64 > self.limit * events as f64
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
    fn what_was_before_counts_when_the_first_are_dead() {
        let mut share = DeadShare::new(0.9, 20);
        assert!((0..9).all(|_| share.count(true).is_ok() && share.lacks().is_none()), "too few say nothing");
        assert_eq!((share.count(true), share.lacks(), share.lacks()), (Ok(()), Some(10), None));
        assert_eq!(share.precede([true; 8]), Ok(()), "nothing was before these");
        assert_eq!(share.count(true), Ok(()));
        assert_eq!(share.precede([true, false, false]), Err(20));
        assert_eq!(share.count(false), Err(19));
    }

    #[test]
    fn who_begins_well_isn_t_held_responsible_for_what_was_before() {
        let mut mended = DeadShare::new(0.9, 20);
        assert!((0..19).all(|at| mended.count(at % 5 > 0).is_ok() && mended.lacks().is_none()));
    }

    #[test]
    fn a_limit_of_one_never_stops() {
        let mut share = DeadShare::new(1.0, 2);
        assert!((0..100).all(|_| share.count(true).is_ok()));
    }
}
