//! A hundred thousand files in one folder. Alone in its program, since it looks at the program's memory.

mod shared;

use std::fs;
use std::time::{Duration, Instant};

use shared::World;

/// The most memory that the process has had, in MiB.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Publishes `files` files, each of its own content, and looks for news among them once more.
fn many(files: usize) -> (Duration, f64) {
    let world = World::on_disk();
    (0..files).for_each(|number| drop(world.photo(&format!("{number:06}.jpg"), &number.to_string())));
    let (before, begun) = (peak(), Instant::now());
    assert_eq!(world.batch().found.published, files as u64);
    println!("{files} files published in {:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(world.batch().found.already_done, files as u64);
    let (took, grown) = (begun.elapsed(), peak() - before);
    println!("{files} known files: {took:?}; {grown:.1} MiB for both");
    (took, grown)
}

#[test]
fn a_folder_is_read_again_in_no_time() {
    let (took, grown) = many(5000);
    assert!(took < Duration::from_secs(10) && grown < 50.0);
}

#[test]
#[ignore = "takes a quarter of a minute"]
fn a_hundred_thousand_files_are_read_again_in_seconds() {
    let (took, grown) = many(100_000);
    assert!(took < Duration::from_secs(10) && grown < 100.0);
}
