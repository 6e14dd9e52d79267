//! Tiny images: what everything around decoding and inference costs.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::home::Home;
use crate::program::{Program, processor_seconds_of_children};
use crate::report::Report;

/// Images a second, and the share of the pipeline's processor time that isn't the bare loop's.
pub(crate) fn measure(photos: &Path, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let images = std::fs::read_dir(photos)?.count() as f64;
    eprintln!("{images} tiny images");
    let before = processor_seconds_of_children()?;
    let bare = Command::new(std::env::current_exe()?).arg("bare").arg(photos).output()?;
    ensure!(bare.status.success(), "{}", String::from_utf8_lossy(&bare.stderr));
    let bare = processor_seconds_of_children()? - before;

    let folder = folder.join("tiny-run");
    std::fs::create_dir(&folder)?;
    let (before, begun) = (processor_seconds_of_children()?, Instant::now());
    let mut program = Program::start(&Home::Embedded, &folder, &["run", "--json"], photos)?;
    let status = loop {
        match program.child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(status.success(), "autorma run: {status}");
    let pipeline = processor_seconds_of_children()? - before;
    report.add("tiny_images_per_second", images / seconds, None);
    report.add("tiny_bare_processor_seconds", bare, None);
    report.add("tiny_pipeline_processor_seconds", pipeline, None);
    report.add("tiny_share_outside_decode_and_inference", 1.0 - bare / pipeline, None);
    Ok(())
}
