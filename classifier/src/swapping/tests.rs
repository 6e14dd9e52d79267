use std::path::Path;
use std::process::Command;
use std::time::Instant;

use autorma_models::MANIFEST;
use autorma_models::handmade::{hostile, means, negatives, write};
use autorma_models::registry::{
    Aliases, FolderRegistry, Location, May, Move, Reference, Registry, RegistryError, Signed, Source,
    Version, Which,
};
use autorma_schemas::Micros;
use autorma_service::settings::Settings;
use autorma_stream::embedded::Embedded;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::opening::first;
use super::*;
use crate::desk::Desk;
use crate::fetch::Fetcher;
use crate::{Metrics, Split, Trial};

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
fn who_starts_while_an_arm_is_unlike_begins_with_its_former_version() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registered(folder.path(), &[means()]);
    let large = folder.path().join("large");
    write(&large, "means", &means()).unwrap();
    let mut manifest = Model::manifest(&large).unwrap();
    manifest.input.width *= 2;
    std::fs::write(large.join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
    registry.register(&large, &signed()).unwrap();
    for (alias, number) in [("canary", 1), ("canary", 2), ("next", 2)] {
        registry.point("means", alias, number, &signed()).unwrap();
    }
    let metrics = metrics();
    // Whatever is first by its name, all go by what classifier.model names.
    let beside = |alias: &str| {
        let shares = ["production", alias].map(|alias| (alias.to_owned(), 1));
        let config = config(folder.path(), "means@production");
        begun(&Config { split: Split::new(BTreeMap::from(shares)), ..config }, &metrics)
    };
    assert_eq!(beside("canary").unwrap(), [[Some(1), None], [Some(1), Some(2)]]);
    assert_eq!(metrics.model_behind.get(), 1);
    let error = beside("next").unwrap_err().to_string();
    let expected = "means@next, an arm of model.split, takes pictures of another size than means@production";
    assert_eq!(error, expected);
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

#[test]
fn nobody_waits_for_a_version_that_is_loaded_when_the_process_is_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let model = registered(folder.path(), &[means()]).load("means", 1).unwrap();
    let (runtime, shutdown) = (runtime(), Shutdown::new());
    let load = || Session::of_tried(&runtime, &model, AT_ONCE, Some(&shutdown)).map(drop);
    load().unwrap();
    shutdown.request();
    assert!(load().is_err());
}

type Trouble = fn() -> RegistryError;

/// A registry that may have trouble with saying what an alias names, and with giving its second version.
#[derive(Debug)]
struct Fickle {
    home: FolderRegistry,
    /// It says nothing while somebody holds this.
    saying: Mutex<Option<Trouble>>,
    giving: Mutex<Option<Trouble>>,
    /// Where somebody moves the alias while the version of this number is given.
    moves_to: Mutex<BTreeMap<u64, u64>>,
    /// Whether it never says anything any more once it has given a version.
    falls_silent: Mutex<bool>,
    /// The version that is remembered.
    remembers: Mutex<u64>,
}

impl Fickle {
    fn of(home: FolderRegistry) -> Self {
        let (saying, giving, moves_to) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { home, saying, giving, moves_to, falls_silent: Mutex::default(), remembers: Mutex::new(1) }
    }
}

fn away() -> RegistryError {
    RegistryError::Away { server: "http://registry".into(), cause: "nobody is there".into() }
}

fn refused(code: &str) -> RegistryError {
    RegistryError::Refused { server: "http://registry".into(), code: code.into(), message: "no".into() }
}

fn no_file() -> RegistryError {
    RegistryError::File { path: "versions/2".into(), cause: Errno::MFILE.into() }
}

impl Registry for Fickle {
    fn now(&self, name: &str, alias: &str) -> Result<Option<u64>, RegistryError> {
        match *self.saying.lock() {
            Some(trouble) => Err(trouble()),
            None => self.home.now(name, alias),
        }
    }

    fn manifest_sha256(&self, name: &str, number: u64) -> Option<String> {
        self.home.manifest_sha256(name, number)
    }

    fn load(&self, name: &str, number: u64) -> Result<Model, RegistryError> {
        match *self.giving.lock() {
            Some(trouble) if number == 2 => Err(trouble()),
            _ => {
                if let Some(next) = self.moves_to.lock().get(&number) {
                    self.home.point(name, "production", *next, &signed())?;
                }
                if *self.falls_silent.lock() {
                    std::mem::forget(self.saying.lock());
                }
                self.home.load(name, number)
            }
        }
    }

    fn remember(&self, _: &Reference, number: u64) {
        *self.remembers.lock() = number;
    }

    fn remembered(&self, Reference { name, which }: &Reference) -> Option<(u64, Model)> {
        let number = *self.remembers.lock();
        match which {
            Which::Number(meant) if *meant != number => None,
            _ => Some((number, self.home.load(name, number).ok()?)),
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

    fn aliases(&self, _: &str) -> Result<Aliases, RegistryError> {
        unreachable!()
    }

    fn make_move(&self, _: &str, _: &str, _: u64, _: &Signed, _: &May<'_>) -> Result<Move, RegistryError> {
        unreachable!()
    }

    fn moves(&self, name: &str, alias: &str) -> Result<Vec<Move>, RegistryError> {
        match *self.saying.lock() {
            Some(trouble) => Err(trouble()),
            None => self.home.moves(name, alias),
        }
    }

    fn collect(&self, _: &str, _: usize) -> Result<Vec<u64>, RegistryError> {
        unreachable!()
    }
}

/// Follows the alias `production`.
fn following(registry: &Arc<Fickle>) -> Follower {
    Follower::new(Arc::<Fickle>::clone(registry), "means@production".parse().unwrap(), Seat::Arm(0))
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

#[test]
fn who_starts_while_a_version_is_not_given_asks_for_it_at_the_next_look() {
    let folder = tempfile::tempdir().unwrap();
    let fickle = Arc::new(Fickle::of(registered(folder.path(), &[means(), negatives()])));
    *fickle.giving.lock() = Some(away);
    let (config, runtime, shutdown) = (config(folder.path(), "means@production"), runtime(), Shutdown::new());
    let workshop = Workshop { config: &config, runtime: &runtime, shutdown: &shutdown, like: None };
    let mut follower = following(&fickle);
    assert!(follower.begin(&workshop).unwrap().is_some());
    is_told_of_once_and_asked_for_again_soon(&follower);
}

#[test]
fn who_starts_while_the_registry_is_away_serves_what_has_served() {
    let folder = tempfile::tempdir().unwrap();
    let fickle = Arc::new(Fickle::of(registered(folder.path(), &[means(), senseless()])));
    *fickle.remembers.lock() = 2;
    let (config, runtime, shutdown) = (config(folder.path(), "means@production"), runtime(), Shutdown::new());
    let workshop = Workshop { config: &config, runtime: &runtime, shutdown: &shutdown, like: None };
    for trouble in [None, Some(away as Trouble)] {
        *fickle.saying.lock() = trouble;
        let mut follower = following(&fickle);
        let begun = follower.begin(&workshop).map(drop);
        assert_eq!(begun.map_err(|error| error.to_string()), Ok(()), "away: {}", trouble.is_some());
        assert_eq!(follower.number(), Some(1));
    }
}

#[test]
fn who_starts_serves_no_version_that_the_alias_has_left_while_it_was_made_ready() {
    let folder = tempfile::tempdir().unwrap();
    let fickle = Arc::new(Fickle::of(registered(folder.path(), &[means(), negatives()])));
    let (config, runtime, shutdown) = (config(folder.path(), "means@production"), runtime(), Shutdown::new());
    let workshop = Workshop { config: &config, runtime: &runtime, shutdown: &shutdown, like: None };
    let begins_with = |moves: &[(u64, u64)]| {
        *fickle.moves_to.lock() = moves.iter().copied().collect();
        let mut follower = following(&fickle);
        let (model, _) = follower.begin(&workshop).unwrap().unwrap();
        assert_eq!(follower.serving, Some((*fickle.remembers.lock(), model.version())));
        follower.number()
    };
    assert_eq!(begins_with(&[(2, 1)]), Some(1));
    *fickle.giving.lock() = Some(away);
    assert_eq!(begins_with(&[(1, 2)]), Some(1), "what is ready serves where the next one isn't given");
    *fickle.giving.lock() = None;
    let ever_again = [(1, 2), (2, 1)];
    assert!(begins_with(&ever_again).is_some(), "who moves it all the time keeps nobody from beginning");
}

#[test]
fn who_starts_while_the_registry_falls_silent_serves_what_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let fickle = Arc::new(Fickle::of(registered(folder.path(), &[means()])));
    *fickle.falls_silent.lock() = true;
    let (config, runtime, shutdown) = (config(folder.path(), "means@production"), runtime(), Shutdown::new());
    let workshop = Workshop { config: &config, runtime: &runtime, shutdown: &shutdown, like: None };
    let mut follower = following(&fickle);
    follower.patience = Duration::from_millis(50);
    assert!(follower.begin(&workshop).unwrap().is_some());
    assert_eq!(follower.number(), Some(1));
}

/// The alias names the second version, and the first one serves yet.
fn while_the_first_serves(test: impl FnOnce(&Fickle, &mut Follower, &Workshop<'_>, &Bench<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let home = registered(folder.path(), &[means(), negatives()]);
    let serving = home.load("means", 1).unwrap();
    let fickle = Arc::new(Fickle::of(home));
    let mut follower = following(&fickle);
    follower.serving = Some((1, serving.version()));
    let (config, metrics, runtime) = (config(folder.path(), "means@production"), metrics(), runtime());
    at_a_bench(&config, &metrics, |bench| {
        test(&fickle, &mut follower, &Workshop::at(bench, &runtime, &serving.manifest), bench);
    });
}

#[test]
fn a_version_that_the_registry_does_not_give_is_asked_for_at_the_next_look() {
    for trouble in [away as Trouble, no_file] {
        while_the_first_serves(|fickle, follower, workshop, bench| {
            *fickle.giving.lock() = Some(trouble);
            for _ in 0..2 {
                assert!(follower.is_behind(workshop, bench));
                is_told_of_once_and_asked_for_again_soon(follower);
            }
            *fickle.giving.lock() = None;
            let begun = Instant::now();
            while follower.is_behind(workshop, bench) {
                assert!(begun.elapsed() < AGAIN / 2, "it is asked for again");
            }
            assert_eq!((follower.number(), follower.is_silent), (Some(2), false));
            assert!(bench.rack.take(0).contains_key(&Seat::Arm(0)));
        });
    }
}

#[test]
fn a_version_that_the_alias_has_left_while_it_was_brought_never_serves() {
    while_the_first_serves(|fickle, follower, workshop, bench| {
        fickle.moves_to.lock().insert(2, 1);
        let looks = [0, 1].map(|_| follower.is_behind(workshop, bench));
        assert_eq!((looks, follower.number()), ([true, false], Some(1)));
        assert!(bench.rack.take(0).is_empty());
    });
}

#[test]
fn a_registry_that_hangs_is_told_of_before_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let home = registered(folder.path(), &[means()]);
    let serving = home.load("means", 1).unwrap();
    let fickle = Arc::new(Fickle::of(home));
    let mut follower = following(&fickle);
    follower.serving = Some((1, serving.version()));
    follower.patience = Duration::from_millis(50);

    let (config, metrics, runtime) = (config(folder.path(), "means@production"), metrics(), runtime());
    let becomes = |behind: i64| {
        let begun = Instant::now();
        while metrics.model_behind.get() != behind && begun.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(10));
        }
        metrics.model_behind.get() == behind
    };
    at_a_bench(&config, &metrics, |bench| {
        let hanging = fickle.saying.lock();
        let told = std::thread::scope(|scope| {
            scope.spawn(|| follower.follow(&runtime, &serving.manifest, bench, || ()));
            let is_behind = becomes(1);
            drop(hanging);
            let told = [is_behind, becomes(0)];
            bench.shutdown.request();
            told
        });
        assert_eq!(told, [true, true]);
    });
}

#[test]
fn who_starts_while_something_else_answers_for_the_registry_serves_what_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let fickle = Fickle::of(registered(folder.path(), &[means(), negatives()]));
    let reference: Reference = "means@production".parse().unwrap();
    let begins_with = |trouble: Option<Trouble>| {
        *fickle.saying.lock() = trouble;
        first(&fickle, &reference).map(|((number, _), model)| (number, model.is_ok())).ok()
    };
    let nothing: [Trouble; 6] = [
        away,
        || refused("401"),
        || refused("403"),
        || refused("404"),
        || refused("302"),
        || refused("NOT_MLFLOW"),
    ];
    for trouble in nothing {
        assert_eq!(begins_with(Some(trouble)), Some((1, true)), "{}", trouble());
    }
    let something: [Trouble; 2] = [|| refused("PERMISSION_DENIED"), no_file];
    for trouble in something {
        assert_eq!(begins_with(Some(trouble)), None, "{}", trouble());
    }
    assert_eq!(begins_with(None), Some((2, true)));
}

#[test]
fn who_starts_while_a_version_is_not_given_serves_no_other_one_that_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let fickle = Fickle::of(registered(folder.path(), &[means(), negatives()]));
    *fickle.giving.lock() = Some(away);
    for (remembers, is_given) in [(1, false), (2, true)] {
        *fickle.remembers.lock() = remembers;
        let begun = first(&fickle, &"means@production".parse().unwrap());
        let begun = begun.map(|((number, _), model)| (number, model.is_ok())).unwrap();
        assert_eq!(begun, (2, is_given), "version {remembers} is remembered");
    }
}

const CHILD: &str = "SWAPPING_TEST_CHILD";

/// In a process of its own, called by the test below: other tests need files.
#[test]
fn a_child_that_gets_no_more_files() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = registered(folder.path(), &[means()]).load("means", 1).unwrap();
    let registered = config(folder.path(), "means@production");
    let in_a_folder = Config { model: Source::Folder(folder.path().join("0")), ..registered.clone() };
    let trial = Trial { program: "true".into(), arguments: Vec::new() };
    let tried = Config { trial: Some(trial), ..registered.clone() };
    let (metrics, runtime, shutdown) = (metrics(), runtime(), Shutdown::new());
    let open = |config: &Config| Opening::of(config, &runtime, &metrics, &shutdown).map(drop);
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: before.maximum }).unwrap();
    let workshop = Workshop { config: &tried, runtime: &runtime, shutdown: &shutdown, like: None };
    let prepared = workshop.prepare(model).map(drop).map_err(Error::or_out_of_files);
    let begun = [open(&registered), open(&in_a_folder), prepared];
    setrlimit(Resource::Nofile, before).unwrap();
    for begun in begun {
        assert!(matches!(begun, Err(Error::OutOfFiles(_))), "{begun:?}");
    }
    println!("\nno model's fault");
}

#[test]
fn a_model_that_no_file_is_left_for_is_not_at_fault() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "swapping::tests::a_child_that_gets_no_more_files", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("no model's fault"), "{said}");
}

#[test]
fn who_lacks_files_at_the_start_does_not_go_back_to_the_former_version() {
    let folder = tempfile::tempdir().unwrap();
    let fickle = Arc::new(Fickle::of(registered(folder.path(), &[means(), negatives()])));
    *fickle.giving.lock() = Some(no_file);
    let (config, runtime, shutdown) = (config(folder.path(), "means@production"), runtime(), Shutdown::new());
    let workshop = Workshop { config: &config, runtime: &runtime, shutdown: &shutdown, like: None };
    let begun = following(&fickle).begin(&workshop).map(drop);
    assert!(matches!(begun, Err(Error::OutOfFiles(_))), "{begun:?}");
}

#[test]
fn a_number_that_was_gone_is_another_version_when_it_comes_again() {
    let (name, alias) = ("means".to_owned(), "production".to_owned());
    let version = ModelVersion { name: name.clone(), version: "1".into(), sha256: "ab".repeat(32) };
    let reference = Reference { name: name.clone(), which: Which::Alias(alias.clone()) };
    let registry = Arc::new(FolderRegistry::new("registry"));
    let mut follower = Follower::new(registry, reference, Seat::Arm(0));
    follower.serving = Some((1, version.clone()));
    for named in [Ok((1, None)), Err(away())] {
        follower.forget_if_gone(&named);
        assert!(follower.is_serving(1), "{named:?} says nothing of another version");
    }
    follower.refused = Some((2, Instant::now()));
    follower.forget_if_gone(&Err(RegistryError::NoAlias { name, alias }));
    assert!(!follower.is_serving(1) && follower.refused.is_none());
    assert_eq!(follower.serving, Some((1, version)), "it goes on until there is another one");
}

#[test]
fn a_version_that_was_gone_for_a_while_serves_on_and_is_not_brought_again() {
    let folder = tempfile::tempdir().unwrap();
    let home = registered(folder.path(), &[means()]);
    let serving = home.load("means", 1).unwrap();
    let mut follower = following(&Arc::new(Fickle::of(home)));
    let (config, metrics, runtime) = (config(folder.path(), "means@production"), metrics(), runtime());
    let (there, away) = (folder.path().join("registry"), folder.path().join("away"));
    std::fs::create_dir(&away).unwrap();
    at_a_bench(&config, &metrics, |bench| {
        let workshop = Workshop::at(bench, &runtime, &serving.manifest);
        assert!(follower.begin(&workshop).unwrap().is_some());
        std::fs::rename(there.join("means"), away.join("means")).unwrap();
        assert!(follower.is_behind(&workshop, bench));
        std::fs::rename(away.join("means"), there.join("means")).unwrap();
        assert!(!follower.is_behind(&workshop, bench));
        assert!(bench.rack.take(0).is_empty(), "it serves already");
    });
}

#[test]
fn a_number_that_is_another_version_from_one_look_to_the_next_is_exchanged() {
    let folder = tempfile::tempdir().unwrap();
    let home = registered(folder.path(), &[means()]);
    let serving = home.load("means", 1).unwrap();
    let mut follower = following(&Arc::new(Fickle::of(home)));
    let (config, metrics, runtime) = (config(folder.path(), "means@production"), metrics(), runtime());
    at_a_bench(&config, &metrics, |bench| {
        let workshop = Workshop::at(bench, &runtime, &serving.manifest);
        assert!(follower.begin(&workshop).unwrap().is_some());
        for _ in 0..2 {
            assert!(!follower.is_behind(&workshop, bench));
        }
        assert!(bench.rack.take(0).is_empty(), "it serves already");
        for gone in ["registry", "0"] {
            std::fs::remove_dir_all(folder.path().join(gone)).unwrap();
        }
        let other = registered(folder.path(), &[negatives()]).load("means", 1).unwrap().version();
        assert!(!follower.is_behind(&workshop, bench));
        assert!(bench.rack.take(0).contains_key(&Seat::Arm(0)));
        assert_eq!(follower.serving, Some((1, other)));
    });
}
