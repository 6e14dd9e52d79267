//! What the folder does beyond what every home must (`models/tests/registry/suite.rs`), and references.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use autorma_schemas::sha256;

use super::*;
use crate::{Error as ModelError, handmade};

fn signed(why: &str) -> Signed {
    Signed { at: Micros(7), by: "a test".into(), why: why.into() }
}

/// A registry, and a folder beside it with this many models that differ in their temperature.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(models: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..=models {
            let model = folder.path().join(number.to_string());
            handmade::write(&model, "means", &handmade::means()).unwrap();
            let mut manifest = Model::manifest(&model).unwrap();
            manifest.temperature = f64::from(number);
            std::fs::write(model.join(crate::MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
        }
        Self { folder }
    }

    fn registry(&self) -> FolderRegistry {
        FolderRegistry::new(self.folder.path().join("registry"))
    }

    fn versions(&self) -> Vec<Version> {
        let registry = self.registry();
        let numbers = registry.numbers("means").unwrap().into_iter();
        numbers.map(|number| registry.version("means", number).unwrap()).collect()
    }

    fn model(&self, number: u32) -> PathBuf {
        self.folder.path().join(number.to_string())
    }
}

#[test]
fn a_version_that_was_tampered_with_is_refused() {
    let place = Place::new(1);
    let registry = place.registry();
    let version = registry.register(&place.model(1), &signed("")).unwrap();
    let file = registry.place("means", 1).join(&version.manifest.members[0].model.file);
    let mut onnx = std::fs::read(&file).unwrap();
    onnx[9] ^= 1;
    std::fs::write(&file, onnx).unwrap();
    assert!(matches!(registry.load("means", 1), Err(RegistryError::Model(ModelError::Different { .. }))));
    // The same model again is the same version, and whole.
    assert_eq!(registry.register(&place.model(1), &signed("")).unwrap().number, 1);
    assert_eq!(registry.load("means", 1).unwrap().onnx, [handmade::means()]);
    // What decides is the version, too, not only what computes.
    let manifest = registry.place("means", 1).join(crate::MANIFEST);
    let text = std::fs::read_to_string(&manifest).unwrap();
    for (from, to) in
        [("\"accept\": 0.5", "\"accept\": 0.1"), ("\"version\": \"1\"", "\"version\": \"42\""), (&*text, "{")]
    {
        assert!(text.contains(from), "{text}");
        std::fs::write(&manifest, text.replace(from, to)).unwrap();
        assert!(registry.version("means", 1).is_err() && registry.load("means", 1).is_err(), "{to}");
        assert!(registry.point("means", "staging", 1, &signed("")).is_err(), "{to}");
        assert_eq!(registry.register(&place.model(1), &signed("again")).unwrap().signed, signed(""));
        assert_eq!(std::fs::read_to_string(&manifest).unwrap(), text);
    }
    // One of an earlier autorma, which noted no hash of the manifest.
    let registered = registry.place("means", 1).join("registered.json");
    std::fs::write(&registered, serde_json::to_vec(&signed("before")).unwrap()).unwrap();
    assert_eq!(registry.register(&place.model(1), &signed("")).unwrap().signed, signed("before"));
    std::fs::write(&manifest, text.replace("0.5", "0.1")).unwrap();
    assert!(registry.load("means", 1).is_err(), "its manifest's hash was noted then");
    std::fs::write(&manifest, &text).unwrap();
    std::fs::remove_file(&registered).unwrap();
    assert!(registry.load("means", 1).is_err());
    assert_eq!(registry.register(&place.model(1), &signed("again")).unwrap().signed, signed("again"));
    assert!(registry.load("means", 1).is_ok());
    std::fs::write(&manifest, "{").unwrap();
    std::fs::remove_file(&registered).unwrap();
    std::fs::create_dir_all(place.folder.path().join("registry/my model/versions")).unwrap();
    assert_eq!(registry.names().unwrap(), ["means"], "what is no name is nobody's model");
    assert!(registry.version("means", 1).is_err());
    assert_eq!(registry.register(&place.model(1), &signed("")).unwrap().number, 2, "the others go on");
}

/// As where a share isn't mounted.
#[test]
fn a_folder_that_is_not_there_is_told_as_that_and_not_as_a_missing_alias() {
    let place = Place::new(1);
    let registry = place.registry();
    let meant = "means@production".parse::<Reference>().unwrap();
    let gone = || matches!(registry.resolve(&meant), Err(RegistryError::NoRegistry(_)));
    assert!(gone(), "nobody has registered anything");
    registry.register(&place.model(1), &signed("")).unwrap();
    assert!(matches!(registry.resolve(&meant), Err(RegistryError::NoAlias { .. })));
    std::fs::remove_dir_all(place.folder.path().join("registry")).unwrap();
    assert!(gone());
}

#[test]
fn what_a_full_disk_did_not_take_is_removed() {
    let place = Place::new(1);
    let registry = place.registry();
    let version = registry.register(&place.model(1), &signed("")).unwrap();
    let file = registry.place("means", 1).join(&version.manifest.members[0].model.file);
    std::fs::write(&file, "spoilt").unwrap();
    let temporary = file.with_extension("tmp");
    std::os::unix::fs::symlink("/dev/full", &temporary).unwrap();
    let full = registry.register(&place.model(1), &signed(""));
    assert!(matches!(full, Err(RegistryError::File { .. })), "{full:?}");
    assert!(!temporary.is_symlink(), "it has left {}", temporary.display());
    registry.register(&place.model(1), &signed("")).unwrap();
    assert_eq!(registry.load("means", 1).unwrap().onnx, [handmade::means()]);
}

/// Replaces a model's file by one of integers, with a reference in floats beside it.
fn quantize(model: &Path) {
    let mut manifest = Model::manifest(model).unwrap();
    manifest.members[0].model.precision = "int8".into();
    let (file, floats) = ("floats.onnx".to_owned(), handmade::negatives());
    let (sha256, bytes) = (sha256(&floats), floats.len() as u64);
    manifest.members[0].reference = Some(crate::File { file, sha256, bytes, precision: "fp32".into() });
    std::fs::write(model.join("floats.onnx"), &floats).unwrap();
    std::fs::write(model.join(crate::MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
}

#[test]
fn what_is_lost_of_a_version_is_told_with_what_mends_it() {
    let place = Place::new(1);
    let (registry, model) = (place.registry(), place.model(1));
    quantize(&model);
    let register = || registry.register(&model, &signed("")).unwrap();
    let file = register().manifest.members[0].model.file.clone();
    for (name, content) in [
        (&*file, None),
        (&*file, Some("something else")),
        ("registered.json", None),
        ("registered.json", Some("")),
        (crate::MANIFEST, None),
        (crate::MANIFEST, Some("{")),
    ] {
        let path = registry.place("means", 1).join(name);
        match content {
            None => std::fs::remove_file(&path).unwrap(),
            Some(content) => std::fs::write(&path, content).unwrap(),
        }
        let said = registry.load("means", 1).unwrap_err().to_string();
        let is_told = said.contains(path.to_str().unwrap()) && said.ends_with(folder::REMEDY);
        assert!(is_told && !said.contains("--model"), "{name}, {content:?}: {said}");
        register();
        registry.load("means", 1).unwrap();
    }
    // Who may not read it now may read it later.
    let refused = io::Error::from_raw_os_error(24);
    let refused = RegistryError::Model(ModelError::Unreadable { path: "it".into(), cause: refused });
    let refused = folder::mendable("means", 1, refused);
    let is_kept = matches!(&refused, RegistryError::File { cause, .. } if cause.raw_os_error() == Some(24));
    assert!(is_kept && !refused.to_string().contains(folder::REMEDY), "{refused}");
}

#[test]
fn a_reference_that_is_lost_costs_the_model_nothing() {
    let place = Place::new(1);
    let (registry, model) = (place.registry(), place.model(1));
    quantize(&model);
    let reference = registry.register(&model, &signed("")).unwrap().manifest.members[0].reference.clone();
    std::fs::remove_file(registry.place("means", 1).join(reference.unwrap().file)).unwrap();
    let registered = Source::Registered("means/1".parse().unwrap());
    let had = [registry.verify("means", 1), registered.load_with_reference(&registry)];
    for (had, reference) in had.map(Result::unwrap) {
        assert_eq!(had.onnx, [handmade::means()]);
        let said = reference.unwrap_err().to_string();
        assert!(said.contains("means/1 can't be read") && said.ends_with(folder::REMEDY), "{said}");
    }
    std::fs::remove_file(model.join("floats.onnx")).unwrap();
    let (had, reference) = Source::Folder(model).load_with_reference(&registry).unwrap();
    assert!(had.onnx == [handmade::means()] && reference.is_err());
}

#[test]
fn who_waits_in_vain_for_another_writer_is_told_of_the_lock() {
    let place = Place::new(1);
    let registry = place.registry();
    registry.register(&place.model(1), &signed("")).unwrap();
    let path = place.folder.path().join("registry/lock");
    let lock = || files::lock_within(&path, Duration::from_millis(50));
    let held = lock().unwrap();
    let refused = lock().unwrap_err();
    assert!(matches!(&refused, RegistryError::Locked { path: lock, .. } if *lock == path), "{refused}");
    registry.load("means", 1).expect("who reads needs no lock");
    drop(held);
    lock().unwrap();
}

#[test]
fn nobody_else_writes_while_a_move_is_allowed_and_made_or_while_is_collected() {
    let place = Place::new(1);
    let registry = place.registry();
    registry.register(&place.model(1), &signed("")).unwrap();
    let path = place.folder.path().join("registry/lock");
    let is_held = || files::lock_within(&path, Duration::ZERO).is_err();
    let allowed = |_: Option<u64>, _: &Manifest| {
        assert!(is_held());
        Ok(())
    };
    registry.make_move("means", "production", 1, &signed(""), &allowed).unwrap();
    // What somebody puts together has no name yet.
    let unfinished = place.folder.path().join("registry/means/+unfinished");
    std::fs::create_dir(&unfinished).unwrap();
    let held = files::lock_within(&path, Duration::ZERO).unwrap();
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| registry.collect("means", 1));
        std::thread::sleep(Duration::from_millis(200));
        assert!(unfinished.exists());
        drop(held);
        assert!(collecting.join().unwrap().unwrap().is_empty());
    });
    assert!(!unfinished.exists());
}

#[test]
fn a_move_that_a_disk_has_spoilt_is_told_with_what_to_do() {
    let place = Place::new(2);
    let registry = place.registry();
    for number in 1..=2 {
        let version = registry.register(&place.model(number), &signed("")).unwrap();
        registry.point("means", "production", version.number, &signed("")).unwrap();
    }
    let last = place.folder.path().join("registry/means/aliases/production/000002.json");
    registry.point("means", "staging", 1, &signed("")).unwrap();
    std::fs::write(&last, "").unwrap();
    let mut aliases = registry.aliases("means").unwrap();
    let point = registry.point("means", "production", 1, &signed("")).map(drop);
    let asked = [
        point,
        registry.now("means", "production").map(drop),
        aliases.remove("production").unwrap().map(drop),
        registry.moves("means", "production").map(drop),
        registry.collect("means", 1).map(drop),
    ];
    for (number, answer) in asked.into_iter().enumerate() {
        let said = answer.unwrap_err().to_string();
        assert!(said.contains("000002.json") && said.contains("or remove it"), "{number}: {said}");
    }
    assert_eq!(aliases.remove("staging").unwrap().unwrap(), 1, "another alias has nothing to do with it");
    assert_eq!(place.versions().len(), 2, "nothing is collected");
    std::fs::remove_file(&last).unwrap();
    assert_eq!(registry.now("means", "production").unwrap(), Some(1));
    registry.point("means", "production", 2, &signed("")).unwrap();
    assert_eq!(registry.now("means", "production").unwrap(), Some(2));
}

#[test]
fn a_manifest_that_is_kept_has_the_numbers_of_the_one_that_was_made() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("shipped");
    let kept = Model::manifest(&shipped).unwrap().text(&shipped).unwrap();
    let made = std::fs::read_to_string(shipped.join(crate::MANIFEST)).unwrap();
    assert_eq!(String::from_utf8(kept).unwrap(), made);
}

#[test]
fn a_number_that_an_alias_has_named_never_comes_again() {
    let place = Place::new(3);
    let registry = place.registry();
    for number in 1..=2 {
        registry.register(&place.model(number), &signed("")).unwrap();
    }
    registry.point("means", "production", 2, &signed("")).unwrap();
    registry.point("means", "production", 1, &signed("")).unwrap();
    std::fs::remove_dir_all(registry.place("means", 2)).unwrap();
    assert_eq!(registry.register(&place.model(3), &signed("")).unwrap().number, 3);
}

#[test]
fn what_a_killed_first_registration_has_left_is_collected() {
    let place = Place::new(0);
    let unfinished = place.folder.path().join("registry/means/+unfinished");
    std::fs::create_dir_all(&unfinished).unwrap();
    std::fs::write(unfinished.join("half.onnx"), "half").unwrap();
    assert!(place.registry().collect("means", 1).unwrap().is_empty() && !unfinished.exists());
    let nothing = place.registry().collect("means", 1);
    assert!(matches!(nothing, Err(RegistryError::NoModel(_))), "{nothing:?}");
}

#[test]
fn names_stay_inside_the_registry() {
    for name in ["", "..", ".hidden", "a/b", "a b", "+unfinished", "lock", &"a".repeat(65)] {
        assert!(matches!(checked_name(name), Err(RegistryError::Name(_))), "{name}");
    }
    for reference in ["means", "means/", "means/x", "means@", "a/b@c", "../x/1", "@production"] {
        assert!(reference.parse::<Reference>().is_err(), "{reference}");
    }
    for reference in ["means/3", "refund-classifier@production"] {
        assert_eq!(reference.parse::<Reference>().unwrap().to_string(), reference);
    }
}

#[test]
fn a_folder_is_meant_where_there_is_one() {
    let place = Place::new(0);
    let folder = place.folder.path().join("means").join("3");
    let text = folder.to_str().unwrap();
    assert_eq!(Source::meant(text), Source::Folder(folder.clone()));
    assert_eq!(Source::meant("models/shipped"), Source::Folder("models/shipped".into()));
    let meant = Source::meant("means@production");
    assert!(matches!(&meant, Source::Registered(it) if it.to_string() == "means@production"));
    assert!(matches!(Source::meant("means/3"), Source::Registered(_)));
}

const CHILD: &str = "AUTORMA_TEST_REGISTRY";

/// Not a test: the process that the next one kills. It registers, points and collects for ever.
#[test]
fn somebody_who_will_be_killed() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let registry = FolderRegistry::new(folder.join("registry"));
    for number in (1..=8).cycle() {
        let version = registry.register(&folder.join(number.to_string()), &signed("")).unwrap();
        registry.point("means", "production", version.number, &signed("")).unwrap();
        registry.collect("means", 2).unwrap();
    }
}

#[test]
fn a_kill_leaves_whole_versions_and_an_alias_that_names_one() {
    let place = Place::new(8);
    let registry = place.registry();
    for seed in 0_u64..20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "registry::tests::somebody_who_will_be_killed"])
            .env(CHILD, place.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + seed.wrapping_mul(2_654_435_761) % 200));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        assert_eq!(ended.signal(), Some(9), "it has died by itself: {ended}");
        for version in place.versions() {
            registry.load("means", version.number).unwrap();
        }
        for number in registry.aliases("means").unwrap().into_values() {
            registry.load("means", number.unwrap()).unwrap();
        }
    }
    assert!(!registry.moves("means", "production").unwrap().is_empty(), "somebody came that far");
    registry.register(&place.model(1), &signed("the next")).unwrap();
}
