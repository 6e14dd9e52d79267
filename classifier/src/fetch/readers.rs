use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::Builder;
use std::time::{Duration, Instant};

use autorma_service::Shutdown;
use parking_lot::Mutex;

/// How soon who waits for a reader hears that nobody wants its photo any more.
const HEARING: Duration = Duration::from_millis(100);

/// What a reader is to do.
type Work = Box<dyn FnOnce() + Send>;

/// Threads that read for the workers. A store takes its time, and a folder of a network may hang for ever: nobody can
/// call a thread back from there, and a worker must not be in it when the stage is to end. Those that are free wait here
/// for the next photo, so there is one for each worker that reads.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<Vec<Sender<Work>>>);

impl Readers {
    /// What `read` returns; None if it is `over` before that: then its reader is left to itself.
    pub(super) fn unless_over<T: Send + 'static>(
        &self,
        over: &Shutdown,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.within(Duration::MAX, over, read).ok()
    }

    /// The same; an error, too, if there is no answer after `patience`. It hears of one that comes later.
    pub(super) fn within<T: Send + 'static>(
        &self,
        patience: Duration,
        over: &Shutdown,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Receiver<T>> {
        let begun = Instant::now();
        let is_enough = || over.is_requested() || begun.elapsed() >= patience;
        let free = self.0.lock().pop();
        let Ok(reader) = free.map_or_else(start, Ok) else {
            // Where the system has no thread for it, this one does it.
            return Ok(read());
        };
        let (tell, told) = mpsc::channel();
        // Nobody may listen any more.
        let work = move || drop(tell.send(read()));
        // It only ends when nobody can give it work any more.
        drop(reader.send(Box::new(work)));
        loop {
            match told.recv_timeout(HEARING) {
                Ok(answer) => {
                    self.0.lock().push(reader);
                    return Ok(answer);
                }
                Err(RecvTimeoutError::Timeout) if is_enough() => return Err(told),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("a reader has panicked"),
            }
        }
    }
}

/// One that ends when nobody can give it work any more.
fn start() -> io::Result<Sender<Work>> {
    let (give, given) = mpsc::channel::<Work>();
    Builder::new().name("reader".into()).spawn(move || given.into_iter().for_each(|work| work()))?;
    Ok(give)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_has_read_reads_the_next_one_too() {
        let (readers, over) = (Readers::default(), Shutdown::new());
        let reader = || readers.unless_over(&over, || thread::current().id()).unwrap();
        let first = reader();
        assert_eq!(first, reader());
        assert_ne!(first, thread::current().id());
    }

    /// As in a folder of a network that has gone.
    #[test]
    fn nobody_waits_for_a_reader_that_hangs_when_it_is_over() {
        let (readers, over) = (Readers::default(), Shutdown::new());
        let (begun, is_begun) = mpsc::channel();
        let (_go_on, goes_on) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                readers.unless_over(&over, move || {
                    begun.send(()).unwrap();
                    goes_on.recv()
                })
            });
            is_begun.recv().unwrap();
            assert_eq!(readers.unless_over(&over, || 7), Some(7), "the others read on");
            over.request();
            assert_eq!(waiting.join().unwrap(), None);
        });
        assert_eq!(readers.0.lock().len(), 1, "nobody is given the one that hangs");
    }

    #[test]
    #[should_panic = "a reader has panicked"]
    fn a_panic_of_a_reader_goes_on() {
        Readers::default().unless_over(&Shutdown::new(), || panic!("a fault"));
    }
}
