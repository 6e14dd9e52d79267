//! What can't be had cheaper: read, decode and infer in a loop, with the pipeline's decoder, model and number of
//! threads, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::anyhow;
use autorma_classifier::{AT_ONCE, Decoder, Limits, Picture, Runtime, Session};
use autorma_models::Model;

use crate::{program, root};

const BATCH: usize = 10;
pub(crate) const LIMITS: Limits = Limits { bytes: 64_000_000, pixels: 50_000_000, memory: 256_000_000 };

/// Classifies the folder, and prints resident bytes with the model loaded and the largest number of them.
pub(crate) fn run(folder: &Path) -> anyhow::Result<()> {
    let mut photos: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    photos.sort();
    let model = Model::open(&root().join("models/shipped"))?;
    let runtime = Runtime::load(&root().join("target/onnxruntime/libonnxruntime.so"))?;
    let threads = std::thread::available_parallelism()?.get();
    let sessions: Vec<_> =
        (0..threads).map(|_| Session::load(&runtime, &model, AT_ONCE)).collect::<Result<_, _>>()?;
    let loaded = program::memory(std::process::id(), "VmRSS:");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let workers: Vec<_> = sessions
            .into_iter()
            .map(|session| scope.spawn(|| work(session, &model, &photos, &next)))
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a panic"))?)
    })?;
    println!("{} {}", loaded, program::memory(std::process::id(), "VmHWM:"));
    Ok(())
}

fn work(mut session: Session, model: &Model, photos: &[PathBuf], next: &AtomicUsize) -> anyhow::Result<()> {
    let input = &model.manifest.input;
    let mut decoder = Decoder::new(input.width, input.height, LIMITS);
    loop {
        let from = next.fetch_add(BATCH, Ordering::Relaxed).min(photos.len());
        let batch = &photos[from..(from + BATCH).min(photos.len())];
        if batch.is_empty() {
            return Ok(());
        }
        let pictures: Vec<Picture> = batch
            .iter()
            .map(|photo| Ok(decoder.decode(&fs::read(photo)?)?))
            .collect::<anyhow::Result<_>>()?;
        let logits = session.infer(&pictures.iter().collect::<Vec<_>>()).map_err(|error| anyhow!(error))?;
        for logits in logits {
            std::hint::black_box(model.manifest.decide(&logits)?);
        }
    }
}
