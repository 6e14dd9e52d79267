//! `make bench`: what autorma costs, as ratios within one run. JSON on standard output, a table on standard error.
//!
//! `cargo run --release -p autorma-bench [-- --images 2000 --rounds 5 --tiny 10000 --drops 200]` measures the embedded
//! log; with `--log kafka` (and `--events 100000` instead of `--tiny`), Kafka: see [`kafka`].

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

use anyhow::{Context, bail};

use home::Home;

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
    let mut on_kafka = false;
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
        let value = value.parse().with_context(|| format!("{name} {value}"))?;
        match name.as_str() {
            "--images" => size.images = value,
            "--rounds" => size.rounds = value,
            "--tiny" => size.tiny = value,
            "--drops" => size.drops = value,
            "--events" => size.events = value,
            other => {
                bail!(
                    "there is no {other}; there are --log, --images, --rounds, --tiny, --drops and --events"
                )
            }
        }
    }
    let folder = tempfile::tempdir_in(root().join("target"))?;
    eprintln!("making {} photos of 1200×1600", size.images);
    let photos = photos::large(folder.path(), size.images)?;
    let mut report = report::Report::default();
    if on_kafka {
        kafka::measure(&photos, folder.path(), size, &mut report)?;
        return report.print();
    }
    throughput::measure(&photos, folder.path(), size.rounds, &mut report)?;
    latency::measure(&Home::Embedded, &photos, &folder.path().join("latency"), size.drops, &mut report)?;
    swap::measure(&photos, &folder.path().join("swap"), &mut report)?;
    training::measure(&photos, &folder.path().join("training"), &mut report)?;
    shadow::measure(&photos, &folder.path().join("shadow"), size.rounds, &mut report)?;
    log::measure(&mut report)?;
    let tiny = photos::tiny(folder.path(), size.tiny)?;
    tiny::measure(&tiny, folder.path(), &mut report)?;
    report.print()
}

/// The clone.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
