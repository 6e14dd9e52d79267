use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::{MANIFEST, Model, handmade};

fn shipped() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("shipped").join(MANIFEST)).unwrap()
}

/// A folder with an ensemble of means, which counts 3, and negatives, which counts 1.
fn ensemble() -> (tempfile::TempDir, std::path::PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("model");
    let members = [(handmade::means(), 3.0), (handmade::negatives(), 1.0)];
    handmade::write_ensemble(&folder, "both", &members).unwrap();
    (home, folder)
}

fn text(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(MANIFEST)).unwrap()).unwrap()
}

fn write(folder: &Path, manifest: &Value) {
    std::fs::write(folder.join(MANIFEST), manifest.to_string()).unwrap();
}

#[test]
fn the_mean_says_what_the_members_log_probabilities_say_on_average() {
    let logits = [vec![2.0, 0.0, 1.0], vec![-1.0, 3.0, 0.5]];
    // By hand: log-probabilities of each, their mean by 3 : 1, and scaled to sum to 1.
    let by_hand = {
        let log_probabilities = |logits: &[f32]| -> Vec<f64> {
            let sum: f64 = logits.iter().map(|it| f64::from(*it).exp()).sum();
            logits.iter().map(|it| f64::from(*it) - sum.ln()).collect()
        };
        let (first, second) = (log_probabilities(&logits[0]), log_probabilities(&logits[1]));
        let mean = first.iter().zip(&second).map(|(first, second)| (0.75 * first + 0.25 * second).exp());
        let mean: Vec<_> = mean.collect();
        let sum: f64 = mean.iter().sum();
        mean.into_iter().map(|it| it / sum).collect::<Vec<_>>()
    };
    let (_home, folder) = ensemble();
    let manifest = Model::manifest(&folder).unwrap();
    assert_eq!(manifest.shares(), [0.75, 0.25]);
    let mean = mean(&manifest.shares(), &logits);
    assert_eq!(mean, [1.25, 0.75, 0.875]);
    let verdict = manifest.decide(&mean).unwrap();
    for (class, expected) in verdict.probabilities.iter().zip(by_hand) {
        assert!((class.probability - expected).abs() < 1e-12, "{class:?}, by hand {expected}");
    }
}

#[test]
fn one_network_says_what_it_says_bit_by_bit_and_what_is_no_number_stays_so() {
    let logits = vec![0.1_f32, -0.0, f32::MAX, f32::MIN_POSITIVE, 1.0 / 3.0];
    let same = mean(&[1.0], std::slice::from_ref(&logits));
    assert!(same.iter().zip(&logits).all(|(one, other)| one.to_bits() == other.to_bits()), "{same:?}");
    for broken in [f32::NAN, f32::INFINITY] {
        assert!(!mean(&[0.5, 0.5], &[vec![broken], vec![1.0]])[0].is_finite());
    }
}

#[test]
fn a_manifest_of_one_network_stays_what_it_is_byte_by_byte() {
    let text = shipped();
    let manifest: Manifest = serde_json::from_str(&text).unwrap();
    assert_eq!((manifest.shares(), manifest.precision()), (vec![1.0], "int8".into()));
    // Measured numbers may lose their last digit when they are read.
    let before_metrics = |text: &str| text.split("\"metrics\"").next().unwrap().to_owned();
    assert_eq!(before_metrics(&serde_json::to_string_pretty(&manifest).unwrap()), before_metrics(&text));
}

#[test]
fn an_ensemble_is_written_as_it_was_read_and_named_by_all_its_files() {
    let (_home, folder) = ensemble();
    let model = Model::open(&folder).unwrap();
    assert_eq!(model.onnx, [handmade::means(), handmade::negatives()]);
    let written = serde_json::to_value(&model.manifest).unwrap();
    assert_eq!(written["members"], text(&folder)["members"]);
    assert_eq!((written.get("model"), written.get("reference")), (None, None));
    let [first, second] = &model.onnx[..] else { panic!("{}", written) };
    let lines = format!("{}\n{}\n", sha256(first), sha256(second));
    assert_eq!(model.manifest.identity().sha256, sha256(lines.as_bytes()));
    assert_eq!(model.manifest.bytes(), (first.len() + second.len()) as u64);
    assert_eq!(model.manifest.precision(), "fp32 + fp32");
    assert!(model.manifest.of_reference().is_none());
}

#[test]
fn the_reference_of_an_ensemble_is_that_of_each_member_or_the_member_itself() {
    let (_home, folder) = ensemble();
    let mut manifest = text(&folder);
    manifest["members"][1]["reference"] =
        json!({"file": "floats.onnx", "sha256": sha256(b"floats"), "bytes": 6, "precision": "fp32"});
    write(&folder, &manifest);
    std::fs::write(folder.join("floats.onnx"), "floats").unwrap();
    let reference = Model::open_reference(&folder).unwrap().unwrap();
    assert_eq!(reference.onnx, [handmade::means(), b"floats".to_vec()]);
    assert_eq!(reference.manifest.shares(), [0.75, 0.25]);
    assert!(reference.manifest.of_reference().is_none());
}

#[test]
fn what_was_quantized_lacks_its_reference_if_one_member_does() {
    let (_home, folder) = ensemble();
    let mut manifest = text(&folder);
    let onnx = Model::open(&folder).unwrap().onnx;
    let lacks = |manifest: &Value| {
        let manifest = serde_json::from_value(manifest.clone()).unwrap();
        Model { manifest, onnx: onnx.clone() }.quantized_without_reference().is_some()
    };
    assert!(!lacks(&manifest), "floats need none");
    for number in 0..2 {
        manifest["members"][number]["model"]["precision"] = json!("int8");
        assert!(lacks(&manifest));
        manifest["members"][number]["reference"] =
            json!({"file": "floats.onnx", "sha256": sha256(b"floats"), "bytes": 6, "precision": "fp32"});
        assert!(!lacks(&manifest));
    }
}

#[test]
fn members_that_can_t_be_used_are_refused() {
    let (_home, folder) = ensemble();
    let whole = text(&folder);
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut manifest = whole.clone();
        change(&mut manifest);
        write(&folder, &manifest);
        Model::open(&folder).unwrap_err().to_string()
    };
    for (weight, expected) in [
        (json!(0), "weight must be above 0"),
        (json!(-1), "weight must be above 0"),
        (json!(1e9), "weight must be above 0 and at most"),
        (json!("NaN"), "invalid type"),
        (json!(null), "invalid type"),
    ] {
        let error = refused(&|manifest| manifest["members"][1]["weight"] = weight.clone());
        assert!(error.contains(expected), "{weight}: {error}");
    }
    let one = whole["members"][0].clone();
    let of = |count: usize| json!(vec![one.clone(); count]);
    let quantized = |precision: &str| {
        let sha256 = sha256(b"8");
        json!({"file": "8.onnx", "sha256": sha256, "bytes": 1, "precision": precision})
    };
    type Change<'a> = &'a dyn Fn(&mut Value);
    let changes: [(Change<'_>, &str); 14] = [
        (&|it| it["members"] = of(9), "8 members at the most"),
        (&|it| it["members"] = of(2), "listed twice"),
        (&|it| it["members"] = of(1), "two members or more"),
        (&|it| it["members"] = of(0), "two members or more"),
        (&|it| it["model"] = one["model"].clone(), "or else two members or more"),
        (&|it| it["reference"] = one["model"].clone(), "or else two members or more"),
        (&|it| drop(it.as_object_mut().unwrap().remove("members")), "must have a model"),
        (&|it| it["members"][1]["model"]["file"] = json!("../1.onnx"), "a name in the manifest's folder"),
        (&|it| it["members"][1]["model"]["file"] = json!("2.onnx"), "2.onnx"),
        (&|it| it["members"][1]["model"]["bytes"] = json!(1_000_000_000), "not the one of its manifest"),
        (&|it| it["members"][1]["model"]["bytes"] = json!(10_000_000_000_u64), "2 GiB together"),
        (&|it| it["members"][1]["model"]["precision"] = json!("INT8"), "must be int8 or fp32"),
        (&|it| it["members"][0]["reference"] = quantized("uint8"), "must be int8 or fp32"),
        (&|it| it["members"][0]["reference"] = quantized("int8"), "its precision must be fp32"),
    ];
    for (change, expected) in changes {
        let error = refused(change);
        assert!(error.contains(expected), "{expected:?} isn't in {error}");
    }
    // JSON has no such numbers; nor does anything else that makes a manifest.
    let mut manifest: Manifest = serde_json::from_value(whole).unwrap();
    for weight in [f64::NAN, f64::INFINITY] {
        manifest.members[0].weight = weight;
        assert!(manifest.problem().is_some(), "{weight}");
    }
}

#[test]
fn a_changed_byte_of_any_member_is_refused_and_so_are_members_that_are_too_large_together() {
    let (_home, folder) = ensemble();
    let file = folder.join("1.onnx");
    let mut onnx = handmade::negatives();
    onnx[20] ^= 1;
    std::fs::write(&file, onnx).unwrap();
    assert!(Model::open(&folder).unwrap_err().to_string().contains("not the one of its manifest"));
    std::fs::File::create(&file).unwrap().set_len((1 << 31) - 10).unwrap();
    assert!(matches!(Model::open(&folder), Err(crate::Error::TooLarge { .. })));
}
