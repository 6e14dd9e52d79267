//! What one call of the model costs by the number of pictures in it: milliseconds an image and thread, and memory.
//!
//! `cargo run --release -p autorma-classifier --example at_once -- 10`

use std::path::Path;
use std::time::Instant;

use autorma_classifier::{Picture, Runtime, Session};
use autorma_models::Model;

const IMAGES: usize = 400;

fn main() {
    let argument = std::env::args().nth(1).expect("how many pictures at once?");
    let at_once: usize = argument.parse().expect("a number of pictures");
    let model = Model::open(Path::new("models/shipped")).expect("models/shipped");
    let runtime = Runtime::load(Path::new("target/onnxruntime/libonnxruntime.so")).expect("`make runtime`");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let load = || Session::load(&runtime, &model, at_once).expect("the shipped model");
    let pixels = model.manifest.input.width as usize * model.manifest.input.height as usize;
    let sessions: Vec<_> = (0..threads).map(|_| load()).collect();
    let loaded = megabytes("VmRSS:");
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for session in sessions {
            scope.spawn(move || work(session, pixels));
        }
    });
    let milliseconds = begun.elapsed().as_secs_f64() * 1e3 / IMAGES as f64;
    let beyond = megabytes("VmHWM:") - loaded;
    println!(
        "{at_once} at once, {threads} threads: {milliseconds:.2} ms an image, {beyond} MB beyond the model"
    );
}

fn work(mut session: Session, pixels: usize) {
    let pictures: Vec<_> = (0..10)
        .map(|number| Picture((0..pixels * 3).map(|place| (place * 7 + number) as u8).collect()))
        .collect();
    for _ in 0..IMAGES / pictures.len() {
        session.infer(&pictures.iter().collect::<Vec<_>>()).expect("logits");
    }
}

fn megabytes(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(what)).expect("a known name");
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) / 1024
}
