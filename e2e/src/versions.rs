//! Versions of models that were written by hand, and what each says alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use autorma_models::MANIFEST;
use autorma_models::handmade::{means, negatives, picture, write};
use serde_json::{Value, json};

use crate::{Results, Sandbox};

/// A model's folder, with another value in its manifest.
pub fn model(sandbox: &Sandbox, folder: &str, onnx: &[u8], pointer: &str, value: Value) -> PathBuf {
    let folder = sandbox.path().join(folder);
    write(&folder, "means", onnx).unwrap();
    let path = folder.join(MANIFEST);
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    *manifest.pointer_mut(pointer).unwrap() = value;
    fs::write(path, manifest.to_string()).unwrap();
    folder
}

/// `autorma models …`, which must succeed; its JSON.
#[track_caller]
pub fn models(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let arguments: Vec<_> =
        ["models"].into_iter().chain(arguments.iter().copied()).chain(["--json"]).collect();
    sandbox.run(&arguments).expect(0).json()
}

/// Registers models of these temperatures; every second one says the opposite of the others. Production names the first.
pub fn register(sandbox: &Sandbox, temperatures: &[f64]) {
    for (number, temperature) in temperatures.iter().enumerate() {
        let onnx = if number % 2 == 0 { means() } else { negatives() };
        let folder = model(sandbox, &format!("model-{number}"), &onnx, "/temperature", json!(temperature));
        let registered = models(sandbox, &["register", folder.to_str().unwrap(), "--why", "a test"]);
        assert_eq!(registered["version"], number + 1);
    }
    models(sandbox, &["alias", "means/1", "production"]);
}

/// Photos of the classes of the model that was written by hand, and two of none.
pub fn labelled(sandbox: &Sandbox) -> String {
    photos(sandbox, "labelled", &[("reds", 0), ("greens", 1), ("blues", 2), ("other", 0)])
}

/// The same without those of none, which that model can't tell from reds.
pub fn known(sandbox: &Sandbox) -> String {
    photos(sandbox, "known", &[("reds", 0), ("greens", 1), ("blues", 2)])
}

/// Two photos of a colour in each folder.
fn photos(sandbox: &Sandbox, root: &str, folders: &[(&str, usize)]) -> String {
    let root = sandbox.path().join(root);
    for (folder, colour) in folders {
        fs::create_dir_all(root.join(folder)).unwrap();
        for shade in 0..2 {
            let mut pixel = [20; 3];
            pixel[*colour] = 200 + 10 * shade;
            fs::write(root.join(folder).join(format!("{shade}.bmp")), picture(pixel)).unwrap();
        }
    }
    root.display().to_string()
}

/// Drops a picture of a colour of its own.
pub fn drop_picture(sandbox: &Sandbox, number: usize) {
    drop_colour(sandbox, number, [(number * 7 % 256) as u8, (number * 5 % 253) as u8, (number / 4) as u8]);
}

/// Drops a picture of this colour.
pub fn drop_colour(sandbox: &Sandbox, number: usize, colour: [u8; 3]) {
    let path = sandbox.path().join(format!("picture-{number}"));
    fs::write(&path, picture(colour)).unwrap();
    sandbox.drop_photo(&path, format!("{number:04}.bmp"));
}

/// What a version of the sandbox's registry says alone of so many pictures, which are dropped one by one.
pub fn alone(sandbox: &Sandbox, version: usize, pictures: usize, drop: fn(&Sandbox, usize)) -> Results {
    let alone = sandbox.beside();
    (0..pictures).for_each(|number| drop(&alone, number));
    let ended = alone.run(&["run", "--json", "--model", &format!("means/{version}")]);
    assert!([Some(0), Some(2)].contains(&ended.code), "{}", ended.errors);
    alone.results()
}

/// Each picture has one prediction, which is what its named version says alone, one of the first `versions`. How many
/// each version made.
pub fn check_against_each_alone(
    sandbox: &Sandbox,
    pictures: usize,
    versions: usize,
) -> BTreeMap<String, usize> {
    let alone: Vec<_> =
        (1..=versions).map(|version| alone(sandbox, version, pictures, drop_picture)).collect();
    let results = sandbox.results();
    assert_eq!(results.counts(), (pictures, 0));
    let mut by_version = BTreeMap::<String, usize>::new();
    for name in results.predictions.keys() {
        let prediction = results.prediction(name);
        let version = prediction["model"]["version"].as_str().unwrap();
        let expected = alone[version.parse::<usize>().unwrap() - 1].prediction(name);
        for field in ["probabilities", "predicted_class", "decision", "model"] {
            assert_eq!(prediction[field], expected[field], "{name}: {field}");
        }
        *by_version.entry(version.to_owned()).or_default() += 1;
    }
    by_version
}
