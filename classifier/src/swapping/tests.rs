use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use autorma_models::handmade::{hostile, means, negatives, write};
use autorma_models::registry::{FolderRegistry, Location, Move, Signed, Version};
use autorma_schemas::Micros;
use autorma_service::settings::Settings;
use autorma_stream::memory::Memory;

use super::*;
use crate::Split;
use crate::desk::Desk;
use crate::fetch::Fetcher;

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
        registry: Location::Folder(folder.join("registry")),
        workers: 1,
        ..Config::read(&mut Settings::default())
    }
}

fn metrics() -> Metrics {
    Metrics::new(&prometheus::Registry::new()).unwrap()
}

fn runtime() -> Runtime {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/onnxruntime/libonnxruntime.so");
    Runtime::load(&library).unwrap()
}

/// A model that says what is no number, of any picture.
fn senseless() -> Vec<u8> {
    let mut all = hostile().into_iter();
    all.find_map(|(what, onnx)| (what == "what is no number").then_some(onnx)).unwrap()
}

/// Changes a byte of a version's file.
fn spoil(registry: &FolderRegistry, number: u64) {
    let manifest = registry.version("means", number).unwrap().manifest;
    let file = registry.place("means", number).join(&manifest.members[0].model.file);
    let mut onnx = std::fs::read(&file).unwrap();
    onnx[20] ^= 1;
    std::fs::write(&file, onnx).unwrap();
}

/// The versions that serve in each arm at the start, and those that can't.
fn begun(config: &Config, metrics: &Metrics) -> Result<Vec<[Option<u64>; 2]>, Error> {
    let opening = Opening::of(config, &runtime(), metrics, &Shutdown::new())?.unwrap();
    assert_eq!(opening.kits.len(), 1);
    let refused = |it: &Follower| it.refused.map(|(version, _)| version);
    Ok(opening.followers.iter().map(|it| [it.number(), refused(it)]).collect())
}

#[test]
fn who_starts_while_a_version_cannot_serve_begins_with_the_former_one() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registered(folder.path(), &[means(), senseless()]);
    let (config, metrics) = (config(folder.path(), "means@production"), metrics());
    assert_eq!(begun(&config, &metrics).unwrap(), [[Some(1), Some(2)]]);
    assert_eq!(metrics.model_behind.get(), 1);

    // Each arm by itself.
    registry.point("means", "staging", 1, &signed()).unwrap();
    let shares = ["production", "staging"].map(|alias| (alias.to_owned(), 1));
    let split = Config { split: Split::new(BTreeMap::from(shares)), ..config.clone() };
    assert_eq!(begun(&split, &metrics).unwrap(), [[Some(1), Some(2)], [Some(1), None]]);
    assert_eq!(metrics.model_behind.get(), 1);

    registry.point("means", "production", 1, &signed()).unwrap();
    assert_eq!(begun(&config, &metrics).unwrap(), [[Some(1), None]]);
    assert_eq!(metrics.model_behind.get(), 0);
}

#[test]
fn who_starts_without_a_version_that_can_serve_ends_with_the_first_error() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registered(folder.path(), &[means(), negatives()]);
    let said = |model: &str| {
        let begun = begun(&config(folder.path(), model), &metrics());
        begun.map_err(|error| error.to_string())
    };
    spoil(&registry, 2);
    assert_eq!(said("means@production").unwrap(), [[Some(1), Some(2)]]);
    assert!(said("means/2").unwrap_err().contains("versions/2"), "nothing stands for a number");
    assert!(said("means@staging").unwrap_err().contains("no alias staging"));
    spoil(&registry, 1);
    assert!(said("means@production").unwrap_err().contains("versions/2"));
    // What the alias was rolled back from isn't wanted.
    let folder = tempfile::tempdir().unwrap();
    let registry = registered(folder.path(), &[means(), negatives()]);
    registry.point("means", "production", 1, &signed()).unwrap();
    spoil(&registry, 1);
    let error = begun(&config(folder.path(), "means@production"), &metrics()).unwrap_err().to_string();
    assert!(error.contains("versions/1"), "{error}");
    // Never another one.
    let folder = tempfile::tempdir().unwrap();
    registered(folder.path(), &[senseless()]);
    let error = begun(&config(folder.path(), "means@production"), &metrics()).unwrap_err();
    assert!(matches!(error, Error::Load(_)), "{error}");
}

/// A registry that says what an alias names, and may be away when it is asked for that.
#[derive(Debug)]
struct Fickle {
    home: FolderRegistry,
    is_away: AtomicBool,
}

fn away() -> RegistryError {
    RegistryError::Away { server: "http://registry".into(), cause: "nobody is there".into() }
}

impl Registry for Fickle {
    fn now(&self, name: &str, alias: &str) -> Result<Option<u64>, RegistryError> {
        self.home.now(name, alias)
    }

    fn load(&self, name: &str, number: u64) -> Result<Model, RegistryError> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(away()),
            false => self.home.load(name, number),
        }
    }

    fn register(&self, _: &Path, _: &Signed) -> Result<Version, RegistryError> {
        unreachable!()
    }

    fn numbers(&self, _: &str) -> Result<Vec<u64>, RegistryError> {
        unreachable!()
    }

    fn version(&self, _: &str, _: u64) -> Result<Version, RegistryError> {
        unreachable!()
    }

    fn names(&self) -> Result<Vec<String>, RegistryError> {
        unreachable!()
    }

    fn reference(&self, _: &str, _: u64) -> Result<Option<Model>, RegistryError> {
        unreachable!()
    }

    fn aliases(&self, _: &str) -> Result<BTreeMap<String, u64>, RegistryError> {
        unreachable!()
    }

    fn point(&self, _: &str, _: &str, _: u64, _: &Signed) -> Result<Move, RegistryError> {
        unreachable!()
    }

    fn point_from(
        &self,
        _: Option<u64>,
        _: &str,
        _: &str,
        _: u64,
        _: &Signed,
    ) -> Result<Move, RegistryError> {
        unreachable!()
    }

    fn moves(&self, _: &str, _: &str) -> Result<Vec<Move>, RegistryError> {
        unreachable!()
    }

    fn collect(&self, _: &str, _: usize) -> Result<Vec<u64>, RegistryError> {
        unreachable!()
    }
}

#[test]
fn a_version_that_the_registry_does_not_give_is_asked_for_at_the_next_look() {
    let folder = tempfile::tempdir().unwrap();
    let home = registered(folder.path(), &[means(), negatives()]);
    let serving = home.load("means", 1).unwrap();
    let fickle = Arc::new(Fickle { home, is_away: AtomicBool::new(true) });
    let reference = "means@production".parse().unwrap();
    let mut follower = Follower::new(Arc::<Fickle>::clone(&fickle), reference, Seat::Arm(0));
    follower.serving = Some((1, serving.version()));

    let (config, metrics, runtime) = (config(folder.path(), "means@production"), metrics(), runtime());
    let log = Memory::new().unwrap();
    let fetcher = Fetcher::new(&[], &[], 10, &log).unwrap();
    let (desk, rack, shutdown) = (Desk::new(1, 1, Duration::ZERO), Rack::new(1), Shutdown::new());
    let bench = Bench {
        desk: &desk,
        fetcher: &fetcher,
        rack: &rack,
        config: &config,
        metrics: &metrics,
        shutdown: &shutdown,
    };
    for _ in 0..2 {
        assert!(follower.is_behind(&runtime, &serving.manifest, &bench));
        assert_eq!(follower.number(), Some(1));
        let soon = |(_, again): (u64, Instant)| again < Instant::now() + AGAIN / 2;
        assert!(follower.refused.is_none_or(soon), "it isn't the version that is at fault");
        assert!(follower.is_silent, "that is told once, and not at each look");
    }
    fickle.is_away.store(false, Ordering::SeqCst);
    let begun = Instant::now();
    while follower.is_behind(&runtime, &serving.manifest, &bench) {
        assert!(begun.elapsed() < AGAIN / 2, "it is asked for again");
    }
    assert_eq!((follower.number(), follower.is_silent), (Some(2), false));
    assert!(rack.take(0).contains_key(&Seat::Arm(0)));
}

#[test]
fn a_number_that_was_gone_is_another_version_when_it_comes_again() {
    let (name, alias) = ("means".to_owned(), "production".to_owned());
    let version = ModelVersion { name: name.clone(), version: "1".into(), sha256: "ab".repeat(32) };
    let reference = Reference { name: name.clone(), which: Which::Alias(alias.clone()) };
    let registry = Arc::new(FolderRegistry::new("registry"));
    let mut follower = Follower::new(registry, reference, Seat::Arm(0));
    follower.serving = Some((1, version.clone()));
    for named in [Ok(1), Err(away())] {
        follower.forget_if_gone(&named);
        assert!(follower.is_serving(1), "{named:?} says nothing of another version");
    }
    follower.refused = Some((2, Instant::now()));
    follower.forget_if_gone(&Err(RegistryError::NoAlias { name, alias }));
    assert!(!follower.is_serving(1) && follower.refused.is_none());
    assert_eq!(follower.serving, Some((1, version)), "it goes on until there is another one");
}
