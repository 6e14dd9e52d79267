//! Pipeline ÷ bare loop, and memory on the way.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};

use crate::home::Home;
use crate::program::{Program, memory, metrics};
use crate::report::{Report, median};

/// Bare loop and pipeline in turn, `rounds` times.
pub(crate) fn measure(
    photos: &Path,
    folder: &Path,
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let images = std::fs::read_dir(photos)?.count() as f64;
    let (mut bare, mut pipeline, mut ratio) = (vec![], vec![], vec![]);
    let (mut growth, mut beyond) = (vec![], vec![]);
    for round in 1..=rounds {
        eprintln!("round {round}: bare loop");
        let (seconds, model) = run_bare(photos)?;
        bare.push(images / seconds);

        eprintln!("round {round}: pipeline");
        let (seconds, seen) = run_watched(photos, &folder.join(format!("round-{round}")))?;
        pipeline.push(images / seconds);
        // Round by round: the machine's own speed changes more from one to the next than within one.
        ratio.push(pipeline[round - 1] / bare[round - 1]);
        growth.push(seen.last / seen.early);
        beyond.push((seen.peak - model) / 1e6);
    }
    report.add("bare_images_per_second", median(&mut bare), None);
    report.add("pipeline_images_per_second", median(&mut pipeline), None);
    report.add("pipeline_to_bare", median(&mut ratio), Some("at least 0.95"));
    report.add("memory_last_to_200th_image", median(&mut growth), Some("at most 1.1"));
    report.add("memory_peak_beyond_model_mb", median(&mut beyond), Some("at most 250"));
    Ok(())
}

/// The bare loop: from the start of its process to its end, in seconds, and its bytes with the model loaded.
pub(crate) fn run_bare(photos: &Path) -> anyhow::Result<(f64, f64)> {
    let begun = Instant::now();
    let output = Command::new(std::env::current_exe()?).arg("bare").arg(photos).output()?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout)?;
    Ok((seconds, said.split_whitespace().next().context("no figure")?.parse()?))
}

/// Resident bytes.
struct Seen {
    /// When 200 images were durable.
    early: f64,
    /// When nearly all were.
    last: f64,
    peak: f64,
}

/// `autorma run` with these flags: from the start of the process to its end, in seconds. Nobody asks it for its metrics
/// meanwhile: on Kafka it asks the cluster for them.
pub(crate) fn run(home: &Home, photos: &Path, folder: &Path, flags: &[&str]) -> anyhow::Result<f64> {
    Ok(run_beside(home, photos, folder, flags, |_, _, _| ())?.0)
}

/// The same on the embedded log, with a look at its memory.
fn run_watched(photos: &Path, folder: &Path) -> anyhow::Result<(f64, Seen)> {
    let images = std::fs::read_dir(photos)?.count() as f64;
    run_beside(&Home::Embedded, photos, folder, &[], |id, address, over| watch(id, address, images, over))
}

/// Beside the process, which it gets the id and the address of, `beside` works until it is over.
fn run_beside<T: Send>(
    home: &Home,
    photos: &Path,
    folder: &Path,
    flags: &[&str],
    beside: impl FnOnce(u32, &str, &AtomicBool) -> T + Send,
) -> anyhow::Result<(f64, T)> {
    std::fs::create_dir_all(folder)?;
    let begun = Instant::now();
    let mut program = Program::start(home, folder, &[&["run", "--json"], flags].concat(), photos)?;
    let (id, address) = (program.child.id(), program.address.clone());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| beside(id, &address, &over));
        let status = program.child.wait();
        let seconds = begun.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        let seen = beside.join().map_err(|_| anyhow!("a panic"))?;
        let status = status?;
        ensure!(status.success(), "autorma run: {status}");
        Ok((seconds, seen))
    })
}

/// Looks at the process's memory now and then.
fn watch(id: u32, address: &str, images: f64, over: &AtomicBool) -> Seen {
    let mut seen = Seen { early: 0.0, last: 0.0, peak: 0.0 };
    while !over.load(Ordering::Relaxed) {
        if let Some(metrics) = metrics(address) {
            let durable = metrics.sum("autorma_sink_outcomes_total");
            let resident = memory(id, "VmRSS:") as f64;
            if seen.early == 0.0 && durable >= 200.0_f64.min(images / 2.0) {
                seen.early = resident;
            }
            if resident > 0.0 {
                (seen.last, seen.peak) = (resident, seen.peak.max(memory(id, "VmHWM:") as f64));
            }
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    seen
}
