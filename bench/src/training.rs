//! Training, against the forward passes that it can't do without; and INT8 against the floats that it was quantized from:
//! how much faster, and what it costs.

use std::fs;
use std::path::Path;
use std::time::Instant;

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
/// both of its files.
pub(crate) fn measure(photos: &Path, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("training a model");
    fs::create_dir_all(folder)?;
    let begun = Instant::now();
    train(folder)?;
    let trained = begun.elapsed().as_secs_f64();
    let metrics: Value = serde_json::from_slice(&fs::read(folder.join("training/metrics.json"))?)?;
    let [quantized, floats] = passes(photos, &folder.join("training/model"))?;
    report.add("training_without_variations_seconds", trained, None);
    let least = learned_from(&metrics) * median(&mut floats.clone());
    report.add("training_without_variations_to_one_forward_pass_a_photo", trained / least, None);
    let mut ratios: Vec<_> = floats.iter().zip(&quantized).map(|(slow, fast)| slow / fast).collect();
    report.add("int8_to_fp32_throughput", median(&mut ratios), Some("at least 2.2"));
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

/// How many photos the training looked at.
fn learned_from(metrics: &Value) -> f64 {
    let parts = metrics["photos"].as_object().into_iter().flat_map(|parts| parts.values());
    let kinds = parts.filter_map(Value::as_object).flat_map(|kinds| kinds.values());
    kinds.filter_map(Value::as_f64).sum()
}

/// Seconds that a picture takes through the model as it ships and through its reference, round by round. What is timed is
/// what differs: decoding is the same for both.
fn passes(photos: &Path, model: &Path) -> anyhow::Result<[Vec<f64>; 2]> {
    let models = [Model::open(model)?, Model::open_reference(model)?.context("the model isn't quantized")?];
    let pictures = decoded(photos, &models[0])?;
    let runtime = Runtime::load(&root().join("target/onnxruntime/libonnxruntime.so"))?;
    let threads = std::thread::available_parallelism()?.get();
    let mut sessions = Vec::new();
    for model in &models {
        let load = |_| Ok(Session::load(&runtime, model, AT_ONCE)?);
        sessions.push((0..threads).map(load).collect::<anyhow::Result<Vec<_>>>()?);
    }
    let mut passes = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (sessions, passes) in sessions.iter_mut().zip(&mut passes) {
            passes.push(seconds(sessions, &pictures)? / pictures.len() as f64);
        }
    }
    Ok(passes)
}

fn train(folder: &Path) -> anyhow::Result<()> {
    fs::write(folder.join("train.toml"), "copies = 0\n")?;
    let backbone = root().join("target/backbone/efficientnet-lite.onnx");
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
    let begun = Instant::now();
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
