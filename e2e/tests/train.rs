//! Training, by the real program: killed, stopped, and recorded.

#[path = "../../models/tests/registry/server.rs"]
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use autorma_broker::Port;
use autorma_e2e::{Process, Random, Sandbox, eventually, seeds};
use autorma_models::handmade::{FEATURES, backbone, picture};
use serde_json::{Value, json};
use server::Mlflow;

/// Draws pictures of reds and greens, and of what is neither, and a recipe of so many copies. With so few pictures none would
/// be accepted where fewer of them may be wrong.
fn prepare(sandbox: &Sandbox, copies: usize) {
    fs::write(sandbox.path().join("backbone.onnx"), backbone()).unwrap();
    let recipe =
        format!("copies = {copies}\nfolds = 2\n[tuning]\nsteps = 60\nbatch = 4\n[targets]\nwrong = 0.2\n");
    fs::write(sandbox.path().join("train.toml"), recipe).unwrap();
    for (folder, [red, green, blue]) in
        [("photos/reds", [200, 0, 0]), ("photos/greens", [0, 200, 0]), ("others/blues", [0, 0, 200])]
    {
        let folder = sandbox.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        for number in 0..12_u8 {
            let shade = |value: u8| value.max(number * 10) - number;
            let colour = [shade(red), shade(green), shade(blue)];
            fs::write(folder.join(format!("{number}.bmp")), picture(colour)).unwrap();
        }
    }
}

fn train(output: &str) -> [&str; 11] {
    [
        "train",
        "--data",
        "photos",
        "--other",
        "others",
        "--config",
        "train.toml",
        "--backbone",
        "backbone.onnx",
        "--output",
        output,
    ]
}

/// What was trained, byte by byte.
fn model(sandbox: &Sandbox, output: &str) -> [Vec<u8>; 3] {
    let folder = sandbox.path().join(output).join("model");
    ["manifest.json", "refund-classifier.onnx", "refund-classifier.fp32.onnx"]
        .map(|file| fs::read(folder.join(file)).unwrap())
}

/// How long the larger file of features in a run folder is, which is that of the backbone in floats; None before there is
/// one.
fn features(folder: &Path) -> Option<u64> {
    let names = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    let is_of_features =
        |path: &PathBuf| path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"features"));
    let files = names.filter(is_of_features);
    files.map(|path| fs::metadata(path).map_or(0, |it| it.len())).max()
}

#[test]
fn a_training_that_is_killed_again_and_again_comes_to_the_same_model() {
    let sandbox = Sandbox::new();
    prepare(&sandbox, 60);
    let whole = sandbox.run(&train("whole")).expect(0);
    assert!(whole.output.contains("held out: all"), "{}", whole.output);
    for seed in seeds(1) {
        is_killed_again_and_again(&sandbox, &format!("killed-{seed}"), &mut Random::new(seed));
    }
}

fn is_killed_again_and_again(sandbox: &Sandbox, folder: &str, random: &mut Random) {
    let [whole, killed] = ["whole", folder].map(|folder| sandbox.path().join(folder));
    // Once so many of the features are there, what comes after goes on with these.
    let some = features(&whole).unwrap() * random.within(0, 101) as u64 / 100;
    let training = sandbox.start(&train(folder));
    let kept = eventually("some of the features", || features(&killed).filter(|length| *length >= some));
    training.kill_or_wait();
    let mut kills = 1;
    // Each gets a little longer than the last one, so that it comes to an end.
    let end = loop {
        let mut training = sandbox.start(&train(folder));
        std::thread::sleep(Duration::from_millis(random.within(0, 40 + kills * 40) as u64));
        if !training.is_running() {
            break training.wait();
        }
        training.kill_or_wait();
        kills += 1;
        assert!(features(&killed).unwrap() >= kept, "the features are computed anew after {kills} kills");
        assert!(kills < 200, "it doesn't come to an end");
    };
    end.expect(0);
    assert!(kills > 2, "{kills} kills say little");
    assert_eq!(model(sandbox, folder), model(sandbox, "whole"), "after {kills} kills");
}

/// Ctrl-C, once there are features of all photos as they are, and of some variations.
fn interrupt(training: &Process, folder: &Path) {
    let enough = 36 * 3 * (32 + 4 * FEATURES + 8);
    eventually("features", || features(folder).filter(|length| *length > enough));
    training.signal("INT");
}

#[test]
fn ctrl_c_makes_a_model_of_what_there_is() {
    let sandbox = Sandbox::new();
    prepare(&sandbox, 1000);
    let mut training = sandbox.start(&train("run"));
    interrupt(&training, &sandbox.path().join("run"));
    let ended = training.wait().expect(2);
    assert!(ended.output.contains("of 1000 variations of each photo"), "{}", ended.output);
    let answer = "stopping: a model is made of what there is";
    assert!(ended.errors.contains(answer), "{}", ended.errors);
    let registered = sandbox.run(&["models", "register", "run/model", "--json"]).expect(0).json();
    assert_eq!(registered["version"], 1);
    let judged = ["evaluate", "--model", "run/model", "--data", "photos", "--unknown", "others", "--json"];
    let figures = sandbox.run(&judged).expect(0).json();
    assert!(figures["accuracy"]["share"].as_f64().unwrap() > 0.9, "{figures}");
    // Whose standard output is JSON hears it as well.
    let mut training = start(&sandbox, [], &train("scripted"));
    interrupt(&training, &sandbox.path().join("scripted"));
    let ended = training.wait().expect(2);
    assert_eq!(ended.json()["is_whole"], false);
    assert!(ended.errors.contains("not all that the recipe wants was done"), "{}", ended.errors);
}

/// The program with the server that these variables of its environment name.
fn start<'a>(
    sandbox: &Sandbox,
    server: impl IntoIterator<Item = (&'a str, String)>,
    arguments: &[&str],
) -> Process {
    let mut command = sandbox.command(&[arguments, &["--json"]].concat());
    command.envs(server);
    sandbox.spawn(command)
}

/// What Python's `mlflow` reads of the runs of the experiment, oldest first.
fn runs(mlflow: &Mlflow) -> Vec<Value> {
    let told = mlflow.python(
        "
import json
client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name('refund-classifier').experiment_id
def told(run):
    model = mlflow.artifacts.list_artifacts(run_id=run.info.run_id, artifact_path='model')
    files = mlflow.artifacts.list_artifacts(run_id=run.info.run_id) + model
    losses = client.get_metric_history(run.info.run_id, 'loss')
    tuning = client.get_metric_history(run.info.run_id, 'tuning.loss')
    return {
        'run': run.info.run_id, 'name': run.info.run_name, 'status': run.info.status,
        'params': run.data.params, 'metrics': run.data.metrics, 'tags': run.data.tags,
        'files': [it.path for it in files], 'losses': [it.value for it in losses], 'steps': [it.step for it in losses],
        'tuning': [it.value for it in tuning],
    }
runs = client.search_runs([experiment], order_by=['attributes.start_time'])
print(json.dumps([told(run) for run in runs]))
",
        &[],
    );
    serde_json::from_str(&told).unwrap()
}

#[test]
fn a_training_is_recorded_once_if_need_be_later_and_one_that_was_stopped_too() {
    let sandbox = Sandbox::new();
    prepare(&sandbox, 2);
    let nobodys = Port::any().unwrap();
    let nobody = [("MLFLOW_TRACKING_URI", format!("http://127.0.0.1:{}", nobodys.number))];
    let away = start(&sandbox, nobody, &train("run")).wait().expect(0);
    assert!(away.errors.contains("once that is mended, the same command records it"), "{}", away.errors);
    assert_eq!(away.json()["mlflow_run"], Value::Null);
    for file in ["report.html", "metrics.json", "train.toml", "model/CARD.md", "model/manifest.json"] {
        assert!(sandbox.path().join("run").join(file).exists(), "{file}");
    }
    let Some(mlflow) = Mlflow::start() else { return };
    let recorded = start(&sandbox, mlflow.variables(), &train("run")).wait().expect(0).json();
    let again = start(&sandbox, mlflow.variables(), &train("run")).wait().expect(0).json();
    assert_eq!(again["mlflow_run"], recorded["mlflow_run"]);
    let [run] = &*runs(&mlflow) else { panic!("it is recorded more than once") };
    assert_eq!(run["run"], recorded["mlflow_run"]);
    assert_eq!((&run["name"], &run["status"]), (&"run".into(), &"FINISHED".into()));
    for (name, value) in [("copies", "2"), ("head.l2", "0.01"), ("tuning.steps", "60"), ("precision", "int8")]
    {
        assert_eq!(run["params"][name], value, "{run}");
    }
    let steps: Vec<_> = (1..=recorded["losses"].as_array().unwrap().len()).collect();
    assert_eq!((&run["losses"], &run["steps"]), (&recorded["losses"], &json!(steps)));
    assert_eq!(run["tuning"], recorded["tuning_losses"]);
    assert_eq!(run["tuning"].as_array().unwrap().len(), 60);
    for (name, pointer) in [
        ("held_out/accuracy", "/held_out/0/accuracy/share"),
        ("held_out/refused", "/held_out/0/decisions/unknown/share"),
        ("held_out/found_unknown", "/held_out/0/strangers/decisions/unknown/share"),
        ("held_out/calibration_error", "/held_out/0/calibration_error"),
        ("held_out.others/found_unknown", "/held_out/2/strangers/decisions/unknown/share"),
        ("floats.held_out/accuracy", "/in_floats/held_out/0/accuracy/share"),
        ("temperature", "/temperature"),
        ("threshold.unknown", "/thresholds/unknown"),
    ] {
        assert_eq!(&run["metrics"][name], recorded.pointer(pointer).unwrap(), "{name}: {run} {recorded}");
    }
    let manifest: Value = serde_json::from_slice(&model(&sandbox, "run")[0]).unwrap();
    let tags = &run["tags"];
    assert_eq!(tags["autorma.sha256"], manifest["model"]["sha256"]);
    assert_eq!((&tags["autorma.data"], &tags["autorma.other"]), (&"photos".into(), &"others".into()));
    assert_eq!((&tags["autorma.is_whole"], &tags["autorma.is_tuned"]), (&"true".into(), &"true".into()));
    assert_eq!(tags["autorma.licence"], manifest["licence"]);
    let file = |pointer: &str| format!("model/{}.onnx", manifest.pointer(pointer).unwrap().as_str().unwrap());
    let files = ["report.html", "metrics.json", "train.toml", "model/CARD.md", "model/manifest.json"];
    let files = files.map(str::to_owned).into_iter();
    for file in files.chain([file("/model/sha256"), file("/reference/sha256")]) {
        assert!(run["files"].as_array().unwrap().contains(&file.clone().into()), "{file}: {run}");
    }

    let registered =
        start(&sandbox, mlflow.variables(), &["models", "register", "run/model"]).wait().expect(0).json();
    assert_eq!(registered["version"], 1);
    let program = "print(mlflow.MlflowClient().get_model_version('refund-classifier', '1').run_id)";
    assert_eq!(mlflow.python(program, &[]).trim(), run["run"].as_str().unwrap(), "of the training's run");

    prepare(&sandbox, 1000);
    let mut stopped = start(&sandbox, mlflow.variables(), &train("stopped"));
    interrupt(&stopped, &sandbox.path().join("stopped"));
    let stopped = stopped.wait().expect(2).json();
    let runs = runs(&mlflow);
    assert_eq!(runs.len(), 2, "registering has made none");
    let run = runs.iter().find(|run| run["name"] == "stopped").unwrap();
    assert_eq!((&run["run"], &run["status"]), (&stopped["mlflow_run"], &"FINISHED".into()));
    assert_eq!(run["tags"]["autorma.is_whole"], "false");
    assert_eq!(run["metrics"]["copies"], stopped["copies"].as_f64().unwrap());
}

/// Changes a JSON file.
fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn int8_is_held_against_the_floats_that_it_was_quantized_from() {
    let sandbox = Sandbox::new();
    prepare(&sandbox, 2);
    let at = |name: &str| sandbox.path().join(name);
    sandbox.run(&train("good")).expect(0);
    let judge = |arguments: &[&str]| {
        let all = ["evaluate", "--model", "good/model", "--data", "photos", "--unknown", "others"];
        sandbox.run(&[&all, arguments].concat()).expect(0)
    };
    let figures = judge(&["--json"]).json();
    assert_eq!((&figures["precision"], &figures["reference"]["precision"]), (&"int8".into(), &"fp32".into()));
    let share = |pointer: &str| figures.pointer(pointer).unwrap().as_f64().unwrap();
    assert!(share("/accuracy/share") > 0.9 && share("/reference/figures/accuracy/share") > 0.9, "{figures}");
    assert!(share("/reference/comparison/agree/share") > 0.8, "{figures}");
    assert!(share("/reference/speed") > 0.0);
    let text = judge(&[]).output;
    assert!(text.contains("its reference") && text.contains("times as fast"), "{text}");

    // Another one's INT8, which has learned the opposite, with this one's floats.
    fs::create_dir_all(at("swapped")).unwrap();
    fs::rename(at("photos/reds"), at("swapped/greens")).unwrap();
    fs::rename(at("photos/greens"), at("swapped/reds")).unwrap();
    let mut swapped = train("opposite");
    swapped[2] = "swapped";
    sandbox.run(&swapped).expect(0);
    fs::rename(at("swapped/greens"), at("photos/reds")).unwrap();
    fs::rename(at("swapped/reds"), at("photos/greens")).unwrap();
    fs::create_dir_all(at("bad")).unwrap();
    for file in ["manifest.json", "refund-classifier.fp32.onnx"] {
        fs::copy(at("good/model").join(file), at("bad").join(file)).unwrap();
    }
    fs::copy(at("opposite/model/refund-classifier.onnx"), at("bad/refund-classifier.onnx")).unwrap();
    let opposite: Value =
        serde_json::from_slice(&fs::read(at("opposite/model/manifest.json")).unwrap()).unwrap();
    change(&at("bad/manifest.json"), |manifest| manifest["model"] = opposite["model"].clone());

    for folder in ["good/model", "bad"] {
        sandbox.run(&["models", "register", folder]).expect(0);
    }
    let promote = |version: &str, arguments: &[&str], status| {
        let all = ["models", "promote", version, "--data", "photos", "--calibration-error", "1"];
        sandbox.run(&[&all[..], &["--wrong", "100", "--json"], arguments].concat()).expect(status).json()
    };
    let check = |promotion: &Value| {
        let mut checks = promotion["checks"].as_array().unwrap().iter();
        checks.find(|check| check["what"] == "accuracy, held against its reference").unwrap().clone()
    };
    assert_eq!(check(&promote("refund-classifier/1", &[], 0))["passed"], true);
    let refused = promote("refund-classifier/2", &["--to", "staging"], 1);
    assert_eq!(refused["promoted"], false);
    assert_eq!(check(&refused)["passed"], false);
    assert!(check(&refused)["wanted"].as_str().unwrap().ends_with("% - 0.3 points"), "{refused}");
    // Nothing else is wrong with it where nothing serves, and any accuracy is good enough.
    let refused = promote("refund-classifier/2", &["--to", "staging", "--accuracy", "0"], 1);
    assert!(
        refused["checks"].as_array().unwrap().iter().filter(|check| check["passed"] == false).count() == 1
    );
    let forced = promote("refund-classifier/2", &["--to", "staging", "--force", "--why", "a test"], 0);
    assert_eq!((&forced["promoted"], &forced["forced"]), (&true.into(), &true.into()));
    assert_eq!(forced["why"], "forced: a test");
    let shown = sandbox.run(&["models", "show", "refund-classifier/2", "--json"]).expect(0).json();
    assert_eq!(shown["moves"]["staging"][0]["why"], "forced: a test");

    // What it was quantized from is verified, too.
    let reference = shown["manifest"]["reference"]["file"].as_str().unwrap();
    let file = sandbox.data().join("registry/refund-classifier/versions/2").join(reference);
    fs::write(file, "others").unwrap();
    let verified = sandbox.run(&["models", "verify", "refund-classifier/2"]).expect(1).output;
    assert!(verified.contains("is not the one of its manifest"), "{verified}");
}

#[test]
fn what_can_t_be_trained_is_said() {
    let sandbox = Sandbox::new();
    prepare(&sandbox, 1);
    let refused = |arguments: &[&str], expected: &str| {
        let ended = sandbox.run(arguments).expect(1);
        assert!(ended.errors.contains(expected), "{expected:?} is not in {}", ended.errors);
    };
    fs::write(sandbox.path().join("wrong.toml"), "copis = 3").unwrap();
    let mut wrong = train("run");
    wrong[6] = "wrong.toml";
    refused(&wrong, "unknown field `copis`");
    let mut none = train("run");
    none[8] = "none.onnx";
    refused(&none, "`make backbone` makes it");
    let mut others = train("run");
    others[2] = "others";
    refused(&others, "only one class");
    fs::write(sandbox.path().join("wrong.toml"), "precision = \"int4\"").unwrap();
    refused(&wrong, "int8");
}
