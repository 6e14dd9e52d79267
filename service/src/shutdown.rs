use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How soon who waits for an answer hears of the request.
const HEARING: Duration = Duration::from_millis(100);

/// What a thread is to do.
type Work = Box<dyn FnOnce() + Send>;

/// The request to stop, seen by every thread of a process. Clones share it.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<State>);

#[derive(Default)]
struct State {
    inner: Mutex<Inner>,
    bell: Condvar,
}

#[derive(Default)]
struct Inner {
    requested: bool,
    listeners: BTreeMap<u64, Box<dyn FnOnce() + Send>>,
    /// The number of the next one.
    next: u64,
}

/// Somebody who is called at the request, until this is dropped: then it is forgotten with all that it holds.
#[derive(Debug)]
#[must_use = "it is forgotten when this is dropped"]
pub struct Listening {
    shutdown: Shutdown,
    number: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Dropped when the lock isn't held any more: what it holds is its own affair.
        let _forgotten = self.shutdown.0.inner.lock().listeners.remove(&self.number);
    }
}

impl Shutdown {
    /// Nobody has asked to stop.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to stop: finish what is in hand, commit, return.
    pub fn request(&self) {
        let listeners = {
            let mut inner = self.0.inner.lock();
            inner.requested = true;
            std::mem::take(&mut inner.listeners)
        };
        self.0.bell.notify_all();
        listeners.into_values().for_each(|listener| listener());
    }

    /// Whether to stop.
    pub fn is_requested(&self) -> bool {
        self.0.inner.lock().requested
    }

    /// Sleeps for `pause`, or until the request. Returns whether to go on.
    pub fn sleep(&self, pause: Duration) -> bool {
        let mut inner = self.0.inner.lock();
        self.0.bell.wait_while_for(&mut inner, |inner| !inner.requested, pause);
        !inner.requested
    }

    /// Calls `listener` at the request, at once if it was made already, as long as what is returned isn't dropped: for
    /// threads that wait for something else. It must wait for nobody, not even to log a line: who has asked may be the thread
    /// that hears the signals.
    pub fn on_request(&self, listener: impl FnOnce() + Send + 'static) -> Listening {
        let mut inner = self.0.inner.lock();
        let number = inner.next;
        inner.next += 1;
        if inner.requested {
            drop(inner);
            listener();
        } else {
            inner.listeners.insert(number, Box::new(listener));
        }
        Listening { shutdown: self.clone(), number }
    }

    /// The answer of `ask`, which may take long, on a thread of its own; None if the request comes before it: then the
    /// question is left to itself. A panic goes on here. While the system gives no thread, the question waits for one.
    pub fn unless_requested<T: Send + 'static>(&self, ask: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.unless_requested_or_late(ask, Duration::MAX, || ())
    }

    /// The same; `late` is called, once, where there is no answer after `patience`, and the answer is waited for on.
    pub fn unless_requested_or_late<T: Send + 'static>(
        &self,
        ask: impl FnOnce() -> T + Send + 'static,
        patience: Duration,
        late: impl FnOnce(),
    ) -> Option<T> {
        self.answer(ask, patience, late, |work| Builder::new().spawn(work))
    }

    /// The same with threads that `start` gives, or doesn't at the moment.
    fn answer<T: Send + 'static>(
        &self,
        ask: impl FnOnce() -> T + Send + 'static,
        patience: Duration,
        late: impl FnOnce(),
        start: impl Fn(Work) -> io::Result<JoinHandle<()>>,
    ) -> Option<T> {
        let (begun, mut late) = (Instant::now(), Some(late));
        let mut is_awaited = || {
            if begun.elapsed() >= patience {
                late.take().into_iter().for_each(|late| late());
            }
            !self.is_requested()
        };
        let (tell, told) = mpsc::channel();
        // Nobody may listen any more.
        let thread = working(Box::new(move || drop(tell.send(ask()))), start, &mut is_awaited)?;
        loop {
            match told.recv_timeout(HEARING) {
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Timeout) if is_awaited() => {}
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => {
                    // It can only have panicked.
                    return thread.join().map_or_else(|panic| std::panic::resume_unwind(panic), |()| None);
                }
            }
        }
    }
}

/// A thread that does the work, as soon as `start` gives one; None if that isn't awaited any more.
fn working(
    work: Work,
    start: impl Fn(Work) -> io::Result<JoinHandle<()>>,
    is_awaited: &mut impl FnMut() -> bool,
) -> Option<JoinHandle<()>> {
    let mut is_told = false;
    loop {
        // It is given its work when it is there: work that went with a refused one would be lost.
        let (give, given) = mpsc::channel::<Work>();
        match start(Box::new(move || given.into_iter().for_each(|work| work()))) {
            Ok(thread) => {
                drop(give.send(work));
                return Some(thread);
            }
            Err(error) if !is_told => {
                tracing::warn!(%error, "no thread could be started: one is waited for");
                is_told = true;
            }
            Err(_) => {}
        }
        std::thread::sleep(HEARING);
        if !is_awaited() {
            return None;
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shutdown").field(&self.is_requested()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::mpsc;

    #[test]
    fn a_request_wakes_sleepers_and_listeners() {
        let shutdown = Shutdown::new();
        let (sender, heard) = mpsc::channel();
        let _listening = shutdown.on_request(move || sender.send(()).unwrap());
        let sleeper = std::thread::spawn({
            let shutdown = shutdown.clone();
            move || shutdown.sleep(Duration::from_secs(3600))
        });
        assert!(heard.try_recv().is_err());
        shutdown.request();
        heard.recv().unwrap();
        assert!(!sleeper.join().unwrap(), "told not to go on");
    }

    #[test]
    fn nobody_waits_for_an_answer_after_the_request() {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.unless_requested(|| 7), Some(7));
        let (asked, is_asked) = mpsc::channel();
        let (_answer, no_answer) = mpsc::channel::<u8>();
        let waiting = std::thread::spawn({
            let shutdown = shutdown.clone();
            move || {
                shutdown.unless_requested(move || {
                    asked.send(()).unwrap();
                    no_answer.recv()
                })
            }
        });
        is_asked.recv().unwrap();
        shutdown.request();
        assert!(waiting.join().unwrap().is_none());
    }

    #[test]
    fn who_asks_is_told_of_an_answer_that_is_late() {
        let shutdown = Shutdown::new();
        let in_time = shutdown.unless_requested_or_late(|| 7, Duration::MAX, || panic!("it is in time"));
        assert_eq!(in_time, Some(7));
        let (say, said) = mpsc::channel();
        let ask = move || said.recv().unwrap();
        let late = || say.send(7).unwrap();
        assert_eq!(shutdown.unless_requested_or_late(ask, Duration::from_millis(1), late), Some(7));
    }

    /// As where as many run as the system allows.
    #[test]
    fn a_question_waits_for_a_thread() {
        let no_thread = || io::Error::from(io::ErrorKind::WouldBlock);
        let shutdown = Shutdown::new();
        let asked_for = Cell::new(0);
        let third = |work: Work| {
            asked_for.set(asked_for.get() + 1);
            if asked_for.get() < 3 { Err(no_thread()) } else { Builder::new().spawn(work) }
        };
        assert_eq!(shutdown.answer(|| 7, Duration::MAX, || (), third), Some(7));
        assert_eq!(asked_for.get(), 3);
        shutdown.request();
        assert_eq!(shutdown.answer(|| 7, Duration::MAX, || (), |_| Err(no_thread())), None);
    }

    #[test]
    #[should_panic = "a fault"]
    fn a_panic_of_who_answers_goes_on() {
        Shutdown::new().unless_requested(|| panic!("a fault"));
    }

    #[test]
    fn a_late_listener_hears_at_once() {
        let shutdown = Shutdown::new();
        shutdown.request();
        let (sender, heard) = mpsc::channel();
        let _listening = shutdown.on_request(move || sender.send(()).unwrap());
        heard.try_recv().unwrap();
    }

    #[test]
    fn a_listener_that_has_gone_is_forgotten() {
        let shutdown = Shutdown::new();
        let (sender, heard) = mpsc::channel::<()>();
        drop(shutdown.on_request(move || sender.send(()).unwrap()));
        assert_eq!(heard.try_recv(), Err(mpsc::TryRecvError::Disconnected), "nobody holds the sender");
        shutdown.request();
    }
}
