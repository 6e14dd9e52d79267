use autorma_models::MANIFEST;
use autorma_models::handmade::senseless;
use autorma_models::registry::Reference;

use super::super::opening::first;
use super::*;

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
    let opening = Opening::of(config, &Runtime::of_the_clone(), metrics, &Shutdown::new())?.unwrap();
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
fn who_starts_while_a_version_is_not_given_asks_for_it_at_the_next_look() {
    at_the_start(&[means(), negatives()], |fickle, workshop| {
        *fickle.giving.lock() = Some(away);
        let mut follower = following(fickle);
        assert!(follower.begin(workshop).unwrap().is_some());
        is_told_of_once_and_asked_for_again_soon(&follower);
    });
}

#[test]
fn who_starts_while_the_registry_is_away_serves_what_has_served() {
    at_the_start(&[means(), senseless()], |fickle, workshop| {
        *fickle.remembers.lock() = 2;
        for trouble in [None, Some(away as Trouble)] {
            *fickle.saying.lock() = trouble;
            let mut follower = following(fickle);
            let begun = follower.begin(workshop).map(drop);
            assert_eq!(begun.map_err(|error| error.to_string()), Ok(()), "away: {}", trouble.is_some());
            assert_eq!(follower.number(), Some(1));
        }
    });
}

#[test]
fn who_starts_serves_no_version_that_the_alias_has_left_while_it_was_made_ready() {
    at_the_start(&[means(), negatives()], |fickle, workshop| {
        let begins_with = |moves: &[(u64, u64)]| {
            *fickle.moves_to.lock() = moves.iter().copied().collect();
            let mut follower = following(fickle);
            let (model, _) = follower.begin(workshop).unwrap().unwrap();
            assert_eq!(follower.serving, Some((*fickle.remembers.lock(), model.manifest.identity())));
            follower.number()
        };
        assert_eq!(begins_with(&[(2, 1)]), Some(1));
        *fickle.giving.lock() = Some(away);
        assert_eq!(begins_with(&[(1, 2)]), Some(1), "what is ready serves where the next one isn't given");
        *fickle.giving.lock() = None;
        let ever_again = [(1, 2), (2, 1)];
        assert!(begins_with(&ever_again).is_some(), "who moves it all the time keeps nobody from beginning");
    });
}

#[test]
fn who_starts_while_the_registry_falls_silent_serves_what_is_ready() {
    at_the_start(&[means()], |fickle, workshop| {
        *fickle.falls_silent.lock() = true;
        let mut follower = following(fickle);
        follower.patience = Duration::from_millis(50);
        assert!(follower.begin(workshop).unwrap().is_some());
        assert_eq!(follower.number(), Some(1));
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
