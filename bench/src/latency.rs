//! From the renaming of a file into the idle daemon's folder to its prediction being durable.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};

use crate::program::{Program, metrics};
use crate::report::{Report, quantile};

/// Drops `drops` photos in, one after the other, each after the daemon has come to rest.
pub(crate) fn measure(photos: &Path, folder: &Path, drops: usize, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("latency: {drops} photos");
    let folder = folder.join("latency");
    let input = folder.join("input");
    fs::create_dir_all(&input)?;
    let mut program = Program::start(&folder, &["up"], &input)?;
    wait("the daemon is ready", || metrics(&program.address))?;
    let mut seconds = Vec::new();
    let available: Vec<PathBuf> = fs::read_dir(photos)?
        .take(100)
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    // The first one opens the run and the output's folders.
    for drop in 0..=drops {
        let part = folder.join("part");
        fs::copy(&available[drop % available.len()], &part)?;
        let before = stamp(&folder);
        let begun = Instant::now();
        fs::rename(&part, input.join(format!("drop-{drop:05}.jpg")))?;
        wait("the prediction is durable", || (stamp(&folder) != before).then_some(()))?;
        if drop > 0 {
            seconds.push(begun.elapsed().as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    Command::new("kill").arg(program.child.id().to_string()).status()?;
    ensure!(program.child.wait()?.success(), "the daemon failed");
    report.add("file_to_durable_median_ms", quantile(&mut seconds, 0.5) * 1e3, Some("at most 60"));
    report.add("file_to_durable_p99_ms", quantile(&mut seconds, 0.99) * 1e3, Some("at most 150"));
    Ok(())
}

/// When the sink's manifest was replaced, which is when its parts count: inode and time.
fn stamp(folder: &Path) -> Option<(u64, SystemTime)> {
    use std::os::unix::fs::MetadataExt;
    let logs = fs::read_dir(folder.join("output/.autorma")).ok()?;
    let manifest = logs.flatten().map(|log| log.path().join("manifest.json")).find(|path| path.exists())?;
    let metadata = fs::metadata(manifest).ok()?;
    Some((metadata.ino(), metadata.modified().ok()?))
}

fn wait<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        if let Some(value) = condition() {
            return Ok(value);
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    None.with_context(|| format!("waited in vain: {what}"))
}
