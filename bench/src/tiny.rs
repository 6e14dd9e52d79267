//! Tiny images: what everything around decoding and inference costs.

use std::path::Path;

use crate::home::Home;
use crate::program::processor_seconds_of_children;
use crate::report::Report;
use crate::throughput::{run, run_bare};

/// Images a second, and the share of the pipeline's processor time that isn't the bare loop's.
pub(crate) fn measure(photos: &Path, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let images = std::fs::read_dir(photos)?.count() as f64;
    eprintln!("{images} tiny images");
    let before = processor_seconds_of_children()?;
    run_bare(photos)?;
    let bare = processor_seconds_of_children()? - before;

    let before = processor_seconds_of_children()?;
    let seconds = run(&Home::Embedded, photos, &folder.join("tiny-run"), &[])?;
    let pipeline = processor_seconds_of_children()? - before;
    report.add("tiny_images_per_second", images / seconds, None);
    report.add("tiny_bare_processor_seconds", bare, None);
    report.add("tiny_pipeline_processor_seconds", pipeline, None);
    report.add("tiny_share_outside_decode_and_inference", 1.0 - bare / pipeline, None);
    Ok(())
}
