use std::time::{Duration, Instant};

/// When the whole folder is read: at once, regularly, and earlier when something may have been missed.
#[derive(Debug)]
pub(crate) struct Rescans {
    every: Duration,
    /// When the next one begins.
    at: Instant,
    /// Since when one is under way, if it is.
    begun: Option<Instant>,
    /// When the last one ended, and how long it took.
    last: (Instant, Duration),
    /// Whether none has ended yet.
    first: bool,
}

impl Rescans {
    pub(crate) fn new(every: Duration, now: Instant) -> Self {
        Self { every, at: now, begun: None, last: (now, Duration::ZERO), first: true }
    }

    /// When the next one is due.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// Whether the folder hasn't been read yet.
    pub(crate) fn is_first(&self) -> bool {
        self.first
    }

    pub(crate) fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
        self.at = now + self.every;
    }

    /// Nothing is left to read. Returns how long the rescan took, if it was one.
    pub(crate) fn end(&mut self, now: Instant) -> Option<Duration> {
        let took = now.saturating_duration_since(self.begun.take()?);
        self.last = (now, took);
        // Whoever asked for another one in the meantime gets it.
        self.at = self.at.max(now + took.min(self.every));
        self.first = false;
        Some(took)
    }

    /// The next one begins at once, but so that reading takes no more than half of the time.
    pub(crate) fn hurry(&mut self, now: Instant) {
        let (ended, took) = self.last;
        self.at = self.at.min(now.max(ended + took));
    }

    /// The next one begins at this time, or before.
    pub(crate) fn not_after(&mut self, at: Instant) {
        self.at = self.at.min(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_takes_no_more_than_half_of_the_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rescans = Rescans::new(Duration::from_secs(30), start);
        assert_eq!((rescans.at(), rescans.is_first()), (start, true));
        rescans.begin(start);
        assert_eq!(rescans.end(at(10)), Some(Duration::from_secs(10)));
        assert_eq!((rescans.at(), rescans.is_first()), (at(30), false));
        rescans.hurry(at(12));
        assert_eq!(rescans.at(), at(20));
        rescans.not_after(at(15));
        assert_eq!(rescans.at(), at(15));
        rescans.begin(at(20));
        rescans.hurry(at(21));
        assert_eq!(rescans.end(at(60)), Some(Duration::from_secs(40)));
        assert_eq!(rescans.at(), at(90));
        assert_eq!(rescans.end(at(61)), None, "a folder that has come was read");
    }
}
