mod fickle;
mod files;
mod following;
mod starting;

use std::path::Path;
use std::time::Instant;

use autorma_models::handmade::{means, negatives, write};
use autorma_models::registry::{FolderRegistry, Location, Registry, Signed, Source};
use autorma_schemas::Micros;
use autorma_service::settings::Settings;
use autorma_stream::embedded::Embedded;

use super::*;
use crate::desk::Desk;
use crate::fetch::Fetcher;
use crate::{Metrics, Split};
use fickle::{Fickle, Trouble, away, no_file, refused};

fn signed() -> Signed {
    Signed { at: Micros(7), by: "a test".into(), why: String::new() }
}

/// A registry of these models, each of which production has named in turn.
fn registered(folder: &Path, models: &[Vec<u8>]) -> FolderRegistry {
    let registry = FolderRegistry::new(folder.join("registry"));
    for (number, onnx) in models.iter().enumerate() {
        let model = folder.join(number.to_string());
        write(&model, "means", onnx).unwrap();
        let version = registry.register(&model, &signed()).unwrap();
        registry.point("means", "production", version.number, &signed()).unwrap();
    }
    registry
}

/// Nobody tries models in a process of their own here: they are refused when they are loaded.
fn config(folder: &Path, model: &str) -> Config {
    Config {
        model: Source::Registered(model.parse().unwrap()),
        workers: 1,
        ..Config::read(&mut Settings::default(), Location::Folder(folder.join("registry")))
    }
}

fn metrics() -> Metrics {
    Metrics::new(&prometheus::Registry::new()).unwrap()
}

/// Follows the alias `production`.
fn following(registry: &Arc<Fickle>) -> Follower {
    Follower::new(Arc::<Fickle>::clone(registry), "means@production".parse().unwrap(), Seat::Arm(0))
}

/// Of a classifier that starts and has this registry's models to make ready.
fn at_the_start(models: &[Vec<u8>], test: impl FnOnce(&Arc<Fickle>, &Workshop<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let fickle = Arc::new(Fickle::of(registered(folder.path(), models)));
    let (config, runtime, shutdown) =
        (config(folder.path(), "means@production"), Runtime::of_the_clone(), Shutdown::new());
    test(&fickle, &Workshop { config: &config, runtime: &runtime, shutdown: &shutdown, like: None });
}

/// At a bench where nobody works.
fn at_a_bench(config: &Config, metrics: &Metrics, test: impl FnOnce(&Bench<'_>)) {
    let log = Embedded::in_memory().unwrap();
    let fetcher = Fetcher::new(&[], &[], 10, &log).unwrap();
    let (desk, rack, shutdown) = (Desk::new(1, 1, Duration::ZERO), Rack::new(1), Shutdown::new());
    test(&Bench { desk: &desk, fetcher: &fetcher, rack: &rack, config, metrics, shutdown: &shutdown });
}

/// Of who serves version 1 while the registry names another one and doesn't give it.
#[track_caller]
fn is_told_of_once_and_asked_for_again_soon(follower: &Follower) {
    assert_eq!(follower.number(), Some(1));
    let soon = |(_, again): (u64, Instant)| again < Instant::now() + AGAIN / 2;
    assert!(follower.refused.is_none_or(soon), "it isn't the version that is at fault");
    assert!(follower.is_silent, "that is told once, and not at each look");
}
