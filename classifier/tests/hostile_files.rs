//! Every hostile file: the manifest's verdict, within the limits.

mod shared;

use std::os::unix::ffi::OsStrExt;

use autorma_classifier::{AT_ONCE, Decoder, Session};
use serde::Deserialize;
use shared::{LIMITS, data, decoder, model, runtime};

#[derive(Deserialize)]
struct Entry {
    path_hex: String,
    expect: String,
    label: Option<String>,
    note: String,
}

#[test]
fn every_hostile_file_gets_its_verdict() {
    let Some(data) = data() else { return };
    let model = model();
    let mut decoder = decoder(&model);
    let mut session = Session::load(runtime(), &model, AT_ONCE).unwrap();
    let manifest = std::fs::read_to_string(data.join("hostile/manifest.jsonl")).unwrap();
    let mut wrong = Vec::new();
    for line in manifest.lines() {
        let entry: Entry = serde_json::from_str(line).unwrap();
        let name: Vec<u8> = (0..entry.path_hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&entry.path_hex[at..at + 2], 16).unwrap())
            .collect();
        let path = data.join("hostile").join(std::ffi::OsStr::from_bytes(&name));
        let decoded = decoder.decode(&std::fs::read(&path).unwrap());
        let class = decoded.as_ref().ok().map(|picture| {
            let logits = session.infer(&[picture]).unwrap().remove(0);
            model.manifest.decide(&logits).unwrap().predicted_class.replace(' ', "_")
        });
        println!("{path:?}: {class:?} {:?}", decoded.as_ref().err());
        let verdict = if decoded.is_ok() { "decode" } else { "reject" };
        if entry.expect != "either" && entry.expect != verdict {
            wrong.push(format!("{path:?} ({}): {:?}", entry.note, decoded.err()));
        } else if entry.expect == "decode"
            && entry.label.as_ref().is_some_and(|label| !label.is_empty())
            && class != entry.label
        {
            wrong.push(format!("{path:?} ({}): {class:?} instead of {:?}", entry.note, entry.label));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Turning 16 bits with alpha into three bytes a pixel needs more than the picture itself.
#[test]
fn memory_for_the_conversion_counts_too() {
    let picture = image::DynamicImage::new_luma_a16(1000, 1000);
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, image::ImageFormat::Png).unwrap();
    let decode = |memory| {
        let limits = autorma_classifier::Limits { memory, ..LIMITS };
        Decoder::new(224, 224, limits).decode(file.get_ref())
    };
    let reason = |memory| decode(memory).err().map(|failure| failure.reason);
    assert_eq!(reason(12_000_000), None);
    assert_eq!(reason(10_000_000), Some(autorma_schemas::Reason::TooManyPixels));
}
