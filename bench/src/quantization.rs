//! INT8 against the floats that it was quantized from: how much faster, and what it costs.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use autorma_classifier::{AT_ONCE, Decoder, Picture, Runtime, Session};
use autorma_models::Model;
use serde_json::Value;

use crate::bare::LIMITS;
use crate::home::Home;
use crate::program::command;
use crate::report::{Report, median};
use crate::root;

/// Photos that go through a model in a round.
const PHOTOS: usize = 100;
/// Rounds, in each of which both have their turn.
const ROUNDS: usize = 7;

/// Trains a model on the shared photos without variations, which says as much of arithmetic as one with them, and runs
/// both of its files. What is timed is what differs, the model: decoding is the same for both.
pub(crate) fn measure(photos: &Path, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("quantization: training a model");
    fs::create_dir_all(folder)?;
    train(folder)?;
    let model = folder.join("training/model");
    let quantized = Model::open(&model)?;
    let floats = Model::open_reference(&model)?.context("the model isn't quantized")?;
    let pictures = decoded(photos, &quantized)?;
    let runtime = Runtime::load(&root().join("target/onnxruntime/libonnxruntime.so"))?;
    let threads = std::thread::available_parallelism()?.get();
    let sessions = |model| -> anyhow::Result<Vec<_>> {
        (0..threads).map(|_| Ok(Session::load(&runtime, model, AT_ONCE)?)).collect()
    };
    let (mut quantized, mut floats) = (sessions(&quantized)?, sessions(&floats)?);
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let slow = seconds(&mut floats, &pictures)?;
        ratios.push(slow / seconds(&mut quantized, &pictures)?);
    }
    report.add("int8_to_fp32_throughput", median(&mut ratios), Some("at least 2.2"));
    let metrics: Value = serde_json::from_slice(&fs::read(folder.join("training/metrics.json"))?)?;
    for (name, place, goal) in [
        ("int8_points_below_fp32_test", "/test/accuracy/share", Some("at most 0.3")),
        ("int8_points_below_fp32_held_out", "/held_out/0/accuracy/share", None),
    ] {
        let share = |place: &str| metrics.pointer(place).and_then(Value::as_f64).context("no accuracy");
        let lost = share(&format!("/in_floats{place}"))? - share(place)?;
        report.add(name, lost * 100.0, goal);
    }
    Ok(())
}

fn train(folder: &Path) -> anyhow::Result<()> {
    fs::write(folder.join("train.toml"), "copies = 0\n")?;
    let backbone = root().join("target/backbone/efficientnet-lite0.onnx");
    let backbone = backbone.canonicalize().context("`make backbone` makes it")?.display().to_string();
    let data = root().join("../shared/data").canonicalize()?;
    let [studio, home, other, scenes] =
        ["fashion", "home", "other", "backgrounds"].map(|name| data.join(name).display().to_string());
    let arguments = [
        "train",
        "--data",
        &studio,
        "--data",
        &home,
        "--other",
        &other,
        "--backgrounds",
        &scenes,
        "--config",
        "train.toml",
        "--backbone",
        &backbone,
        "--output",
        "training",
    ];
    let status = command(&Home::Embedded, folder, &arguments)?.status()?;
    // 2: some photo can't be read.
    ensure!(matches!(status.code(), Some(0 | 2)), "autorma train failed");
    Ok(())
}

fn decoded(photos: &Path, model: &Model) -> anyhow::Result<Vec<Picture>> {
    let input = &model.manifest.input;
    let mut decoder = Decoder::new(input.width, input.height, LIMITS);
    let photos = fs::read_dir(photos)?.take(PHOTOS);
    photos.map(|photo| Ok(decoder.decode(&fs::read(photo?.path())?)?)).collect()
}

/// How long all sessions together take for the pictures.
fn seconds(sessions: &mut [Session], pictures: &[Picture]) -> anyhow::Result<f64> {
    let begun = std::time::Instant::now();
    let share = pictures.len().div_ceil(sessions.len());
    std::thread::scope(|scope| {
        let infer = |(session, pictures): (&mut Session, &[Picture])| {
            session.infer(&pictures.iter().collect::<Vec<_>>()).map(drop)
        };
        let parts = sessions.iter_mut().zip(pictures.chunks(share));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || infer(part))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow!("a panic"))?.map_err(|error| anyhow!(error))
        })
    })?;
    Ok(begun.elapsed().as_secs_f64())
}
