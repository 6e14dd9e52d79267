//! Work that is divided among threads.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// So many results may wait to be taken.
const WAITING: usize = 16;

/// Hands what `work` makes of each number below `of` to `take`, as it comes, on the caller's thread. Each of `owned` is a
/// thread's, for its work. When `take` says false, no more are begun. Returns how many were taken.
///
/// # Errors
/// That of `take`, after which no more are begun.
///
/// # Panics
/// If `work` does, once the other threads are through.
pub fn hand_over<S: Send, T: Send, E>(
    of: usize,
    owned: impl IntoIterator<Item = S>,
    work: impl Fn(&mut S, usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<bool, E>,
) -> Result<usize, E> {
    let (next, stopped, mut taken) = (AtomicUsize::new(0), AtomicBool::new(false), 0);
    std::thread::scope(|scope| {
        // None waits there for long: who takes them is quicker than who makes them.
        let (results, done) = mpsc::sync_channel(WAITING);
        for mut own in owned.into_iter().take(of) {
            let (results, next, stopped, work) = (results.clone(), &next, &stopped, &work);
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= of || results.send((number, work(&mut own, number))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        for (number, result) in done {
            taken += 1;
            if !take(number, result)? {
                stopped.store(true, Ordering::Relaxed);
            }
        }
        Ok(taken)
    })
}

/// What `work` makes of each number below `of`, in order. Each of `owned` is a thread's, for its work. `report` hears, on the
/// caller's thread, how many are done, first of none; when it says false, no more are begun. None if not all are done.
///
/// # Panics
/// If `work` does, once the other threads are through.
pub fn each<S: Send, T: Send>(
    of: usize,
    owned: impl IntoIterator<Item = S>,
    work: impl Fn(&mut S, usize) -> T + Sync,
    mut report: impl FnMut(usize) -> bool,
) -> Option<Vec<T>> {
    let mut all: Vec<Option<T>> = (0..of).map(|_| None).collect();
    if report(0) {
        let mut done = 0;
        let take = |number: usize, result| {
            all[number] = Some(result);
            done += 1;
            Ok::<_, Infallible>(report(done))
        };
        let Ok(_) = hand_over(of, owned, work, take);
    }
    all.into_iter().collect()
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
                vec![7_usize; threads],
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
        let until = |last: usize| each(50, [(); 2], |(), number| number, |done| done < last);
        assert_eq!(until(50).unwrap().len(), 50);
        assert!(until(20).is_none() && until(0).is_none());
    }

    #[test]
    fn after_an_error_no_more_are_begun() {
        let begun = AtomicUsize::new(0);
        let work = |(): &mut (), _| begun.fetch_add(1, Ordering::Relaxed);
        assert_eq!(hand_over(1_000_000, [(); 2], work, |_, _| Err("broken")), Err("broken"));
        assert!(begun.into_inner() < 1_000_000);
    }
}
