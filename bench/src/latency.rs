//! From the renaming of a file into the idle daemon's folder to its prediction being durable.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::Home;
use crate::program::{Program, metrics};
use crate::report::{Report, quantile};
use crate::wait::wait;

/// Drops `drops` photos in, one after the other, each after the daemon has come to rest.
pub(crate) fn measure(
    home: &Home,
    photos: &Path,
    folder: &Path,
    drops: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    eprintln!("latency: {drops} photos");
    let input = folder.join("input");
    fs::create_dir_all(&input)?;
    let program = Program::start(home, folder, &["up"], &input)?;
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
        let begun = Instant::now();
        fs::rename(&part, input.join(format!("drop-{drop:05}.jpg")))?;
        wait("the prediction is durable", || (durable(folder)? > drop).then_some(()))?;
        if drop > 0 {
            seconds.push(begun.elapsed().as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    program.stop()?;
    let (median, p99) = match home {
        Home::Embedded => (Some("at most 60"), Some("at most 150")),
        Home::Kafka { .. } => (Some("at most 100"), None),
    };
    report.add("file_to_durable_median_ms", quantile(&mut seconds, 0.5) * 1e3, median);
    report.add("file_to_durable_p99_ms", quantile(&mut seconds, 0.99) * 1e3, p99);
    Ok(())
}

/// How many predictions count: those that the sink's manifest counts. It is replaced for less than a prediction, too.
fn durable(folder: &Path) -> Option<usize> {
    let logs = fs::read_dir(folder.join("output/.autorma")).ok()?;
    let manifest = logs.flatten().find_map(|log| fs::read(log.path().join("manifest.json")).ok())?;
    let manifest: Value = serde_json::from_slice(&manifest).ok()?;
    let outcomes = manifest["outcomes"].as_object()?.values();
    outcomes.map(|it| it.as_u64().and_then(|it| usize::try_from(it).ok())).sum()
}
