use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, PoisonError, RwLock};

use autorma_models::registry::{
    Figure, MlflowRegistry, Recording, Reference, Registry, RegistryError, Server, checked_alias,
};
use autorma_models::{MANIFEST, Model, handmade};
use autorma_schemas::{Micros, sha256};

use crate::server::{Mlflow, PASSWORD, USER};
use crate::suite::{self, Models, signed};

/// The server of all tests; who kills it writes.
fn shared() -> Option<&'static RwLock<Mlflow>> {
    static SERVER: OnceLock<Option<RwLock<Mlflow>>> = OnceLock::new();
    SERVER.get_or_init(|| Mlflow::start().map(RwLock::new)).as_ref()
}

fn registry(mlflow: &Mlflow, cache: &Path) -> MlflowRegistry {
    registry_of(mlflow, cache, PASSWORD)
}

fn registry_of(mlflow: &Mlflow, cache: &Path, password: &str) -> MlflowRegistry {
    let (username, password) = (USER.to_owned(), password.to_owned());
    let server = Server { url: mlflow.url(), username, password, ..Server::default() };
    MlflowRegistry::new(server, cache).unwrap()
}

macro_rules! server {
    () => {
        match shared() {
            Some(server) => server.read().unwrap_or_else(PoisonError::into_inner),
            None => return,
        }
    };
}

#[test]
fn mlflow_does_what_every_home_must() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    suite::holds(&here, "mlflow");
    // What is lost of a reference costs the model nothing.
    let (name, floats) = ("mlflow-reference", format!("{}.onnx", sha256(&handmade::negatives())));
    fs::remove_file(artifacts(&mlflow, name, "2").join(&floats)).unwrap();
    let (model, reference) = here.verify(name, 2).unwrap();
    let said = reference.unwrap_err().to_string();
    assert_eq!(model.onnx, [handmade::means()]);
    assert!(said.ends_with(&format!("{floats} of {name}/2 isn't on the server; register it anew")), "{said}");
}

#[test]
fn what_was_fetched_is_there_when_the_server_is_not() {
    let Some(shared) = shared() else { return };
    let mut mlflow = shared.write().unwrap_or_else(PoisonError::into_inner);
    let cache = tempfile::tempdir().unwrap();
    let (name, production) = ("away", "away@production".parse().unwrap());
    let models = {
        let here = registry(&mlflow, cache.path());
        let models = Models::registered(name, 2, &here);
        here.point(name, "production", 1, &signed("")).unwrap();
        here.resolve(&production).unwrap();
        here.load(name, 1).unwrap();
        assert!(here.remembered(&production).is_none(), "it may be one that can't serve");
        here.remember(&production, 1);
        models
    };
    mlflow.kill();
    // Another process, which never saw the server.
    let here = registry(&mlflow, cache.path());
    let error = here.resolve(&production).unwrap_err();
    assert!(error.is_away() && error.to_string().contains(&mlflow.url()), "{error}");
    let (number, model) = here.remembered(&production).unwrap();
    assert_eq!((number, &*model.manifest.version, model.onnx), (1, "1", vec![handmade::means()]));
    assert!(here.remembered(&"away/2".parse().unwrap()).is_none(), "nobody has fetched it");
    assert!(here.remembered(&"away@staging".parse().unwrap()).is_none());
    assert!(here.register(&models.model(1), &signed("")).unwrap_err().is_away());
    mlflow.restart();
    assert_eq!(here.resolve(&production).unwrap(), 1, "the same handle goes on");
    here.point(name, "production", 2, &signed("")).unwrap();
    assert_eq!(here.resolve(&production).unwrap(), 2);
    assert_eq!(here.remembered(&production).unwrap().0, 1, "that has served last");
    here.remember(&production, 2);
    assert_eq!(here.remembered(&production).unwrap().0, 2);
    // What is on the disk is no more trusted than what comes from the server.
    let file = find(cache.path(), "onnx");
    fs::write(&file, "something else").unwrap();
    fs::write(find(cache.path(), "onnx"), "something else").unwrap();
    let (one, other) = (here.load(name, 1).unwrap(), here.load(name, 2).unwrap());
    assert!(one.onnx == [handmade::means()] && other.onnx == [handmade::means()], "it was fetched again");
}

/// A file somewhere below.
fn find(folder: &Path, extension: &str) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false if entry.extension().is_some_and(|it| it == extension) => return entry,
                false => {}
            }
        }
    }
    panic!("no {extension}")
}

#[test]
fn python_reads_what_is_written_here_and_the_other_way_round() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    let models = Models::registered("shared", 2, &here);
    here.point("shared", "production", 1, &signed("the first")).unwrap();
    let told = mlflow.python(
        "
client = mlflow.MlflowClient()
version = client.get_model_version_by_alias('shared', 'production')
folder = mlflow.artifacts.download_artifacts('models:/shared@production')
import hashlib, json, pathlib
manifest = json.loads(pathlib.Path(folder, 'manifest.json').read_text())
onnx = pathlib.Path(folder, manifest['model']['file']).read_bytes()
assert hashlib.sha256(onnx).hexdigest() == manifest['model']['sha256'] == version.tags['autorma.sha256']
print(version.version, version.tags['autorma.registered_by'], client.get_run(version.run_id).info.status)
client.set_registered_model_alias('shared', 'production', '2')
",
        &[],
    );
    assert_eq!(told.trim(), "1 a test FINISHED");
    // What somebody else has moved is what holds, and is remembered as far as it can be known.
    assert_eq!(here.now("shared", "production").unwrap(), Some(2));
    here.point("shared", "production", 1, &signed("back")).unwrap();
    let moves = here.moves("shared", "production").unwrap();
    assert_eq!(moves.iter().map(|it| it.version).collect::<Vec<_>>(), [1, 2, 1]);
    assert!(moves[1].signed.why.contains("somebody else"), "{moves:?}");

    // A folder with a manifest that Python registers is a version; anything else is one that can't be read.
    let folder = models.model(1);
    let mut manifest = Model::manifest(&folder).unwrap();
    manifest.temperature = 9.0;
    fs::write(folder.join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
    mlflow.python(
        "
mlflow.set_experiment('shared')
with mlflow.start_run() as run:
    mlflow.log_artifacts(sys.argv[1], 'anything')
    mlflow.log_text('nothing', 'other/notes.txt')
for source in (f'runs:/{run.info.run_id}/anything', f'{run.info.artifact_uri}/other'):
    mlflow.MlflowClient().create_model_version('shared', source, run.info.run_id)
",
        &[folder.to_str().unwrap()],
    );
    assert_eq!(here.numbers("shared").unwrap(), [1, 2, 3, 4]);
    let model = here.load("shared", 3).unwrap();
    assert_eq!((&*model.manifest.version, model.manifest.temperature), ("3", 9.0));
    assert_eq!(here.register(&folder, &signed("")).unwrap().number, 3, "it is found again");
    // Whoever has let an alias name it has looked at it: from then on it can't be exchanged.
    here.point("shared", "staging", 3, &signed("")).unwrap();
    let there = mlflow.python(
        "print(mlflow.MlflowClient().get_run(mlflow.MlflowClient().get_model_version('shared', '3').run_id).info.artifact_uri)",
        &[],
    );
    let there =
        mlflow.artifacts().join(there.trim().trim_start_matches("mlflow-artifacts:/")).join("anything");
    assert!(here.verify("shared", 3).is_ok());
    fs::copy(models.model(2).join(MANIFEST), there.join(MANIFEST)).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let fresh = registry(&mlflow, elsewhere.path());
    let error = fresh.load("shared", 3).unwrap_err().to_string();
    assert!(error.contains("aren't those that were registered"), "{error}");
    assert!(
        fresh.point("shared", "production", 3, &signed("")).is_err() && fresh.verify("shared", 3).is_err()
    );

    assert!(here.load("shared", 4).is_err() && here.version("shared", 4).is_err());
    assert!(here.point("shared", "production", 4, &signed("")).is_err());
    assert_eq!(here.now("shared", "production").unwrap(), Some(1));
}

#[test]
fn what_python_copies_from_another_model_is_a_version_like_any_other() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    let (name, models) = ("copied", Models::new("copied", 2));
    let folders = [models.model(1), models.model(2)];
    mlflow.python(
        "
name, *folders = sys.argv[1:]
client = mlflow.MlflowClient()
client.create_registered_model(f'{name}-dev')
mlflow.set_experiment(name)
for source, folder in zip(('runs:/{0.run_id}/model', '{0.artifact_uri}/model'), folders):
    with mlflow.start_run() as run:
        mlflow.log_artifacts(folder, 'model')
    made = client.create_model_version(f'{name}-dev', source.format(run.info), run.info.run_id)
    client.copy_model_version(f'models:/{name}-dev/{made.version}', name)
client.set_registered_model_alias(name, 'production', '1')
",
        &[name, folders[0].to_str().unwrap(), folders[1].to_str().unwrap()],
    );
    assert_eq!(here.resolve(&"copied@production".parse().unwrap()).unwrap(), 1);
    for number in [1, 2] {
        let model = here.load(name, number).unwrap();
        assert_eq!((model.manifest.temperature, model.onnx), (number as f64, vec![handmade::means()]));
        here.verify(name, number).unwrap().1.unwrap();
    }
    here.point(name, "production", 2, &signed("")).unwrap();
    assert_eq!(here.now(name, "production").unwrap(), Some(2));
}

#[test]
fn what_is_reserved_here_is_what_mlflow_refuses() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    Models::registered("reserved", 1, &here);
    let aliases = ["latest", "LaTest", "v1", "V23", "a.b", "v", "v1a", "vv1", "1", "latest-eu", "a_b-C"];
    let told = mlflow.python(
        "
for alias in sys.argv[1:]:
    try:
        mlflow.MlflowClient().set_registered_model_alias('reserved', alias, '1')
    except mlflow.MlflowException:
        print(alias)
",
        &aliases,
    );
    let refused: Vec<_> = aliases.into_iter().filter(|alias| checked_alias(alias).is_err()).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), refused);
}

/// A training of long ago, with more of everything than MLflow takes at once.
fn recording(model: &Path) -> Recording {
    let figure = |step| Figure { name: "loss".into(), step, value: 1.0 / step as f64 };
    Recording {
        name: "first".into(),
        by: "a test".into(),
        begun: Micros(1_000_000_000),
        parameters: (0..150).map(|it| (format!("part.{it}"), it.to_string())).collect(),
        figures: (1..=1200).map(figure).collect(),
        tags: vec![("autorma.data", "ä".repeat(10_000))],
        model: model.to_owned(),
        files: vec![("report.html", model.join("report.html"))],
    }
}

#[test]
fn a_training_is_one_run_also_if_its_recording_was_cut_short_and_a_version_is_of_that_run() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    let models = Models::new("trained", 2);
    let mut training = recording(&models.model(1));
    // It ends where a file isn't there yet.
    assert!(matches!(here.record(&training), Err(RegistryError::File { .. })));
    fs::write(&training.files[0].1, "a page").unwrap();
    let recorded = here.record(&training).unwrap();
    assert_eq!(here.record(&training).unwrap(), recorded, "it is there");
    assert!(recorded.page.starts_with(&format!("{}/#/experiments/", mlflow.url())), "{recorded:?}");
    let read = "
client = mlflow.MlflowClient()
[run] = client.search_runs([client.get_experiment_by_name('trained').experiment_id])
losses = client.get_metric_history(run.info.run_id, 'loss')
assert [(it.step, it.value) for it in losses] == [(step, 1 / step) for step in range(1, 1201)]
assert run.data.params == {f'part.{it}': str(it) for it in range(150)}
assert run.data.tags['autorma.data'] == 'ä' * 5000
assert mlflow.artifacts.load_text(f'{run.info.artifact_uri}/report.html') == 'a page'
print(run.info.run_id, run.info.run_name, run.info.status)
";
    assert_eq!(mlflow.python(read, &[]).trim(), format!("{} first FINISHED", recorded.run));

    let run_of = |number: &str| {
        let program = "print(mlflow.MlflowClient().get_model_version('trained', sys.argv[1]).run_id)";
        mlflow.python(program, &[number]).trim().to_owned()
    };
    for number in [1, 2] {
        let version = here.register(&models.model(number), &signed("")).unwrap();
        assert_eq!(version, here.version("trained", number.into()).unwrap());
        here.load("trained", number.into()).unwrap();
    }
    assert_eq!(run_of("1"), recorded.run);
    assert_ne!(run_of("2"), recorded.run, "nobody has recorded how that was trained");
    assert_eq!(here.collect("trained", 1).unwrap(), [1]);
    assert_eq!(here.record(&training).unwrap(), recorded, "a training stays when its version goes");

    training.parameters[0].1 = "another".into();
    assert_ne!(here.record(&training).unwrap().run, recorded.run);
}

#[test]
fn a_training_whose_artifacts_were_lost_is_registered_whole() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    let models = Models::new("thinned", 1);
    let training = recording(&models.model(1));
    fs::write(&training.files[0].1, "a page").unwrap();
    let run = here.record(&training).unwrap().run;
    let uri = mlflow.python("print(mlflow.MlflowClient().get_run(sys.argv[1]).info.artifact_uri)", &[&run]);
    let there = mlflow.artifacts().join(uri.trim().trim_start_matches("mlflow-artifacts:/"));
    fs::remove_file(find(&there, "onnx")).unwrap();
    assert_eq!(here.register(&models.model(1), &signed("")).unwrap().number, 1);
    assert_eq!(artifacts(&mlflow, "thinned", "1"), there.join("model"), "it is the training's");
    here.verify("thinned", 1).unwrap().1.unwrap();
}

#[test]
fn what_a_killed_first_registration_has_left_is_collected() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    // One of long ago, and one of now.
    let runs = mlflow.python(
        "
client = mlflow.MlflowClient()
client.create_registered_model('begun')
experiment = client.create_experiment('begun')
for start_time in [1000, None]:
    tags = {'autorma.manifest_sha256': 'a hash'}
    print(client.create_run(experiment, start_time=start_time, tags=tags).info.run_id)
",
        &[],
    );
    let [left, begun] = runs.lines().collect::<Vec<_>>()[..] else { panic!("{runs}") };
    assert!(here.collect("begun", 1).unwrap().is_empty());
    let stage = "print(mlflow.MlflowClient().get_run(sys.argv[1]).info.lifecycle_stage)";
    assert_eq!(mlflow.python(stage, &[left]).trim(), "deleted");
    assert_eq!(mlflow.python(stage, &[begun]).trim(), "active", "somebody may be registering");
    let program = "mlflow.MlflowClient().delete_run(sys.argv[1])";
    mlflow.python(program, &[begun]);
    for nothing in ["begun", "never-begun"] {
        let collected = here.collect(nothing, 1);
        assert!(matches!(collected, Err(RegistryError::NoModel(_))), "{nothing}: {collected:?}");
    }
}

/// The folder in which the server has a version's artifacts.
fn artifacts(mlflow: &Mlflow, name: &str, number: &str) -> PathBuf {
    let program = "print(mlflow.MlflowClient().get_model_version(*sys.argv[1:]).source)";
    let source = mlflow.python(program, &[name, number]);
    mlflow.artifacts().join(source.trim().trim_start_matches("mlflow-artifacts:/"))
}

#[test]
fn artifacts_that_were_changed_are_refused() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    Models::registered("changed", 1, &here);
    let folder = artifacts(&mlflow, "changed", "1");
    let other = Models::new("changed", 2);
    // Another model, whole: only the version's tags know better.
    fs::copy(other.model(2).join(MANIFEST), folder.join(MANIFEST)).unwrap();
    let error = here.load("changed", 1).unwrap_err().to_string();
    assert!(error.contains("aren't those that were registered"), "{error}");
    fs::write(folder.join(MANIFEST), vec![b' '; 2 << 20]).unwrap();
    let error = here.load("changed", 1).unwrap_err().to_string();
    assert!(error.contains("more than the 1048576 bytes"), "{error}");
    fs::remove_file(folder.join(MANIFEST)).unwrap();
    assert!(!here.load("changed", 1).unwrap_err().is_away());
}

#[test]
fn what_the_server_has_lost_serves_on_where_it_was_fetched_and_nobody_is_told_that_it_is_there() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    let name = "lost";
    let models = Models::registered(name, 1, &here);
    let point = |number, alias| here.point(name, alias, number, &signed("")).map(drop);
    point(1, "staging").unwrap();
    here.verify(name, 1).unwrap().1.unwrap();
    // As many bytes, one of which is another.
    let file = find(&artifacts(&mlflow, name, "1"), "onnx");
    let mut onnx = fs::read(&file).unwrap();
    onnx[9] ^= 1;
    fs::write(&file, onnx).unwrap();
    for refused in [here.verify(name, 1).map(drop), point(1, "production")] {
        assert!(matches!(refused, Err(RegistryError::Unfit { .. })), "{refused:?}");
    }
    assert_eq!(here.now(name, "production").unwrap(), None);
    // With another manifest there, too, what is fetched again is what was registered.
    let (others, there) = (Models::new(name, 2), artifacts(&mlflow, name, "1"));
    fs::write(&file, handmade::means()).unwrap();
    fs::copy(others.model(2).join(MANIFEST), there.join(MANIFEST)).unwrap();
    fs::write(find(cache.path(), "onnx"), "something else").unwrap();
    let model = here.load(name, 1).unwrap();
    assert_eq!((model.manifest.temperature, model.onnx), (1.0, vec![handmade::means()]));
    assert!(here.verify(name, 1).is_err());

    assert_eq!(here.register(&models.model(1), &signed("")).unwrap().number, 2, "it is another version");
    assert_eq!(here.register(&models.model(1), &signed("")).unwrap().number, 2, "which is found again");
    point(2, "production").unwrap();
    fs::remove_file(artifacts(&mlflow, name, "2").join(MANIFEST)).unwrap();
    assert!(here.load(name, 2).is_ok() && point(2, "staging").is_err());
    let lost = here.verify(name, 2).unwrap_err().to_string();
    assert!(lost.ends_with("manifest.json of lost/2 isn't on the server; register it anew"), "{lost}");
    assert!(here.names().unwrap().contains(&name.to_owned()));
    assert_eq!(here.register(&models.model(1), &signed("")).unwrap().number, 3);
}

/// The tags of ours that a version has.
fn seal(mlflow: &Mlflow, name: &str, number: &str) -> String {
    let program = "
tags = mlflow.MlflowClient().get_model_version(*sys.argv[1:]).tags
print(*sorted(tag for tag in tags if tag.startswith('autorma.')))
";
    mlflow.python(program, &[name, number]).trim().to_owned()
}

#[test]
fn an_alias_moves_to_what_was_examined_although_others_can_exchange_it() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    let (name, models) = ("exchanged", Models::new("exchanged", 2));
    mlflow.python(
        "
client = mlflow.MlflowClient()
client.create_registered_model(sys.argv[1])
mlflow.set_experiment(sys.argv[1])
with mlflow.start_run() as run:
    mlflow.log_artifacts(sys.argv[2], 'model')
client.create_model_version(sys.argv[1], f'{run.info.artifact_uri}/model', run.info.run_id)
",
        &[name, models.model(1).to_str().unwrap()],
    );
    let examined = here.load(name, 1).unwrap().manifest;
    let there = artifacts(&mlflow, name, "1").join(MANIFEST);
    let point = || here.point_examined(None, &examined, "production", 1, &signed(""));
    // The same ONNX file, and whole: only its temperature is another.
    fs::copy(models.model(2).join(MANIFEST), &there).unwrap();
    let refused = point();
    assert!(matches!(refused, Err(RegistryError::Changed { .. })), "{refused:?}");
    assert_eq!((here.now(name, "production").unwrap(), seal(&mlflow, name, "1").as_str()), (None, ""));
    fs::copy(models.model(1).join(MANIFEST), &there).unwrap();
    assert_eq!(point().unwrap().version, 1);
    assert_eq!(seal(&mlflow, name, "1"), "autorma.manifest_sha256 autorma.sha256");
}

#[test]
fn a_disk_that_takes_no_notes_keeps_nobody_from_what_an_alias_names() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    let (name, production) = ("unnoted", "unnoted@production".parse::<Reference>().unwrap());
    Models::registered(name, 2, &here);
    let serve = |number| {
        here.point(name, "production", number, &signed("")).unwrap();
        here.remember(&production, number);
    };
    for number in [1, 2] {
        serve(number);
        assert_eq!(here.now(name, "production").unwrap(), Some(number));
        here.load(name, number).unwrap();
    }
    let mut servers = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path().join("names"));
    let names = servers.find(|names| names.is_dir()).unwrap();
    // What is fetched is here. First nothing can be noted of aliases, and then nothing of versions either.
    for (number, folder) in [(1, names.join(name).join("aliases")), (2, names)] {
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, "no folder").unwrap();
        serve(number);
        assert_eq!(here.now(name, "production").unwrap(), Some(number));
        assert_eq!(here.load(name, number).unwrap().manifest.version, number.to_string());
    }
}

#[test]
fn what_others_need_is_never_collected() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry(&mlflow, cache.path());
    Models::registered("needed", 4, &here);
    // An alias that can't be one here, and a version of another model from the second one's run.
    let told = mlflow.python(
        "
client = mlflow.MlflowClient()
client.set_registered_model_alias('needed', '_champion', '1')
client.create_registered_model('needed-elsewhere')
versions = [client.get_model_version('needed', number) for number in '23']
client.create_model_version('needed-elsewhere', versions[0].source, versions[0].run_id)
print(*(version.run_id for version in versions))
",
        &[],
    );
    assert_eq!(here.collect("needed", 1).unwrap(), [2, 3]);
    assert_eq!(here.numbers("needed").unwrap(), [1, 4]);
    let runs: Vec<_> = told.split_whitespace().collect();
    let stages = "print(*(mlflow.MlflowClient().get_run(run).info.lifecycle_stage for run in sys.argv[1:]))";
    assert_eq!(mlflow.python(stages, &runs).trim(), "active deleted");
}

#[test]
fn a_stranger_is_told_what_is_missing_and_no_secret_is_told_to_anybody() {
    let (mlflow, cache) = (server!(), tempfile::tempdir().unwrap());
    let here = registry_of(&mlflow, cache.path(), "a wrong secret");
    let error = here.names().unwrap_err();
    assert!(error.to_string().contains("401") && error.to_string().contains("mlflow.token"), "{error}");
    assert!(!format!("{here:?} {error:?} {error}").contains("secret"), "{here:?}");
    for (url, expected) in [
        ("ftp://somewhere", "http:// or https://"),
        ("http://name:secret@somewhere", "mlflow.username"),
        ("nowhere", "can't be read"),
    ] {
        let server = Server { url: url.into(), ..Server::default() };
        let error = MlflowRegistry::new(server, cache.path()).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
}
