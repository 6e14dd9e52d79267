//! Versions and aliases: the registry's commands.

use std::fs::{self, File};
use std::process::Command;

use autorma_e2e::{Sandbox, drop_picture, eventually, known, labelled, model, models, read_json, register};
use autorma_models::MANIFEST;
use autorma_models::handmade::{OUTSIDE, fussy, hostile, means, negatives, write};
use autorma_schemas::sha256;
use serde_json::{Value, json};

#[test]
fn the_first_version_of_a_machine_makes_the_folders_above_it() {
    let sandbox = Sandbox::new();
    let folder = model(&sandbox, "first", &means(), "/temperature", json!(1.0));
    let mut command =
        sandbox.command(&["models", "register", folder.to_str().unwrap(), "--alias", "production"]);
    command.env("AUTORMA_DATA", "not-there-yet/data");
    sandbox.spawn(command).wait().expect(0);
    assert!(sandbox.path().join("not-there-yet/data/registry/means/versions/1").is_dir());
}

#[test]
fn versions_stay_aliases_move_and_all_of_it_is_told() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["models", "list"]).expect(0).output.contains("No versions yet"));
    register(&sandbox, &[1.0, 2.0, 3.0]);
    let again = sandbox.path().join("model-1");
    let again = models(&sandbox, &["register", again.to_str().unwrap(), "--alias", "staging"]);
    assert_eq!((&again["version"], &again["alias"]), (&2.into(), &"staging".into()), "it is there");

    let moved = models(&sandbox, &["alias", "means@staging", "production", "--why", "better", "--by", "Ada"]);
    assert_eq!(moved, json!({"model": "means", "alias": "production", "version": 2, "former": 1}));
    let back = models(&sandbox, &["rollback", "means@production", "--why", "worse after all"]);
    assert_eq!(back, json!({"model": "means", "alias": "production", "version": 1, "former": 2}));
    let shown = models(&sandbox, &["show", "means@production"]);
    assert_eq!((&shown["version"], &shown["aliases"]), (&1.into(), &json!(["production"])));
    let moves = shown["moves"]["production"].as_array().unwrap();
    let told = |field: &str| moves.iter().map(|it| it[field].clone()).collect::<Vec<_>>();
    assert_eq!(told("version"), [1, 2, 1]);
    assert_eq!((&told("by")[1], &told("why")[1]), (&"Ada".into(), &"better".into()));

    let differences = models(&sandbox, &["diff", "means/1", "means/3"]);
    let names: Vec<_> = differences.as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["temperature", "version"]);
    assert_eq!(
        models(&sandbox, &["gc", "means", "--keep", "1"]),
        json!([]),
        "aliases may need 1 and 2, 3 is the newest"
    );
    assert_eq!(models(&sandbox, &["verify"]).as_array().unwrap().len(), 3);

    // Every file of a version is checked, and nobody else pays for one that is broken.
    let broken = sandbox.data().join("registry/means/versions/3");
    let manifest = fs::read(broken.join(MANIFEST)).unwrap();
    fs::write(broken.join(MANIFEST), &manifest[..99]).unwrap();
    let verified = sandbox.run(&["models", "verify", "--json"]).expect(1).json();
    let problems: Vec<_> = verified.as_array().unwrap().iter().map(|it| it["problem"].is_null()).collect();
    assert_eq!(problems, [true, true, false]);
    let listed = models(&sandbox, &["list"]);
    assert!(listed[2]["problem"].as_str().unwrap().contains("manifest"), "{listed}");

    for (arguments, expected) in [
        (&["show", "means/9"][..], "there is no version 9 of the model means"),
        (&["alias", "means/1", "latest"], "reserved"),
        (&["alias", "means/1", "../x"], "can't be a name"),
        (&["gc", "nothing", "--keep", "1"], "there is no model nothing"),
        (&["rollback", "means/1"], "only an alias can go back"),
        (&["rollback", "means@staging"], "no other version before"),
        (&["rollback", "nothing@staging"], "the model nothing has no alias staging"),
        (&["register", "nowhere"], "nowhere"),
    ] {
        let arguments: Vec<_> = ["models"].iter().chain(arguments).copied().collect();
        let ended = sandbox.run(&arguments).expect(1);
        assert!(ended.errors.contains(expected), "{arguments:?}: {}", ended.errors);
    }
    let verified = sandbox.run(&["models", "verify", "nothing", "means/1", "--json"]).expect(1).json();
    assert_eq!(
        verified[0]["problem"],
        "there is no model nothing; `autorma models list` shows what there is"
    );
    assert_eq!(verified[1]["can_serve"], true, "{verified}");
}

#[test]
fn a_move_that_a_disk_has_spoilt_costs_nobody_the_list() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 2.0, 3.0]);
    let other = sandbox.path().join("other");
    write(&other, "other", &means()).unwrap();
    models(&sandbox, &["register", other.to_str().unwrap()]);
    models(&sandbox, &["alias", "means/2", "staging"]);
    models(&sandbox, &["alias", "means/3", "lost"]);
    fs::remove_dir_all(sandbox.data().join("registry/means/versions/3")).unwrap();
    let spoilt = sandbox.data().join("registry/means/aliases/production/000001.json");
    fs::write(&spoilt, "").unwrap();
    let listed = models(&sandbox, &["list"]);
    let told = |it: &Value| json!([it["model"], it["version"], it["aliases"], it["problem"].is_null()]);
    let told: Vec<_> = listed.as_array().unwrap().iter().map(told).collect();
    let expected = json!([
        ["means", 1, [], true],
        ["means", 2, ["staging"], true],
        ["means", 3, ["lost"], false],
        ["means", null, ["production"], false],
        ["other", 1, [], true]
    ]);
    assert_eq!(json!(told), expected, "{listed}");
    let what_to_do = |problem: &Value| {
        let problem = problem.as_str().unwrap();
        assert!(problem.contains("000001.json") && problem.contains("or remove it"), "{problem}");
    };
    what_to_do(&listed[3]["problem"]);
    assert!(listed[0]["sha256"].is_string(), "the version itself can be read: {listed}");
    let shown = models(&sandbox, &["show", "means/2"]);
    let moves: Vec<_> = shown["moves"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((&shown["aliases"], moves), (&json!(["staging"]), vec!["lost", "staging"]));
    what_to_do(&shown["problems"]["production"]);
    let text = sandbox.run(&["models", "show", "means/2"]).expect(0).output;
    assert!(text.contains("or remove it"), "{text}");
    let verified = sandbox.run(&["models", "verify", "--json"]).expect(1).json();
    let told = |it: &Value| (it["reference"].as_str().unwrap().to_owned(), it["problem"].is_null());
    let told: Vec<_> = verified.as_array().unwrap().iter().map(told).collect();
    let expected = [
        ("means/1", true),
        ("means/2", true),
        ("means@lost", false),
        ("means@production", false),
        ("other/1", true),
    ];
    assert_eq!(told, expected.map(|(reference, is_good)| (reference.to_owned(), is_good)));
    // Whoever does what the error says has the list again.
    fs::remove_file(&spoilt).unwrap();
    models(&sandbox, &["alias", "means/2", "lost"]);
    sandbox.run(&["models", "verify"]).expect(0);
}

#[test]
fn a_reference_that_is_lost_costs_only_what_it_is_for() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let folder = model(&sandbox, "held", &negatives(), "/model/precision", json!("int8"));
    let floats = fussy();
    fs::write(folder.join("floats.onnx"), &floats).unwrap();
    let mut manifest = read_json(&folder.join(MANIFEST)).unwrap();
    let (sha256, bytes) = (sha256(&floats), floats.len());
    manifest["reference"] =
        json!({"file": "floats.onnx", "sha256": sha256, "bytes": bytes, "precision": "fp32"});
    fs::write(folder.join(MANIFEST), manifest.to_string()).unwrap();
    models(&sandbox, &["register", folder.to_str().unwrap()]);
    let reference = sandbox.data().join(format!("registry/means/versions/2/{sha256}.onnx"));
    fs::remove_file(&reference).unwrap();
    let is_told = |problem: &Value| {
        let problem = problem.as_str().unwrap();
        assert!(problem.contains(&sha256) && problem.contains("means/2 can't be read"), "{problem}");
    };

    let verified = sandbox.run(&["models", "verify", "means", "--json"]).expect(1).json();
    let told = |it: &Value| (it["can_serve"].clone(), it["problem"].is_null());
    let told: Vec<_> = verified.as_array().unwrap().iter().map(told).collect();
    assert_eq!(told, [(json!(true), true), (json!(true), false)], "{verified}");
    is_told(&verified[1]["problem"]);
    let text = sandbox.run(&["models", "verify"]).expect(1).output;
    assert!(text.contains("yes; its reference: "), "{text}");

    let photos = labelled(&sandbox);
    let evaluate = ["evaluate", "--model", "means/2", "--against", "means/1", "--data", &photos];
    let report = sandbox.run(&[&evaluate[..], &["--json"]].concat()).expect(2).json();
    assert_eq!((&report["accuracy"]["of"], &report["reference"]), (&6.into(), &Value::Null));
    assert_eq!(report["against"]["figures"]["accuracy"]["share"], 1.0);
    is_told(&report["reference_problem"]);
    let text = sandbox.run(&evaluate).expect(2).output;
    assert!(text.contains("Its reference can't be asked: "), "{text}");

    fs::write(sandbox.path().join("recipe.toml"), "[targets]\nwrong = 0.2\n").unwrap();
    let make = ["models", "ensemble", "means/1", "means/2", "--weights", "3,1", "--data", &photos];
    let rest = ["--recipe", "recipe.toml", "--output", "both", "--json"];
    let made = sandbox.run(&[&make[..], &rest].concat()).expect(2).json();
    is_told(&made["reference_problems"][0]);
    let members = read_json(&sandbox.path().join("both").join(MANIFEST)).unwrap()["members"].clone();
    assert!(members[1]["model"].is_object() && members[1]["reference"].is_null(), "{members}");

    // Whoever registers the model again has it back.
    let again = models(&sandbox, &["register", folder.to_str().unwrap()]);
    assert_eq!((&again["version"], &again["is_new"]), (&2.into(), &false.into()));
    assert!(reference.exists());
}

#[test]
fn who_waits_for_another_command_says_so_and_goes_on_when_that_has_ended() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 2.0]);
    let lock = File::open(sandbox.data().join("registry/lock")).unwrap();
    lock.lock().unwrap();
    let mut waiting = sandbox.start(&["models", "alias", "means/2", "production"]);
    eventually("it says that it waits", || {
        waiting.said().contains("another command is writing to the registry").then_some(())
    });
    drop(lock);
    waiting.wait().expect(0);
}

#[test]
fn who_has_decided_by_what_an_alias_named_before_moves_nothing() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 2.0, 3.0]);
    models(&sandbox, &["alias", "means/3", "production"]);
    let photos = known(&sandbox);
    let registry = sandbox.data().join("registry");
    let moves = registry.join("means/aliases/production");
    let rollback = ["models", "rollback", "means@production"];
    let promote =
        ["models", "promote", "means/3", "--data", &photos, "--speed", "0", "--calibration-error", "1"];
    for (command, number, version) in [(&rollback[..], 3, 2), (&promote, 4, 1)] {
        let lock = File::open(registry.join("lock")).unwrap();
        lock.lock().unwrap();
        let mut waiting = sandbox.start(command);
        eventually("it has decided, and waits", || {
            waiting.said().contains("another command is writing to the registry").then_some(())
        });
        let mut made = read_json(&moves.join("000001.json")).unwrap();
        made["version"] = json!(version);
        fs::write(moves.join(format!("{number:06}.json")), made.to_string()).unwrap();
        drop(lock);
        let ended = waiting.wait().expect(1);
        assert!(ended.errors.contains("moved"), "{}", ended.errors);
        assert_eq!(models(&sandbox, &["show", "means@production"])["version"], version);
    }
}

#[test]
fn who_has_done_something_has_a_name_and_what_was_there_is_not_new() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let folder = sandbox.path().join("model-0");
    let register = ["models", "register", folder.to_str().unwrap(), "--json"];
    let nameless = sandbox.run(&[&register[..], &["--by", ""]].concat()).expect(1);
    assert!(nameless.errors.contains("--by"), "{}", nameless.errors);
    // A disk has lost who has registered it.
    fs::remove_file(sandbox.data().join("registry/means/versions/1/registered.json")).unwrap();
    let mut command = sandbox.command(&register);
    command.env("USER", "");
    let again = sandbox.spawn(command).wait().expect(0).json();
    assert_eq!((&again["version"], &again["is_new"]), (&1.into(), &false.into()));
    assert_eq!(models(&sandbox, &["show", "means/1"])["registered_by"], "unknown");
}

#[test]
fn a_hostile_model_is_refused_and_crashes_nothing() {
    let sandbox = Sandbox::new();
    // In the folder where the program runs, too.
    let outside = [0; 4 * OUTSIDE as usize];
    fs::write(sandbox.path().join("weights.bin"), outside).unwrap();
    let hostile = hostile();
    register(&sandbox, &[1.0]);
    for (number, (_, onnx)) in hostile.iter().enumerate() {
        let folder = sandbox.path().join(format!("hostile-{number}"));
        write(&folder, "means", onnx).unwrap();
        fs::write(folder.join("weights.bin"), outside).unwrap();
        models(&sandbox, &["register", folder.to_str().unwrap()]);
    }
    // One would compute for half a minute, making way for all others.
    let verify = within(10, &sandbox, &["models", "verify", "--json"]);
    let verified = sandbox.spawn(verify).wait().expect(1).json();
    let mut verified = verified.as_array().unwrap().clone();
    let good = verified.remove(0);
    assert!(good["problem"].is_null(), "one that isn't hostile is loaded: {good}");
    for ((what, _), verified) in hostile.iter().zip(&verified) {
        assert!(verified["problem"].is_string(), "{what} is loaded: {verified}");
        assert!(!verified.to_string().contains("twenty minutes"), "nobody has listened to {what}");
    }
    assert_eq!(verified.len(), hostile.len());
    // Who asks about photos tries it first, too.
    let greedy = hostile.iter().position(|(what, _)| *what == "more memory than there is").unwrap();
    let reference = format!("means/{}", greedy + 2);
    let ended = sandbox.run(&["evaluate", "--model", &reference, "--data", &known(&sandbox)]).expect(1);
    assert!(ended.errors.contains("refuses the model"), "{}", ended.errors);
    // What isn't even registered: a path out of the folder, a claim that the file doesn't keep, a name that would fill
    // predictions, and what is no number.
    for (folder, pointer, value, expected) in [
        ("path", "/model/file", json!("../model-0/means.onnx"), "a name in the manifest's folder"),
        ("claim", "/model/bytes", json!(1_000_000_000_u64), "not the one of its manifest"),
        ("flood", "/model/bytes", json!(10_000_000_000_u64), "2 GiB together"),
        ("name", "/classes/0", json!("a".repeat(100_000)), "1 to 128 bytes"),
        ("number", "/input/std/0", json!(1e-40), "a number of 32 bits"),
    ] {
        let folder = model(&sandbox, folder, &means(), pointer, value);
        let ended = sandbox.run(&["models", "register", folder.to_str().unwrap()]).expect(1);
        assert!(ended.errors.contains(expected), "{}", ended.errors);
    }
}

/// What misbehaves on the way to a photo is refused, whoever has typed its name.
#[test]
fn a_folder_with_a_hostile_model_is_refused_and_crashes_nothing() {
    let sandbox = Sandbox::new();
    drop_picture(&sandbox, 0);
    for (what, expected) in [
        ("ten gigabytes of zeros in few bytes", "refuses the model"),
        ("a division by zero", "has crashed"),
        ("calls in calls", "has crashed"),
        ("another answer each time", "something else of the same picture"),
        ("no end", "has computed"),
    ] {
        let (_, onnx) = hostile().into_iter().find(|(it, _)| *it == what).unwrap();
        let folder = sandbox.path().join(what);
        write(&folder, "means", &onnx).unwrap();
        let run = within(10, &sandbox, &["run", "--model", folder.to_str().unwrap()]);
        let ended = sandbox.spawn(run).wait().expect(1);
        assert!(ended.errors.contains(expected), "{what}: {}", ended.errors);
    }
}

/// Who starts autorma may have limited what its processes may take; nobody may raise that.
#[test]
fn a_version_is_tried_within_limits_that_are_there_already() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    sandbox.spawn(within(20, &sandbox, &["models", "verify", "means/1"])).wait().expect(0);
}

/// The program with these arguments, each of whose processes may compute for so many seconds.
fn within(seconds: u32, sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let command = sandbox.command(arguments);
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -c 0 && ulimit -t {seconds} && exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args()).current_dir(sandbox.path());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}
