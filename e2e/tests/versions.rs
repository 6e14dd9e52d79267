//! Versions and aliases: the registry's commands.

use std::fs;
use std::process::Command;

use autorma_e2e::{Sandbox, drop_picture, known, model, models, register};
use autorma_models::MANIFEST;
use autorma_models::handmade::{OUTSIDE, hostile, means, write};
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
}

#[test]
fn a_move_that_a_disk_has_spoilt_costs_nobody_the_list() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 2.0]);
    let other = sandbox.path().join("other");
    write(&other, "other", &means()).unwrap();
    models(&sandbox, &["register", other.to_str().unwrap()]);
    let spoilt = sandbox.data().join("registry/means/aliases/production/000001.json");
    fs::write(&spoilt, "").unwrap();
    let listed = models(&sandbox, &["list"]);
    let problems: Vec<_> = listed.as_array().unwrap().iter().map(|it| it["problem"].as_str()).collect();
    assert!(matches!(&problems[..], [Some(one), Some(two), None] if one == two), "{listed}");
    assert!(problems[0].unwrap().contains("000001.json"), "{listed}");
    assert!(listed[0]["sha256"].is_string(), "the version itself can be read: {listed}");
    let verified = sandbox.run(&["models", "verify", "--json"]).expect(1).json();
    let told = |it: &Value| (it["reference"].as_str().unwrap().to_owned(), it["problem"].is_null());
    let told: Vec<_> = verified.as_array().unwrap().iter().map(told).collect();
    let expected = [("means", false), ("means/1", true), ("means/2", true), ("other/1", true)];
    assert_eq!(told, expected.map(|(reference, is_good)| (reference.to_owned(), is_good)));
    // Whoever does what the error says has the list again.
    fs::remove_file(&spoilt).unwrap();
    sandbox.run(&["models", "verify"]).expect(0);
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
