//! What every home of model versions must do.

use std::collections::BTreeSet;
use std::path::PathBuf;

use autorma_models::handmade;
use autorma_models::registry::{Reference, Registry, RegistryError, Signed, Which};
use autorma_models::{File, MANIFEST, Manifest, Model};
use autorma_schemas::{Micros, sha256};
use serde_json::Value;

pub(crate) fn signed(why: &str) -> Signed {
    Signed { at: Micros(7), by: "a test".into(), why: why.into() }
}

/// Folders with models of one name, which differ in their temperature.
#[derive(Debug)]
pub(crate) struct Models {
    folder: tempfile::TempDir,
}

impl Models {
    pub(crate) fn new(name: &str, count: u32) -> Self {
        let models = Self { folder: tempfile::tempdir().unwrap() };
        for number in 1..=count {
            let model = models.model(number);
            handmade::write(&model, name, &handmade::means()).unwrap();
            let mut manifest = Model::manifest(&model).unwrap();
            manifest.temperature = f64::from(number);
            std::fs::write(model.join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
        }
        models
    }

    pub(crate) fn model(&self, number: u32) -> PathBuf {
        self.folder.path().join(number.to_string())
    }

    /// All of them are registered, in order.
    pub(crate) fn registered(name: &str, count: u32, registry: &dyn Registry) -> Self {
        let models = Self::new(name, count);
        for number in 1..=count {
            let version = registry.register(&models.model(number), &signed("")).unwrap();
            assert_eq!(version.number, u64::from(number));
        }
        models
    }
}

/// All of it, with models whose names begin with `name`.
pub(crate) fn holds(registry: &dyn Registry, name: &str) {
    versions_are_numbered_and_never_change(registry, &format!("{name}-versions"));
    a_reference_goes_where_its_version_goes(registry, &format!("{name}-reference"));
    an_ensemble_is_kept_whole(registry, &format!("{name}-ensemble"));
    what_could_not_be_read_again_is_not_kept(registry, &format!("{name}-infinite"));
    what_is_not_there_is_told(registry, &format!("{name}-missing"));
    aliases_move_roll_back_and_remember(registry, &format!("{name}-aliases"));
    an_alias_moves_to_what_was_examined(registry, &format!("{name}-examined"));
    what_an_alias_may_need_again_is_never_collected(registry, &format!("{name}-collected"));
    many_may_write_at_once(registry, &format!("{name}-many"));
}

fn versions_are_numbered_and_never_change(registry: &dyn Registry, name: &str) {
    let models = Models::new(name, 2);
    assert!(registry.numbers(name).unwrap().is_empty());
    assert!(!registry.names().unwrap().contains(&name.to_owned()));
    let first = registry.register(&models.model(1), &signed("trained")).unwrap();
    let second = registry.register(&models.model(2), &signed("trained again")).unwrap();
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(registry.register(&models.model(1), &signed("again")).unwrap(), first, "it is there");
    assert_eq!(registry.numbers(name).unwrap(), [1, 2]);
    assert_eq!(registry.version(name, 1).unwrap(), first);
    assert_eq!(registry.version(name, 2).unwrap(), second);
    assert!(registry.names().unwrap().contains(&name.to_owned()));
    // Once from afar, once from what is here.
    for _ in 0..2 {
        let model = registry.load(name, 2).unwrap();
        assert_eq!(model.manifest.identity().version, "2");
        assert_eq!((&model.manifest, &*model.onnx), (&second.manifest, &[handmade::means()][..]));
    }
    for missing in [registry.load(name, 3).map(drop), registry.verify(name, 3).map(drop)] {
        assert!(matches!(missing, Err(RegistryError::NoVersion { number: 3, .. })), "{missing:?}");
    }
}

fn a_reference_goes_where_its_version_goes(registry: &dyn Registry, name: &str) {
    let models = Models::new(name, 3);
    let floats = handmade::negatives();
    for number in [2, 3] {
        let mut manifest = Model::manifest(&models.model(number)).unwrap();
        manifest.members[0].model.precision = "int8".into();
        let (file, bytes) = ("floats.onnx".to_owned(), floats.len() as u64);
        manifest.members[0].reference =
            Some(File { file, sha256: sha256(&floats), bytes, precision: "fp32".into() });
        std::fs::write(models.model(number).join("floats.onnx"), &floats).unwrap();
        std::fs::write(models.model(number).join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
    }
    registry.register(&models.model(1), &signed("")).unwrap();
    assert!(registry.reference(name, 1).unwrap().is_none(), "it has none");
    let version = registry.register(&models.model(2), &signed("")).unwrap();
    assert_eq!(registry.register(&models.model(2), &signed("again")).unwrap(), version, "it is there");
    // Once from afar, once from what is here.
    for _ in 0..2 {
        let reference = registry.reference(name, 2).unwrap().unwrap();
        assert_eq!((&*reference.onnx, &*reference.manifest.version), (&[floats.clone()][..], "2"));
        assert_eq!(
            Some(&reference.manifest.members[0].model),
            version.manifest.members[0].reference.as_ref()
        );
        assert_eq!(registry.load(name, 2).unwrap().onnx, [handmade::means()]);
    }
    let (model, reference) = registry.verify(name, 2).unwrap();
    let reference = reference.unwrap().unwrap();
    assert_eq!((model.onnx, reference.onnx), (vec![handmade::means()], vec![floats.clone()]));
    std::fs::write(models.model(3).join("floats.onnx"), "others").unwrap();
    assert!(matches!(registry.register(&models.model(3), &signed("")), Err(RegistryError::Model(_))));
    assert_eq!(registry.numbers(name).unwrap(), [1, 2]);
    assert!(matches!(registry.reference(name, 3), Err(RegistryError::NoVersion { number: 3, .. })));
}

fn an_ensemble_is_kept_whole(registry: &dyn Registry, name: &str) {
    let home = tempfile::tempdir().unwrap();
    let (folder, floats) = (home.path().join("model"), handmade::fussy());
    let members = [(handmade::means(), 2.0), (handmade::negatives(), 1.0)];
    handmade::write_ensemble(&folder, name, &members).unwrap();
    let mut manifest = Model::manifest(&folder).unwrap();
    let (file, bytes) = ("floats.onnx".to_owned(), floats.len() as u64);
    manifest.members[1].reference =
        Some(File { file, sha256: sha256(&floats), bytes, precision: "fp32".into() });
    std::fs::write(folder.join("floats.onnx"), &floats).unwrap();
    std::fs::write(folder.join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
    let version = registry.register(&folder, &signed("")).unwrap();
    assert_eq!(registry.register(&folder, &signed("again")).unwrap(), version, "it is there");
    assert_eq!(registry.version(name, 1).unwrap(), version);
    // Once from afar, once from what is here.
    for _ in 0..2 {
        let model = registry.load(name, 1).unwrap();
        assert_eq!((model.manifest.shares()[0], &model.manifest), (2.0 / 3.0, &version.manifest));
        assert_eq!(model.onnx, [handmade::means(), handmade::negatives()]);
        let reference = registry.reference(name, 1).unwrap().unwrap();
        assert_eq!(reference.onnx, [handmade::means(), floats.clone()]);
    }
    // The same members, but for their weights.
    manifest.members[0].weight = 1.0;
    std::fs::write(folder.join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
    assert_eq!(registry.register(&folder, &signed("")).unwrap().number, 2);
    registry.point(name, "production", 2, &signed("")).unwrap();
    for file in ["1.onnx", "floats.onnx"] {
        let whole = std::fs::read(folder.join(file)).unwrap();
        std::fs::write(folder.join(file), "others").unwrap();
        assert!(matches!(registry.register(&folder, &signed("")), Err(RegistryError::Model(_))), "{file}");
        std::fs::write(folder.join(file), whole).unwrap();
    }
    assert_eq!(registry.collect(name, 1).unwrap(), [1]);
    assert_eq!(registry.load(name, 2).unwrap().onnx.len(), 2);
}

fn what_could_not_be_read_again_is_not_kept(registry: &dyn Registry, name: &str) {
    let models = Models::new(name, 1);
    let path = models.model(1).join(MANIFEST);
    let whole: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let is_refused = |pointer: &str, value: Value| {
        let mut manifest = whole.clone();
        *manifest.pointer_mut(pointer).unwrap() = value;
        std::fs::write(&path, manifest.to_string()).unwrap();
        let refused = registry.register(&models.model(1), &signed(""));
        assert!(matches!(refused, Err(RegistryError::Model(_))), "{pointer}: {refused:?}");
    };
    // Infinite in 32 bits, and what divides by next to nothing.
    for (pointer, value) in [("/input/mean/1", 1e39), ("/input/std/1", 1e39), ("/input/std/1", 1e-39)] {
        is_refused(pointer, value.into());
    }
    // It can be read as it is here, and is too long as it would be kept.
    is_refused("/metrics", (0..70_000).map(|number| (format!("{number:05}"), 0.5)).collect());
    assert!(Model::manifest(&models.model(1)).is_ok());
    assert!(registry.numbers(name).unwrap().is_empty());
}

fn what_is_not_there_is_told(registry: &dyn Registry, name: &str) {
    let meant = |which| Reference { name: name.into(), which };
    let told = |which| registry.resolve(&meant(which)).unwrap_err().to_string();
    let alias = || Which::Alias("staging".into());
    let listed = "`autorma models list` shows what there is";
    let no_alias = format!("the model {name} has no alias staging; {listed}");
    assert_eq!(told(alias()), no_alias, "there is no such model at all");
    assert_eq!(told(Which::Number(1)), format!("there is no version 1 of the model {name}; {listed}"));
    assert!(
        registry.aliases(name).unwrap().is_empty() && registry.moves(name, "staging").unwrap().is_empty()
    );
    assert!(matches!(registry.collect(name, 1), Err(RegistryError::NoModel(_))));
    Models::registered(name, 1, registry);
    assert_eq!(told(alias()), no_alias);
    assert!(matches!(registry.version(name, 9), Err(RegistryError::NoVersion { number: 9, .. })));
    assert!(matches!(
        registry.point(name, "staging", 9, &signed("")),
        Err(RegistryError::NoVersion { number: 9, .. })
    ));
    assert!(registry.moves(name, "staging").unwrap().is_empty());
    for alias in ["latest", "Latest", "LATEST", "v1", "V23", "v1.2", "eu.production"] {
        let told = registry.point(name, alias, 1, &signed(""));
        assert!(matches!(told, Err(RegistryError::Reserved(_))), "{alias}: {told:?}");
        assert!(matches!(registry.now(name, alias), Err(RegistryError::Reserved(_))), "{alias}");
    }
    assert!(registry.aliases(name).unwrap().is_empty());
    for alias in ["v1a", "latest-eu"] {
        registry.point(name, alias, 1, &signed("")).unwrap();
        assert_eq!(registry.now(name, alias).unwrap(), Some(1), "{alias}");
    }
    assert!(matches!(registry.numbers("../x"), Err(RegistryError::Name(_))));
}

fn aliases_move_roll_back_and_remember(registry: &dyn Registry, name: &str) {
    Models::registered(name, 3, registry);
    assert!(matches!(
        registry.roll_back(name, "production", &signed("")),
        Err(RegistryError::NoAlias { .. })
    ));
    let point = |number, why| registry.point(name, "production", number, &signed(why)).unwrap();
    // Who decides by what an alias names is told when it names something else by then.
    let point_from =
        |former, number| registry.point_from(former, name, "production", number, &signed("decided"));
    assert!(matches!(point_from(Some(2), 3), Err(RegistryError::Moved { .. })));
    assert!(matches!(point_from(Some(2), 9), Err(RegistryError::NoVersion { number: 9, .. })));
    assert_eq!(point_from(None, 1).unwrap().version, 1);
    assert!(matches!(point_from(None, 3), Err(RegistryError::Moved { .. })));
    assert!(matches!(
        registry.roll_back(name, "production", &signed("")),
        Err(RegistryError::NothingBefore { .. })
    ));
    point(2, "better");
    point(2, "again");
    // Another alias whose name begins as this one does.
    registry.point(name, "production-eu", 3, &signed("")).unwrap();
    let back = registry.roll_back(name, "production", &signed("worse after all")).unwrap();
    assert_eq!((back.version, &*back.signed.why), (1, "worse after all"));
    let moves = registry.moves(name, "production").unwrap();
    assert_eq!(moves.iter().map(|it| it.version).collect::<Vec<_>>(), [1, 2, 2, 1]);
    assert_eq!([&moves[0].signed, &moves[1].signed], [&signed("decided"), &signed("better")]);
    assert_eq!(registry.resolve(&format!("{name}@production").parse().unwrap()).unwrap(), 1);
    assert_eq!(registry.resolve(&format!("{name}/3").parse().unwrap()).unwrap(), 3);
    let aliases = registry.aliases(name).unwrap().into_iter();
    let aliases: Vec<_> = aliases.map(|(alias, now)| (alias, now.unwrap())).collect();
    assert_eq!(aliases, [("production".to_owned(), 1), ("production-eu".to_owned(), 3)]);
}

fn an_alias_moves_to_what_was_examined(registry: &dyn Registry, name: &str) {
    Models::registered(name, 2, registry);
    let examined = registry.load(name, 1).unwrap().manifest;
    let point = |former, examined: &Manifest| {
        registry.point_examined(former, examined, "production", 1, &signed("examined"))
    };
    let mut other = examined.clone();
    other.thresholds.accept = 0.1;
    assert!(matches!(point(None, &other), Err(RegistryError::Changed { number: 1, .. })));
    assert!(matches!(point(Some(2), &examined), Err(RegistryError::Moved { .. })));
    assert_eq!(registry.now(name, "production").unwrap(), None);
    let made = point(None, &examined).unwrap();
    assert_eq!((made.version, made.signed), (1, signed("examined")));
}

fn what_an_alias_may_need_again_is_never_collected(registry: &dyn Registry, name: &str) {
    let models = Models::registered(name, 6, registry);
    for number in [1, 2, 4] {
        registry.point(name, "production", number, &signed("")).unwrap();
    }
    registry.roll_back(name, "production", &signed("")).unwrap();
    // Another rollback names 4, and where 2 can't serve, a start has 1.
    assert_eq!(registry.collect(name, 0).unwrap(), [3, 5]);
    registry.roll_back(name, "production", &signed("")).unwrap();
    assert_eq!(registry.collect(name, 0).unwrap(), [1]);
    assert_eq!(registry.numbers(name).unwrap(), [2, 4, 6]);
    registry.load(name, 4).unwrap();
    let again = registry.register(&models.model(5), &signed("")).unwrap();
    assert_eq!(again.number, 7, "no number comes again");
}

fn many_may_write_at_once(registry: &dyn Registry, name: &str) {
    let models = Models::new(name, 8);
    std::thread::scope(|scope| {
        for number in 1..=8 {
            let model = models.model(number);
            scope.spawn(move || {
                let version = registry.register(&model, &signed("")).unwrap();
                let why = signed(&format!("by {number}"));
                registry.point(name, "production", version.number, &why).unwrap();
            });
        }
    });
    assert_eq!(registry.numbers(name).unwrap(), (1..=8).collect::<Vec<_>>());
    let moves = registry.moves(name, "production").unwrap();
    let reasons: BTreeSet<_> = moves.iter().map(|it| it.signed.why.clone()).collect();
    for number in 1..=8 {
        assert!(reasons.contains(&format!("by {number}")), "a move is lost: {moves:?}");
    }
    assert_eq!(registry.now(name, "production").unwrap(), moves.last().map(|it| it.version));
}
