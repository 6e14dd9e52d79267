use autorma_models::registry::{Reference, RegistryError, Which};

use super::*;

#[test]
fn nobody_waits_for_a_version_that_is_loaded_when_the_process_is_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let model = registered(folder.path(), &[means()]).load("means", 1).unwrap();
    let (runtime, shutdown) = (Runtime::of_the_clone(), Shutdown::new());
    let load = || Session::of_tried(&runtime, &model, AT_ONCE, Some(&shutdown)).map(drop);
    load().unwrap();
    shutdown.request();
    assert!(load().is_err());
}

/// The alias names the second version, and the first one serves yet.
fn while_the_first_serves(test: impl FnOnce(&Fickle, &mut Follower, &Workshop<'_>, &Bench<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let home = registered(folder.path(), &[means(), negatives()]);
    let serving = home.load("means", 1).unwrap();
    let fickle = Arc::new(Fickle::of(home));
    let mut follower = following(&fickle);
    follower.serving = Some((1, serving.manifest.identity()));
    let (config, metrics, runtime) =
        (config(folder.path(), "means@production"), metrics(), Runtime::of_the_clone());
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
    follower.serving = Some((1, serving.manifest.identity()));
    follower.patience = Duration::from_millis(50);

    let (config, metrics, runtime) =
        (config(folder.path(), "means@production"), metrics(), Runtime::of_the_clone());
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

/// Of who has begun with the only version of a registry, in this folder.
fn while_it_serves(folder: &Path, test: impl FnOnce(&mut Follower, &Workshop<'_>, &Bench<'_>)) {
    let home = registered(folder, &[means()]);
    let serving = home.load("means", 1).unwrap();
    let mut follower = following(&Arc::new(Fickle::of(home)));
    let (config, metrics, runtime) = (config(folder, "means@production"), metrics(), Runtime::of_the_clone());
    at_a_bench(&config, &metrics, |bench| {
        let workshop = Workshop::at(bench, &runtime, &serving.manifest);
        assert!(follower.begin(&workshop).unwrap().is_some());
        test(&mut follower, &workshop, bench);
    });
}

#[test]
fn a_version_that_was_gone_for_a_while_serves_on_and_is_not_brought_again() {
    let folder = tempfile::tempdir().unwrap();
    let (there, away) = (folder.path().join("registry"), folder.path().join("away"));
    std::fs::create_dir(&away).unwrap();
    while_it_serves(folder.path(), |follower, workshop, bench| {
        std::fs::rename(there.join("means"), away.join("means")).unwrap();
        assert!(follower.is_behind(workshop, bench));
        std::fs::rename(away.join("means"), there.join("means")).unwrap();
        assert!(!follower.is_behind(workshop, bench));
        assert!(bench.rack.take(0).is_empty(), "it serves already");
    });
}

#[test]
fn a_number_that_is_another_version_from_one_look_to_the_next_is_exchanged() {
    let folder = tempfile::tempdir().unwrap();
    while_it_serves(folder.path(), |follower, workshop, bench| {
        for _ in 0..2 {
            assert!(!follower.is_behind(workshop, bench));
        }
        assert!(bench.rack.take(0).is_empty(), "it serves already");
        for gone in ["registry", "0"] {
            std::fs::remove_dir_all(folder.path().join(gone)).unwrap();
        }
        let other = registered(folder.path(), &[negatives()]).load("means", 1).unwrap().manifest.identity();
        assert!(!follower.is_behind(workshop, bench));
        assert!(bench.rack.take(0).contains_key(&Seat::Arm(0)));
        assert_eq!(follower.serving, Some((1, other)));
    });
}
