use super::*;
use proptest::prelude::*;

const SETTLE: Duration = Duration::from_secs(2);
/// The wall clock at the beginning of each test.
const START: i64 = 1_795_000_000_000_000;

struct Test {
    settling: Settling,
    start: Instant,
    path: &'static Path,
}

impl Test {
    fn new() -> Self {
        Self { settling: Settling::new(SETTLE, 3), start: Instant::now(), path: Path::new("/in/a.jpg") }
    }

    fn at(&self, ms: u64) -> Moment {
        Moment { at: self.start + Duration::from_millis(ms), wall: Micros(START + ms as i64 * 1000) }
    }

    fn see(&mut self, ms: u64, sight: Sight, version: Version) -> Verdict {
        let now = self.at(ms);
        self.settling.see(self.path, version, sight, now)
    }

    fn due_in(&self, ms: u64) -> u128 {
        (self.settling.next_due().unwrap() - self.at(ms).at).as_millis()
    }
}

/// A file of `size` bytes, modified at `ms`.
fn file(size: u64, ms: i64) -> Version {
    Version { size, modified_ns: (START + ms * 1000) * 1000 }
}

#[test]
fn an_old_file_is_taken_at_once_and_a_young_one_when_it_has_stayed_as_it_is() {
    let mut test = Test::new();
    assert_eq!(test.see(0, Sight::Scanned, file(9, -30_000)), Verdict::Take(Micros(START)));
    assert_eq!(test.see(0, Sight::Scanned, file(9, -29_999)), Verdict::Wait);
    assert_eq!(test.due_in(0), 2000);
    assert_eq!(test.see(1999, Sight::Scanned, file(9, -20_000)), Verdict::Wait, "another version");
    let last = file(9, -15_000);
    assert_eq!(test.see(3998, Sight::Scanned, last), Verdict::Wait, "and another");
    assert_eq!(test.see(5997, Sight::Scanned, last), Verdict::Wait);
    assert_eq!(test.see(5998, Sight::Scanned, last), Verdict::Take(Micros(START + 3_998_000)));
    assert_eq!(test.settling.len(), 0);
}

#[test]
fn young_files_of_one_look_settle_together() {
    let mut test = Test::new();
    let now = test.at(0);
    for path in ["/in/a.jpg", "/in/b.jpg", "/in/c.jpg"] {
        let verdict = test.settling.see(Path::new(path), file(9, -5000), Sight::Scanned, now);
        assert_eq!(verdict, Verdict::Wait);
    }
    let dues: Vec<_> = test.settling.due.iter().map(|(due, _)| *due - now.at).collect();
    assert_eq!(dues, [SETTLE; 3]);
}

#[test]
fn a_copy_by_a_server_whose_clock_is_behind_is_not_taken_for_an_old_file() {
    let mut test = Test::new();
    // It grows once a second, and the server's clock is twenty seconds behind.
    for second in 0..10 {
        let version = file(second + 1, second as i64 * 1000 - 20_000);
        assert_eq!(test.see(second * 1000, Sight::Scanned, version), Verdict::Wait);
    }
    let last = file(10, 9000 - 20_000);
    assert_eq!(test.see(11_000, Sight::Scanned, last), Verdict::Take(Micros(START + 9_000_000)));
}

#[test]
fn a_time_in_the_future_counts_by_watching_only() {
    let mut test = Test::new();
    let tomorrow = file(9, 86_400_000);
    assert_eq!(test.see(0, Sight::Scanned, tomorrow), Verdict::Wait);
    assert_eq!(test.see(1999, Sight::Scanned, tomorrow), Verdict::Wait);
    assert_eq!(test.see(2000, Sight::Scanned, tomorrow), Verdict::Take(Micros(START)));
}

#[test]
fn a_file_that_grows_waits_from_its_last_change_on() {
    let mut test = Test::new();
    assert_eq!(test.see(0, Sight::Scanned, file(9, 0)), Verdict::Wait);
    assert_eq!(test.see(2000, Sight::Scanned, file(10, 1900)), Verdict::Wait);
    assert_eq!(test.due_in(2000), 2000);
    assert_eq!(test.see(4000, Sight::Scanned, file(10, 1900)), Verdict::Take(Micros(START + 2_000_000)));
}

#[test]
fn what_is_being_written_waits_for_its_close_and_no_scan_changes_that() {
    let mut test = Test::new();
    assert_eq!(test.see(0, Sight::Writing, file(9, 0)), Verdict::Wait);
    assert_eq!(test.see(20_000, Sight::Scanned, file(9, 0)), Verdict::Wait, "stalled, not ended");
    assert_eq!(test.see(25_000, Sight::Writing, file(18, 25_000)), Verdict::Wait);
    let taken = test.see(26_000, Sight::Complete, file(18, 25_000));
    assert_eq!(taken, Verdict::Take(Micros(START + 25_000_000)));
    assert_eq!(test.settling.next_due(), None);
}

#[test]
fn a_copy_whose_end_was_missed_is_taken_in_the_end() {
    let mut test = Test::new();
    assert_eq!(test.see(0, Sight::Writing, file(9, 0)), Verdict::Wait);
    assert_eq!(test.due_in(0), 30_000);
    assert_eq!(test.see(30_000, Sight::Scanned, file(9, 0)), Verdict::Take(Micros(START)));
}

#[test]
fn an_empty_file_has_only_reserved_its_name() {
    let mut test = Test::new();
    assert_eq!(test.see(0, Sight::Writing, file(0, 0)), Verdict::Wait);
    assert_eq!(test.see(1, Sight::Complete, file(0, 0)), Verdict::Wait);
    assert_eq!(test.due_in(1), 30_000);
    assert_eq!(test.see(29_999, Sight::Scanned, file(0, 0)), Verdict::Wait);
    assert_eq!(test.see(30_001, Sight::Scanned, file(0, 0)), Verdict::Take(Micros(START)));
    // By the clock of whatever holds the file it is never old, and in the end it is taken all the same.
    let tomorrow = file(0, 86_400_000);
    assert_eq!(test.see(40_000, Sight::Scanned, tomorrow), Verdict::Wait);
    assert_eq!(test.see(69_999, Sight::Scanned, tomorrow), Verdict::Wait);
    assert_eq!(test.see(70_000, Sight::Scanned, tomorrow), Verdict::Take(Micros(START + 40_000_000)));
}

#[test]
fn the_content_that_follows_a_reserved_name_is_taken_when_it_is_closed() {
    let mut test = Test::new();
    assert_eq!(test.see(0, Sight::Complete, file(0, 0)), Verdict::Wait);
    assert_eq!(test.see(10_000, Sight::Writing, file(9, 10_000)), Verdict::Wait);
    let taken = test.see(10_001, Sight::Complete, file(9, 10_000));
    assert_eq!(taken, Verdict::Take(Micros(START + 10_000_000)));
}

#[test]
fn a_batch_waits_no_longer_for_an_empty_file_than_for_others() {
    let mut test = Test::new();
    test.settling = Settling::new(SETTLE, 3).in_passing();
    assert_eq!(test.see(0, Sight::Scanned, file(0, 0)), Verdict::Wait);
    assert_eq!(test.due_in(0), 2000);
    assert_eq!(test.see(2000, Sight::Scanned, file(0, 0)), Verdict::Take(Micros(START)));
}

#[test]
fn a_file_that_changed_while_it_was_read_settles_again() {
    let mut test = Test::new();
    let now = test.at(0);
    test.settling.changed(test.path, file(9, 86_400_000), now);
    assert_eq!(test.settling.due(test.at(1999).at), None);
    assert_eq!(test.settling.due(test.at(2000).at).as_deref(), Some(test.path));
}

#[test]
fn memory_is_bounded() {
    let mut test = Test::new();
    for number in 0..3 {
        let path = format!("/in/{number}.jpg");
        let now = test.at(0);
        assert_eq!(test.settling.see(Path::new(&path), file(9, 0), Sight::Scanned, now), Verdict::Wait);
    }
    assert_eq!(test.see(0, Sight::Writing, file(9, 0)), Verdict::Forgotten);
    assert_eq!(test.see(1, Sight::Complete, file(9, 0)), Verdict::Take(Micros(START + 1000)));
    assert_eq!((test.settling.len(), test.settling.due.len()), (3, 3));
}

fn sights() -> impl Strategy<Value = (u64, Sight, bool)> {
    let sight = prop_oneof![4 => Just(Sight::Scanned), 2 => Just(Sight::Writing), 1 => Just(Sight::Complete)];
    (0_u64..8000, sight, any::<bool>())
}

proptest! {
    /// Whatever comes in whatever order: what is taken was closed, or nothing has happened to it for long
    /// enough; and the file's place among those due agrees with whether it is pending.
    #[test]
    fn nothing_is_taken_before_it_is_complete(steps in proptest::collection::vec(sights(), 1..40), skew in -40_000_i64..5000) {
        let mut test = Test::new();
        let (mut now, mut size, mut changed, mut mtime, mut written) = (0, 1, 0, skew, None::<u64>);
        let mut first = true;
        for (pause, sight, changes) in steps {
            now += pause;
            if changes || first || sight == Sight::Writing {
                (size, changed, mtime) = (size + 1, now, now as i64 + skew);
            }
            first = false;
            let verdict = test.see(now, sight, file(size, mtime));
            match sight {
                Sight::Complete => prop_assert!(matches!(verdict, Verdict::Take(_))),
                Sight::Writing => prop_assert_eq!(verdict, Verdict::Wait),
                Sight::Scanned => {
                    if matches!(verdict, Verdict::Take(_)) {
                        let still = now - changed;
                        let old = now as i64 - mtime;
                        match written {
                            Some(_) => prop_assert!(still >= 30_000),
                            None => prop_assert!(still >= 2000 || old >= 30_000),
                        }
                    }
                }
            }
            written = match (sight, verdict) {
                (_, Verdict::Take(_)) => None,
                (Sight::Writing, _) => Some(now),
                _ => written,
            };
            let pending = matches!(verdict, Verdict::Wait);
            prop_assert_eq!(test.settling.len(), usize::from(pending));
            prop_assert_eq!(test.settling.due.len(), usize::from(pending));
            prop_assert!(test.settling.due(test.at(now).at).is_none(), "due again only later");
        }
    }

    /// A file that nothing happens to any more is taken, by looking when it is due.
    #[test]
    fn everything_is_taken_in_the_end(steps in proptest::collection::vec(sights(), 1..20), skew in -5000_i64..90_000_000) {
        let mut test = Test::new();
        let (mut now, mut mtime) = (0, 0);
        for (number, (pause, sight, _)) in steps.into_iter().enumerate() {
            now += pause;
            mtime = now as i64 + skew;
            test.see(now, sight, file(number as u64 + 1, mtime));
        }
        let (size, mut looks) = (1000, 0);
        test.see(now, Sight::Scanned, file(size, mtime));
        while let Some(due) = test.settling.next_due() {
            now = (due - test.start).as_millis() as u64 + 1;
            prop_assert!(test.settling.due(test.at(now).at).is_some());
            test.see(now, Sight::Scanned, file(size, mtime));
            looks += 1;
            prop_assert!(looks < 5);
        }
    }
}
