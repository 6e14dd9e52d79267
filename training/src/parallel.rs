//! Work that is divided among threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::Error;

/// What `work` makes of each number below `of`, in order. Each thread works with what `begin` gives it. `report` hears how
/// many are done, first of none; when it says false, no more are begun.
///
/// # Errors
/// [`Error::Stopped`] if not all are done.
pub(crate) fn each<S, T: Send>(
    of: usize,
    threads: usize,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
    mut report: impl FnMut(usize) -> bool,
) -> Result<Vec<T>, Error> {
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(!report(0)));
    let mut all: Vec<Option<T>> = (0..of).map(|_| None).collect();
    std::thread::scope(|scope| {
        let (results, done) = mpsc::sync_channel(threads * 4);
        for _ in 0..threads.min(of) {
            let (results, next, stopped) = (results.clone(), &next, &stopped);
            let (begin, work) = (&begin, &work);
            scope.spawn(move || {
                let mut own = begin();
                while !stopped.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= of || results.send((number, work(&mut own, number))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        for (count, (number, result)) in (1..).zip(done) {
            all[number] = Some(result);
            if !report(count) {
                stopped.store(true, Ordering::Relaxed);
            }
        }
    });
    all.into_iter().collect::<Option<Vec<_>>>().ok_or(Error::Stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_done_in_order_on_any_number_of_threads() {
        for threads in [1, 3] {
            let mut heard = Vec::new();
            let all = each(
                50,
                threads,
                || 7_usize,
                |own, number| *own * number,
                |done| {
                    heard.push(done);
                    true
                },
            );
            assert_eq!(all.unwrap(), (0..50).map(|number| 7 * number).collect::<Vec<_>>());
            assert_eq!(heard, (0..=50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_stops_it_at_the_last_one_has_them_all() {
        let until = |last: usize| each(50, 2, || {}, |(), number| number, |done| done < last);
        assert_eq!(until(50).unwrap().len(), 50);
        assert!(matches!(until(20), Err(Error::Stopped)));
        assert!(matches!(until(0), Err(Error::Stopped)));
    }
}
