use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Cuts micro-batches as late as possible: only for a worker that is free, and then when the batch is full, when
/// nothing more is on its way, or when the oldest has waited long enough.
#[derive(Debug)]
pub struct Batcher<T> {
    ready: VecDeque<(Instant, T)>,
    size: usize,
    max_wait: Duration,
}

/// What a free worker should do.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut<T> {
    /// Take this micro-batch.
    Batch(Vec<T>),
    /// Wait for more items, at most this long.
    Wait(Duration),
    /// There is nothing: wait for the first.
    Empty,
}

impl<T> Batcher<T> {
    /// Batches of up to `size` items (at least 1), none of which waits longer than `max_wait` for others.
    pub fn new(size: usize, max_wait: Duration) -> Self {
        Self { ready: VecDeque::new(), size: size.max(1), max_wait }
    }

    /// An item is ready.
    pub fn push(&mut self, item: T, now: Instant) {
        self.ready.push_back((now, item));
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Asked by a free worker. `coming` says whether more items are on their way: when none is, waiting is useless.
    pub fn cut(&mut self, now: Instant, coming: bool) -> Cut<T> {
        let Some((since, _)) = self.ready.front() else {
            return Cut::Empty;
        };
        let waited = now.saturating_duration_since(*since);
        if self.ready.len() < self.size && coming && waited < self.max_wait {
            return Cut::Wait(self.max_wait - waited);
        }
        let count = self.size.min(self.ready.len());
        Cut::Batch(self.ready.drain(..count).map(|(_, item)| item).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WAIT: Duration = Duration::from_millis(5);

    #[test]
    fn a_lone_item_goes_at_once_when_nothing_is_coming() {
        let (mut batcher, now) = (Batcher::new(10, WAIT), Instant::now());
        assert_eq!(batcher.cut(now, true), Cut::Empty);
        batcher.push("a", now);
        assert_eq!(batcher.cut(now, true), Cut::Wait(WAIT));
        assert_eq!(batcher.cut(now, false), Cut::Batch(vec!["a"]));
    }

    #[test]
    fn the_oldest_waits_no_longer_than_it_may() {
        let (mut batcher, now) = (Batcher::new(10, WAIT), Instant::now());
        batcher.push(1, now);
        batcher.push(2, now + WAIT / 2);
        assert_eq!(batcher.cut(now + WAIT / 2, true), Cut::Wait(WAIT / 2));
        assert_eq!(batcher.cut(now + WAIT, true), Cut::Batch(vec![1, 2]));
    }

    proptest! {
        /// Whatever arrives whenever: batches keep the order, none is empty or too large, and nothing is left.
        #[test]
        fn every_item_leaves_once_in_order(steps in proptest::collection::vec((0u64..8, 0u64..9, any::<bool>()), 1..60)) {
            let (mut batcher, mut now) = (Batcher::new(4, WAIT), Instant::now());
            let (mut pushed, mut left) = (0, Vec::new());
            for (items, pause, coming) in steps {
                for _ in 0..items {
                    batcher.push(pushed, now);
                    pushed += 1;
                }
                now += Duration::from_millis(pause);
                if let Cut::Batch(batch) = batcher.cut(now, coming) {
                    prop_assert!((1..=4).contains(&batch.len()));
                    left.extend(batch);
                }
            }
            while let Cut::Batch(batch) = batcher.cut(now, false) {
                left.extend(batch);
            }
            prop_assert!(batcher.is_empty());
            prop_assert_eq!(left, (0..pushed).collect::<Vec<u64>>());
        }
    }
}
