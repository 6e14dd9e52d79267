//! `make bench`: what autorma costs, as ratios within one run. JSON on standard output, a table on standard error.
//!
//! `cargo run --release -p autorma-bench [-- --images 2000 --rounds 5 --tiny 10000 --drops 200]` measures the embedded
//! log, or some of it with `--only swap,shadow`; with `--log kafka` (and `--events 100000` instead of `--tiny`), Kafka: see [`kafka`].

mod bare;
mod home;
mod kafka;
mod latency;
mod log;
mod photos;
mod program;
mod report;
mod shadow;
mod swap;
mod throughput;
mod tiny;
mod training;
mod wait;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use home::Home;

/// What is measured on the embedded log, and in which order.
const PARTS: [&str; 7] = ["throughput", "latency", "swap", "training", "shadow", "log", "tiny"];

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Size {
    images: usize,
    rounds: usize,
    tiny: usize,
    drops: usize,
    events: usize,
}

fn main() -> anyhow::Result<()> {
    let mut size = Size { images: 2000, rounds: 5, tiny: 10_000, drops: 200, events: 100_000 };
    let (mut on_kafka, mut parts) = (false, PARTS.to_vec());
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    // The bare loop is a process of its own, as the pipeline is.
    if let [mode, folder] = arguments.as_slice()
        && mode == "bare"
    {
        return bare::run(Path::new(folder));
    }
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { bail!("{} needs a value", pair[0]) };
        if name == "--log" {
            on_kafka = match value.as_str() {
                "embedded" => false,
                "kafka" => true,
                other => bail!("there is no log {other}; there are embedded and kafka"),
            };
            continue;
        }
        if name == "--only" {
            parts = value.split(',').collect();
            let unknown = parts.iter().find(|part| !PARTS.contains(part));
            ensure!(unknown.is_none(), "there is no {value}; there are {}", PARTS.join(", "));
            continue;
        }
        let value = value.parse().with_context(|| format!("{name} {value}"))?;
        match name.as_str() {
            "--images" => size.images = value,
            "--rounds" => size.rounds = value,
            "--tiny" => size.tiny = value,
            "--drops" => size.drops = value,
            "--events" => size.events = value,
            other => {
                bail!(
                    "there is no {other}; there are --log, --only, --images, --rounds, --tiny, --drops and --events"
                )
            }
        }
    }
    ensure!(!on_kafka || parts == PARTS, "--only is for the embedded log");
    let folder = tempfile::tempdir_in(root().join("target"))?;
    eprintln!("making {} photos of 1200×1600", size.images);
    let photos = photos::large(folder.path(), size.images)?;
    let mut report = report::Report::default();
    if on_kafka {
        kafka::measure(&photos, folder.path(), size, &mut report)?;
        return report.print();
    }
    for part in parts {
        let own = folder.path().join(part);
        match part {
            "throughput" => throughput::measure(&photos, &own, size.rounds, &mut report)?,
            "latency" => latency::measure(&Home::Embedded, &photos, &own, size.drops, &mut report)?,
            "swap" => swap::measure(&photos, &own, &mut report)?,
            "training" => training::measure(&photos, &own, &mut report)?,
            "shadow" => shadow::measure(&photos, &own, size.rounds, &mut report)?,
            "log" => log::measure(&mut report)?,
            _ => {
                let tiny = photos::tiny(folder.path(), size.tiny)?;
                tiny::measure(&tiny, folder.path(), &mut report)?;
            }
        }
    }
    report.print()
}

/// The clone.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
