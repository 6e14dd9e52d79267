//! Tiny images: what everything around decoding and inference costs.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::program::Program;
use crate::report::Report;

/// Images a second, and the share of processor time outside decode and inference.
pub(crate) fn measure(photos: &Path, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let images = std::fs::read_dir(photos)?.count() as f64;
    eprintln!("{images} tiny images");
    let folder = folder.join("tiny-run");
    std::fs::create_dir(&folder)?;
    let begun = Instant::now();
    let mut program = Program::start(&folder, &["run", "--json"], photos)?;
    let mut last = None;
    let status = loop {
        if let Some(status) = program.child.try_wait()? {
            break status;
        }
        last = program.metrics().or(last);
        std::thread::sleep(Duration::from_millis(50));
    };
    ensure!(status.success(), "autorma run: {status}");
    let seconds = begun.elapsed().as_secs_f64();
    let metrics = last.context("no metrics")?;
    let computing = ["autorma_classifier_decode_seconds_sum", "autorma_classifier_infer_seconds_sum"]
        .map(|name| metrics.sum(name));
    // Threads wait for a processor inside these times too, so they may add up to more than was used.
    let processors = std::thread::available_parallelism()?.get() as f64;
    let used = metrics.sum("process_cpu_seconds_total").min(seconds * processors);
    report.add("tiny_images_per_second", images / seconds, None);
    report.add("tiny_decode_seconds", computing[0], None);
    report.add("tiny_infer_seconds", computing[1], None);
    report.add("tiny_processor_seconds", used, None);
    report.add("tiny_share_outside_decode_and_inference", 1.0 - (computing[0] + computing[1]) / used, None);
    Ok(())
}
