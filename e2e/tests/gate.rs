//! `evaluate` and `promote`: what is known of a version before it serves.

use std::fs;
use std::path::{Path, PathBuf};

use autorma_e2e::{Sandbox, known, labelled, model, models, register};
use autorma_models::MANIFEST;
use autorma_models::handmade::{fussy, means, picture, quantized, senseless, write};
use autorma_schemas::sha256;
use serde_json::{Value, json};

#[test]
fn a_model_is_judged_on_photos_that_are_known() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[0.01, 1000.0]);
    let photos = labelled(&sandbox);
    let evaluate = ["evaluate", "--model", "means@production", "--data", &photos, "--json"];
    let ended = sandbox.run(&evaluate).expect(0);
    assert_eq!(ended.output.matches("\n  \"classes\"").count(), 1, "{}", ended.output);
    let report = ended.json();
    assert_eq!((&report["accuracy"]["share"], &report["accuracy"]["of"]), (&1.0.into(), &6.into()));
    assert_eq!(report["confusion"], json!([[2, 0, 0], [0, 2, 0], [0, 0, 2]]));
    assert_eq!(
        report["strangers"]["decisions"]["accept"]["share"], 1.0,
        "the model doesn't know what is unknown"
    );
    assert_eq!(report["model"]["version"], "1");
    // A photo that can't be decoded is told, and in no figure.
    fs::write(sandbox.path().join("labelled/reds/broken.jpg"), "no picture").unwrap();
    let against: Vec<_> = evaluate.into_iter().chain(["--against", "means/2"]).collect();
    let report = sandbox.run(&against).expect(2).json();
    assert_eq!(report["accuracy"]["of"], 6);
    let [named] = &report["failed"].as_array().unwrap()[..] else { panic!("{report}") };
    assert!(named["path"].as_str().unwrap().ends_with("broken.jpg") && named["why"].is_string(), "{named}");
    let comparison = &report["against"]["comparison"];
    // Two of the 64 ways in which six photos can fall are as uneven.
    assert_eq!(comparison["only_first"], 6);
    assert!((comparison["p"].as_f64().unwrap() - 2.0 / 64.0).abs() < 1e-9, "{comparison}");
    assert_eq!(report["against"]["figures"]["accuracy"]["share"], 0.0);
    assert!(report["against"]["speed"].as_f64().unwrap() > 0.0, "{}", report["against"]);
    let ended = sandbox
        .run(&["evaluate", "--model", "means/1", "--data", sandbox.path().to_str().unwrap()])
        .expect(1);
    assert!(ended.errors.contains("is no class of the model"), "{}", ended.errors);
}

#[test]
fn what_is_said_of_models_is_a_page_too() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[0.01, 1000.0]);
    let photos = labelled(&sandbox);
    fs::write(sandbox.path().join("labelled/reds/<i>broken.jpg"), "no picture").unwrap();
    let evaluate = |file: &str, status| {
        let models = ["--model", "means/1", "--against", "means/2"];
        let all = [&["evaluate", "--data", &photos, "--report", file, "--json"], &models[..]].concat();
        sandbox.run(&all).expect(status)
    };
    let report = evaluate("page.html", 2).json();
    let page = fs::read_to_string(sandbox.path().join("page.html")).unwrap();
    for model in [&report["model"], &report["against"]["model"]] {
        assert!(page.contains(model["sha256"].as_str().unwrap()), "{model}");
    }
    let bins = |figures: &Value| {
        let bins = figures["reliability"].as_array().unwrap();
        bins.iter().filter(|bin| bin["photos"] != 0).count()
    };
    let expected = bins(&report) + bins(&report["against"]["figures"]);
    assert_eq!(page.matches("class=\"bar\"").count(), expected, "{page}");
    assert!(
        page.contains("only the model 6, only the other 0") && page.contains("&lt;i&gt;broken.jpg"),
        "{page}"
    );
    assert!(!page.contains("<i>") && !page.contains("http"), "{page}");
    // Said before the photos are looked at.
    for (file, expected) in
        [("none/page.html", "No such file"), ("labelled", "--report takes the name of a file")]
    {
        let ended = evaluate(file, 1);
        assert!(ended.errors.contains(file) && ended.errors.contains(expected), "{}", ended.errors);
        assert!(ended.output.is_empty(), "{}", ended.output);
    }
}

/// What a version doesn't hold, of what the gate asks.
fn failed(promotion: &Value) -> Vec<&str> {
    let checks = promotion["checks"].as_array().unwrap().iter();
    checks.filter(|it| it["passed"] == false).map(|it| it["what"].as_str().unwrap()).collect()
}

/// One of the things that the gate asks.
fn check<'a>(promotion: &'a Value, what: &str) -> &'a Value {
    let mut checks = promotion["checks"].as_array().unwrap().iter();
    checks.find(|it| it["what"] == what).unwrap_or_else(|| panic!("nobody asks for {what}: {promotion}"))
}

#[test]
fn only_who_passes_the_gate_is_promoted_or_who_is_forced_through_it() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[0.01, 1000.0, 0.02]);
    let photos = labelled(&sandbox);
    let promote = |arguments: &[&str], code| {
        let all: Vec<_> =
            ["models", "promote"].iter().chain(arguments).chain(&["--data", &photos]).copied().collect();
        sandbox.run(&all).expect(code)
    };
    let passed = promote(&["means/3", "--json"], 0).json();
    assert_eq!((&passed["promoted"], &passed["former"]), (&true.into(), &1.into()));
    assert_eq!(passed["why"], format!("passed the gate (8 photos, --data {photos})"));
    assert_eq!(passed["unknowns"], 2);
    let refused = promote(&["means/2", "--speed", "0", "--json"], 1).json();
    let decided = ["photos of the classes accepted", "accuracy of the accepted"];
    let lost = "classes found less often";
    assert_eq!(failed(&refused), [&["expected calibration error", "accuracy", lost], &decided[..]].concat());
    assert_eq!(check(&refused, lost)["found"], "reds, greens, blues");
    let accuracy = check(&refused, "accuracy");
    assert_eq!((&accuracy["figure"], &accuracy["bound"]), (&json!(0.0), &json!(99.5)));
    let (judged, fails) = ("photos of the classes judged", sandbox.path().join("fails"));
    write(&fails, "means", &fussy()).unwrap();
    models(&sandbox, &["register", fails.to_str().unwrap()]);
    let other = model(&sandbox, "other", &means(), "/classes", json!(["blues", "greens", "reds"]));
    models(&sandbox, &["register", other.to_str().unwrap()]);
    for (version, expected) in [
        (
            "means/4",
            [
                &[judged, "classes without a photo judged", "photos without a verdict", "accuracy"],
                &decided[..],
            ]
            .concat(),
        ),
        (
            "means/5",
            vec![
                "classes it knows",
                "expected calibration error",
                "accuracy",
                "classes hardly found",
                "wrong of the accepted",
                "unknowns found",
                "unknowns accepted",
            ],
        ),
    ] {
        let refused = promote(&[version, "--speed", "0", "--json"], 1).json();
        assert_eq!(failed(&refused), expected);
    }
    let slow = promote(&["means/1", "--speed", "1000"], 1).output;
    assert!(slow.contains("at least 1000.00 times"), "{slow}");
    let told = promote(&["means/2", "--speed", "0"], 1).output;
    assert!(told.contains("NO") && told.contains("stays as it was"), "{told}");
    assert_eq!(models(&sandbox, &["show", "means@production"])["version"], 3);

    let ended = promote(&["means/2", "--force"], 1);
    assert!(ended.errors.contains("--why"), "{}", ended.errors);
    promote(&["means/2", "--force", "--why", "an experiment"], 0);
    let shown = models(&sandbox, &["show", "means@production"]);
    assert_eq!(shown["version"], 2);
    let moves = shown["moves"]["production"].as_array().unwrap();
    assert_eq!(moves.last().unwrap()["why"], "forced: an experiment");
    // It can't tell what is none of the classes.
    let first = promote(&["means/1", "--to", "staging", "--json"], 1).json();
    assert_eq!(failed(&first), ["unknowns found", "unknowns accepted"]);
    let known = known(&sandbox);
    let first = ["models", "promote", "means/1", "--to", "staging", "--data", &known, "--json"];
    let first = sandbox.run(&first).expect(0).json();
    assert_eq!((&first["former"], &first["alias"]), (&Value::Null, &"staging".into()));
    // Nobody has looked at what is none of the classes.
    assert_eq!(first["why"], format!("passed the gate (6 photos, no unknowns, --data {known})"));
    assert_eq!(first["unknowns"], 0);
}

#[test]
fn photos_without_a_verdict_are_named_by_who_is_refused_for_them_and_by_who_is_not() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[0.01, 1000.0, 0.02]);
    let photos = known(&sandbox);
    let broken = "known/reds/broken.jpg";
    fs::write(sandbox.path().join(broken), "no picture").unwrap();
    let promote = |arguments: &[&str], status| {
        let all = ["models", "promote", "means/3", "--data", &photos, "--speed", "0"];
        sandbox.run(&[&all[..], arguments].concat()).expect(status)
    };
    let refused = promote(&["--to", "first"], 1).output;
    assert!(refused.contains("\nnot judged: ") && refused.contains(&format!("{broken}: ")), "{refused}");
    // What serves has no verdict on it either.
    let passed = promote(&["--json"], 0).json();
    let [named] = &passed["failed"].as_array().unwrap()[..] else { panic!("{passed}") };
    assert!(named["path"].as_str().unwrap().ends_with(broken) && named["why"].is_string(), "{named}");
    assert_eq!((&passed["photos"], &passed["forced"]), (&7.into(), &false.into()));
    assert_eq!(passed["why"], models(&sandbox, &["show", "means/3"])["moves"]["production"][1]["why"]);
    let already = promote(&["--json"], 0).json();
    assert_eq!(
        (&already["failed"], &already["photos"], &already["why"]),
        (&json!([]), &0.into(), &Value::Null)
    );
}

#[test]
fn what_accepts_more_unknowns_or_loses_a_class_is_not_promoted_whatever_else_is_as_good() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let photos = known(&sandbox);
    // Each class is as likely as the others; neither version has another word for it.
    let greys = sandbox.path().join("greys");
    fs::create_dir(&greys).unwrap();
    fs::write(greys.join("grey.bmp"), picture([100; 3])).unwrap();
    let bold = model(&sandbox, "bold", &means(), "/thresholds/accept", json!(0));
    let blind = model(&sandbox, "blind", &means(), "/input/mean/2", json!(1000));
    for folder in [bold, blind] {
        models(&sandbox, &["register", folder.to_str().unwrap()]);
    }
    let promote = |arguments: &[&str]| {
        let all = ["models", "promote", "--data", &photos, "--speed", "0", "--calibration-error", "1"];
        let strangers = ["--unknown", greys.to_str().unwrap(), "--json"];
        sandbox.run(&[&all[..], &strangers, arguments].concat()).json()
    };
    assert_eq!(failed(&promote(&["means/2"])), ["unknowns accepted"]);
    assert_eq!(failed(&promote(&["means/2", "--to", "first"])), ["unknowns found", "unknowns accepted"]);
    assert_eq!(failed(&promote(&["means/1", "--to", "first"])), ["unknowns found"]);
    // Of all photos of the classes it is right about two thirds, and accepts these.
    assert_eq!(failed(&promote(&["means/3", "--margin", "40"])), ["classes found less often"]);
}

#[test]
fn the_first_version_that_serves_must_be_of_use() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let photos = known(&sandbox);
    let mistaken = model(&sandbox, "mistaken", &means(), "/classes", json!(["blues", "greens", "reds"]));
    models(&sandbox, &["register", mistaken.to_str().unwrap()]);
    let promote = |arguments: &[&str]| {
        let all = ["models", "promote", "--to", "first", "--data", &photos, "--calibration-error", "1"];
        sandbox.run(&[&all[..], arguments, &["--json"]].concat()).json()
    };
    let (hardly, wrong) = ("classes hardly found", "wrong of the accepted");
    assert_eq!(failed(&promote(&["means/2"])), ["accuracy", hardly, wrong]);
    fs::write(sandbox.path().join("known/reds/broken.jpg"), "no picture").unwrap();
    let broken = promote(&["means/1"]);
    assert_eq!(failed(&broken), ["photos without a verdict"]);
    assert_eq!(sandbox.run(&["models", "show", "means@first"]).code, Some(1), "nothing was promoted");
    fs::remove_file(sandbox.path().join("known/reds/broken.jpg")).unwrap();
    // Six of seven are right, and all are accepted.
    fs::write(sandbox.path().join("known/reds/blue.bmp"), picture([20, 20, 210])).unwrap();
    assert_eq!(failed(&promote(&["means/1"])), [wrong]);
    fs::remove_file(sandbox.path().join("known/reds/blue.bmp")).unwrap();
    // One that finds no blues has twelve of fourteen right, and is sure of these only.
    let blind = model(&sandbox, "blind", &means(), "/input/mean/2", json!(1000));
    models(&sandbox, &["register", blind.to_str().unwrap()]);
    for shade in 180..184 {
        for (class, colour) in [("reds", [shade, 20, 20]), ("greens", [20, shade, 20])] {
            let file = format!("known/{class}/{shade}.bmp");
            fs::write(sandbox.path().join(file), picture(colour)).unwrap();
        }
    }
    let refused = promote(&["means/3"]);
    assert_eq!((failed(&refused), &check(&refused, hardly)["found"]), (vec![hardly], &json!("blues")));
    assert_eq!(promote(&["means/2", "--accuracy", "0", "--wrong", "100"])["promoted"], true);
}

#[test]
fn what_serves_is_not_replaced_unseen_where_it_can_t_be_compared_with() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0, 1.0, 2.0]);
    let photos = known(&sandbox);
    let promote = |arguments: &[&str], code| {
        let all = ["models", "promote", "--data", &photos, "--calibration-error", "1", "--speed", "0"];
        sandbox.run(&[&all, arguments].concat()).expect(code)
    };
    let (asked, version) = ("what serves can be asked", sandbox.data().join("registry/means/versions/1"));
    // Whatever is wrong with it: a model's file, and then the manifest, too.
    for (name, why, is_known) in
        [(".onnx", "aren't those that were registered", true), (MANIFEST, "its manifest is broken", false)]
    {
        let mut files = fs::read_dir(&version).unwrap().map(|entry| entry.unwrap().path());
        let file = files.find(|path| path.to_str().unwrap().ends_with(name)).unwrap();
        let mut content = fs::read(&file).unwrap();
        content[0] ^= 1;
        fs::write(&file, content).unwrap();
        let refused = promote(&["means/3"], 1);
        assert!(refused.output.contains(asked) && refused.output.contains(why), "{}", refused.output);
        assert!(refused.errors.contains("what serves can't be loaded"), "{}", refused.errors);
        let refused = promote(&["means/3", "--json"], 1).json();
        assert_eq!(failed(&refused), [asked]);
        let names: Vec<_> = refused["checks"].as_array().unwrap().iter().map(|it| &it["what"]).collect();
        assert_eq!(names.contains(&&json!("classes it knows")), is_known, "{refused}");
        // What would be asked if nothing served is asked, too.
        assert_eq!(
            failed(&promote(&["means/2", "--json"], 1).json()),
            [asked, "accuracy", "classes hardly found", "photos of the classes accepted"]
        );
    }
    let moves = || models(&sandbox, &["show", "means/3"])["moves"]["production"].clone();
    assert_eq!(moves().as_array().unwrap().len(), 1, "nothing has moved");
    promote(&["means/3", "--force", "--why", "it is broken"], 0);
    assert_eq!((&moves()[1]["version"], &moves()[1]["why"]), (&json!(3), &json!("forced: it is broken")));

    // Whole, and yet nothing that can be loaded.
    let hostile = model(&sandbox, "hostile", &senseless(), "/temperature", json!(1.0));
    models(&sandbox, &["register", hostile.to_str().unwrap()]);
    models(&sandbox, &["alias", "means/4", "production"]);
    let refused = promote(&["means/3", "--json"], 1);
    assert!(refused.errors.contains("what serves can't be asked"), "{}", refused.errors);
    assert_eq!(failed(&refused.json()), [asked]);
    promote(&["means/3", "--force", "--why", "it is broken"], 0);
}

/// Changes a model's manifest.
fn change(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = folder.join(MANIFEST);
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(path, manifest.to_string()).unwrap();
}

/// A model that says it was quantized from these floats.
fn held(sandbox: &Sandbox, name: &str, floats: &[u8]) -> PathBuf {
    let folder = model(sandbox, name, &means(), "/model/precision", json!("int8"));
    fs::write(folder.join("floats.onnx"), floats).unwrap();
    change(&folder, |manifest| {
        let (sha256, bytes) = (sha256(floats), floats.len());
        manifest["reference"] =
            json!({"file": "floats.onnx", "sha256": sha256, "bytes": bytes, "precision": "fp32"});
    });
    folder
}

#[test]
fn a_reference_that_can_t_be_asked_fails_the_gate_and_is_gone_past_by_force() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let photos = known(&sandbox);
    // One that is whole, and yet nothing that can be loaded; one that a disk has lost; and one that was quantized itself.
    for (name, floats) in [("hostile", senseless()), ("lost", fussy()), ("quantized", quantized())] {
        models(&sandbox, &["register", held(&sandbox, name, &floats).to_str().unwrap()]);
    }
    let lost = format!("registry/means/versions/3/{}.onnx", sha256(&fussy()));
    fs::remove_file(sandbox.data().join(lost)).unwrap();
    for version in ["means/2", "means/3", "means/4"] {
        let promote = |arguments: &[&str], code| {
            let all = ["models", "promote", version, "--data", &photos, "--calibration-error", "1"];
            sandbox.run(&[&all[..], &["--speed", "0", "--json"], arguments].concat()).expect(code)
        };
        let refused = promote(&[], 1);
        assert!(refused.errors.contains("the version's reference can't be asked"), "{}", refused.errors);
        assert_eq!(failed(&refused.json()), ["accuracy, held against its reference"], "{version}");
        assert_eq!(promote(&["--force", "--why", "an experiment"], 0).json()["forced"], true, "{version}");
    }
}

#[test]
fn what_computes_in_integers_needs_a_reference_whatever_its_manifest_says() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let photos = known(&sandbox);
    let folder = model(&sandbox, "quantized", &quantized(), "/model/precision", json!("fp32"));
    models(&sandbox, &["register", folder.to_str().unwrap()]);
    let promote = ["models", "promote", "means/2", "--data", &photos, "--speed", "0", "--json"];
    let calibration = ["--calibration-error", "1"];
    let refused = sandbox.run(&[&promote[..], &calibration].concat()).expect(1).json();
    let held = "accuracy, held against its reference";
    assert_eq!(failed(&refused), [held]);
    assert_eq!(check(&refused, held)["found"], "QuantizeLinear without a reference");
}

#[test]
fn what_accepts_nothing_is_no_measure_of_how_often_the_accepted_may_be_wrong() {
    let sandbox = Sandbox::new();
    register(&sandbox, &[1.0]);
    let strict = model(&sandbox, "strict", &means(), "/thresholds/accept", json!(1));
    models(&sandbox, &["register", strict.to_str().unwrap(), "--alias", "production"]);
    let photos = known(&sandbox);
    // One of seven is taken for something else, by both, and accepted by the candidate.
    fs::write(sandbox.path().join("known/reds/blue.bmp"), picture([20, 20, 210])).unwrap();
    let promote = |arguments: &[&str]| {
        let all = ["models", "promote", "means/1", "--data", &photos, "--speed", "0", "--json"];
        sandbox.run(&[&all[..], &["--calibration-error", "1"], arguments].concat()).json()
    };
    assert_eq!(failed(&promote(&[])), ["wrong of the accepted"]);
    assert_eq!(failed(&promote(&["--wrong", "14.2"])), ["wrong of the accepted"]);
    assert_eq!(promote(&["--wrong", "14.3", "--why", "better"])["promoted"], true);
    let why = models(&sandbox, &["show", "means/1"])["moves"]["production"][2]["why"].clone();
    let options = "--wrong 14.3 --speed 0 --calibration-error 1";
    assert_eq!(why, format!("passed the gate (7 photos, no unknowns, --data {photos} {options}): better"));
}

#[test]
fn the_gate_asks_what_is_decided_how_sure_it_is_and_what_the_quantizing_has_cost() {
    let sandbox = Sandbox::new();
    // The first and the third are right, and a little too unsure: their calibration errors are about 0.07.
    register(&sandbox, &[0.44, 1.0, 0.43]);
    let photos = known(&sandbox);
    let promote = |arguments: &[&str]| {
        let all = ["models", "promote", "--data", &photos, "--speed", "0", "--json"];
        sandbox.run(&[&all, arguments].concat()).json()
    };
    let (calibration, unknown) = ("expected calibration error", "photos of the classes called unknown");
    let (accepted, right) = ("photos of the classes accepted", "accuracy of the accepted");
    let reference = "accuracy, held against its reference";
    let none = [""; 0];
    assert_eq!(failed(&promote(&["means/3", "--to", "staging"])), [calibration]);
    assert_eq!(failed(&promote(&["means/3", "--calibration-error", "0.05"])), [calibration]);
    assert_eq!(failed(&promote(&["means/3"])), none, "what serves is no better");
    for (number, (pointer, value, alone, beside)) in [
        ("/thresholds/unknown", json!(0), &[unknown, accepted][..], &[unknown, accepted, right][..]),
        ("/thresholds/accept", json!(1), &[accepted], &[accepted, right]),
        ("/model/precision", json!("int8"), &[reference], &[reference]),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = model(&sandbox, &format!("changed-{number}"), &means(), pointer, value);
        models(&sandbox, &["register", folder.to_str().unwrap()]);
        let version = format!("means/{}", number + 4);
        let promote = |alias| promote(&[&version, "--to", alias, "--calibration-error", "1"]);
        assert_eq!(failed(&promote("staging")), alone, "{pointer}");
        let refused = promote("production");
        assert_eq!(failed(&refused), beside, "{pointer}");
        assert_eq!(refused["promoted"], false);
        // What accepts nothing is right about no share of it.
        if beside.contains(&right) {
            let right = check(&refused, right);
            assert_eq!((&right["figure"], &right["found"]), (&Value::Null, &"none".into()), "{pointer}");
        }
    }
    // A reference that fails on every photo is no measure.
    let folder = held(&sandbox, "held", &fussy());
    models(&sandbox, &["register", folder.to_str().unwrap()]);
    let held = promote(&["means/7", "--to", "staging", "--calibration-error", "1"]);
    assert_eq!(failed(&held), [reference]);
    let all = ["means/4", "--to", "staging", "--calibration-error", "1", "--refused", "100"];
    assert_eq!(failed(&promote(&all)), [accepted]);
    // To call everything unknown finds no unknowns. Of blues nothing is found out any more.
    let others = sandbox.path().join("others");
    fs::rename(sandbox.path().join("known/blues"), &others).unwrap();
    let all = [&all[..], &["--unknown", others.to_str().unwrap()]].concat();
    assert_eq!(failed(&promote(&all)), ["classes without a photo judged", accepted, "unknowns found"]);

    // To models that know reds and greens only, blues are unknown; not where next to nothing reaches the threshold.
    for (number, threshold) in [(8, 0.5), (9, 1.0), (10, 0.999_999)] {
        let folder =
            model(&sandbox, &format!("two-{number}"), &means(), "/classes", json!(["reds", "greens"]));
        change(&folder, |manifest| {
            manifest["output"]["unknown"] = json!(["blues"]);
            manifest["thresholds"]["unknown"] = json!(threshold);
            // Of a blue, reds and greens are as likely.
            manifest["thresholds"]["accept"] = json!(0.6);
        });
        assert_eq!(models(&sandbox, &["register", folder.to_str().unwrap()])["version"], number);
    }
    models(&sandbox, &["alias", "means/8", "two"]);
    let boundless = promote(&["means/9", "--to", "two", "--calibration-error", "1"]);
    assert_eq!(failed(&boundless), ["can call a photo unknown"]);
    let strangers = ["--to", "two", "--unknown", others.to_str().unwrap(), "--calibration-error", "1"];
    assert_eq!(failed(&promote(&[&["means/10"], &strangers[..]].concat())), ["unknowns found"]);
}
