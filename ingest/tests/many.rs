//! A hundred thousand files in one folder. Alone in its program, since it looks at the program's memory.

mod shared;

use std::fs;
use std::time::Instant;

use shared::World;

/// The most memory that the process has had, in MiB.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// In the same run, reading known files again costs a fraction of publishing them, and both need little memory.
#[test]
fn a_hundred_thousand_files_are_read_again_cheaply() {
    const FILES: usize = 100_000;
    let world = World::on_disk();
    (0..FILES).for_each(|number| drop(world.photo(&format!("{number:06}.jpg"), &number.to_string())));
    let (before, begun) = (peak(), Instant::now());
    assert_eq!(world.batch().found.published, FILES as u64);
    let publishing = begun.elapsed();
    let begun = Instant::now();
    assert_eq!(world.batch().found.already_done, FILES as u64);
    let (again, grown) = (begun.elapsed(), peak() - before);
    println!("published in {publishing:?}, read again in {again:?}, {grown:.1} MiB for both");
    assert!(again < publishing, "{again:?} to read again, {publishing:?} to publish");
    assert!(grown < 100.0, "{grown:.1} MiB");
}
