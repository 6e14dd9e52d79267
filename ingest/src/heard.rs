use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::path::Path;
use std::sync::mpsc::Receiver;

use crate::ears::Signal;

/// Signals in their order, a bounded number of them, and which files they say are being written.
#[derive(Debug)]
pub(crate) struct Heard {
    most: usize,
    signals: VecDeque<Signal>,
    /// How many of them say so, for each file.
    written: HashMap<OsString, usize>,
}

impl Heard {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, signals: VecDeque::new(), written: HashMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.signals.is_empty()
    }

    /// Whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        self.signals.len() < self.most
    }

    /// Takes up to so many from the queue, as far as there is room.
    pub(crate) fn fill(&mut self, signals: &Receiver<Signal>, most: usize) {
        let room = self.most.saturating_sub(self.signals.len());
        signals.try_iter().take(most.min(room)).for_each(|signal| self.push(signal));
    }

    /// Behind the others. Who has asked for room puts it there.
    pub(crate) fn push(&mut self, signal: Signal) {
        if let Some(path) = signal.written() {
            *self.written.entry(path.as_os_str().to_owned()).or_default() += 1;
        }
        self.signals.push_back(signal);
    }

    /// The first of them, unless it says that a file is complete which is being written again by what has been heard
    /// since: that one becomes a mere [`Signal::Wake`].
    pub(crate) fn pop(&mut self) -> Option<Signal> {
        let signal = self.signals.pop_front()?;
        if let Some(path) = signal.written() {
            self.forget(path);
        }
        let is_outdated = matches!(&signal, Signal::Complete(path) if self.has_written(path));
        Some(if is_outdated { Signal::Wake } else { signal })
    }

    /// Whether a signal says that the file was created or written to.
    pub(crate) fn has_written(&self, path: &Path) -> bool {
        self.written.contains_key(path.as_os_str())
    }

    fn forget(&mut self, path: &Path) {
        if let Some(count) = self.written.get_mut(path.as_os_str()) {
            *count -= 1;
            if *count == 0 {
                self.written.remove(path.as_os_str());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::mpsc::sync_channel;

    fn heard(signals: impl IntoIterator<Item = Signal>) -> Heard {
        let mut heard = Heard::new(usize::MAX);
        signals.into_iter().for_each(|signal| heard.push(signal));
        heard
    }

    #[test]
    fn a_file_that_is_written_again_is_not_complete() {
        let (one, other) = (PathBuf::from("/in/a.jpg"), PathBuf::from("/in/b.jpg"));
        let closed = || Signal::Complete(one.clone());
        let written = || Signal::Written(one.clone());
        let mut again = heard([written(), closed(), Signal::Wake, written(), closed()]);
        let popped: Vec<_> = std::iter::from_fn(|| again.pop()).collect();
        assert_eq!(popped, [written(), Signal::Wake, Signal::Wake, written(), closed()]);
        assert_eq!(again.written, HashMap::new());
        let mut others = heard([closed(), Signal::Written(other), Signal::Look(one.clone())]);
        assert_eq!(others.pop(), Some(closed()));
        assert!(!others.has_written(&one) && others.has_written(Path::new("/in/b.jpg")));
        assert_eq!(heard([Signal::Created(one.clone())]).pop(), Some(Signal::Created(one)));
    }

    #[test]
    fn room_is_bounded() {
        let mut heard = Heard::new(3);
        let (queue, signals) = sync_channel(9);
        (0..9).for_each(|_| queue.send(Signal::Wake).unwrap());
        heard.fill(&signals, 2);
        assert_eq!((heard.signals.len(), heard.has_room()), (2, true));
        heard.fill(&signals, 2);
        assert_eq!((heard.signals.len(), heard.has_room()), (3, false));
        heard.pop();
        assert!(heard.has_room());
        assert_eq!(signals.try_iter().count(), 6, "what there is no room for stays in the queue");
    }
}
