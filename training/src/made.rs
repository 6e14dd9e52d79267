//! What a training leaves: the model's folder.

use std::path::Path;

use autorma_models::{File, MANIFEST, Manifest, Member, Model, Output, Thresholds};
use autorma_schemas::sha256;

use crate::graph::Backbone;
use crate::metrics::Metrics;
use crate::photos::Photos;
use crate::quantize::Quantized;
use crate::{Error, Recipe, files};

/// What is known of the model before it is written: no files yet, nothing that was measured. `head` says how it was made.
pub(crate) fn manifest(recipe: &Recipe, photos: &Photos, backbone: &Backbone, head: String) -> Manifest {
    let (classes, unknown) = photos.kinds.split_at(photos.classes);
    let origin = [
        ("backbone", backbone.origin.clone()),
        ("backbone sha-256", backbone.sha256.clone()),
        ("head", head),
    ];
    Manifest {
        format: 1,
        name: recipe.name.clone(),
        version: recipe.version.clone(),
        members: Vec::new(),
        input: backbone.input.clone(),
        output: Output { name: Backbone::output(), unknown: unknown.to_vec() },
        classes: classes.to_vec(),
        temperature: 1.0,
        thresholds: Thresholds { accept: 1.0, unknown: 1.0 },
        origin: origin.map(|(what, text)| (what.to_owned(), text)).into(),
        licence: backbone.licence.clone(),
        metrics: Default::default(),
    }
}

/// The files: `onnx` ships, and was quantized from `floats` if it was.
pub(crate) fn name_files(manifest: &mut Manifest, onnx: &[u8], floats: &[u8], quantized: Option<&Quantized>) {
    let name = manifest.name.clone();
    let model = file(format!("{name}.onnx"), onnx, if quantized.is_some() { "int8" } else { "fp32" });
    let reference = quantized.map(|_| file(format!("{name}.fp32.onnx"), floats, "fp32"));
    manifest.members = Member::only(model, reference);
    if let Some(Quantized { photos, .. }) = quantized {
        let how =
            format!("convolutions in 8-bit integers, their weights in 7 bits; ranges from {photos} photos");
        manifest.origin.insert("quantization".into(), how);
    }
}

fn file(file: String, onnx: &[u8], precision: &str) -> File {
    File { file, sha256: sha256(onnx), bytes: onnx.len() as u64, precision: precision.into() }
}

/// What was measured.
pub(crate) fn record(manifest: &mut Manifest, metrics: &Metrics) {
    for (name, quality) in metrics.rows().into_iter().filter(|(_, quality)| quality.accuracy.of > 0) {
        let name = name.replace(':', ",");
        manifest.metrics.insert(format!("{name}: accuracy"), quality.accuracy.share);
        manifest.metrics.insert(format!("{name}: photos"), quality.accuracy.of as f64);
    }
}

/// The manifest last: whoever sees a new one finds the files that it names.
pub(crate) fn write(folder: &Path, model: &Model, reference: Option<&Model>) -> Result<(), Error> {
    let made = |error: &dyn std::fmt::Display| Error::Made(error.to_string());
    for Model { manifest, onnx } in reference.into_iter().chain([model]) {
        for (Member { model, .. }, onnx) in manifest.members.iter().zip(onnx) {
            files::write(&folder.join(&model.file), onnx)?;
        }
    }
    let manifest = serde_json::to_vec_pretty(&model.manifest).map_err(|error| made(&error))?;
    files::write(&folder.join(MANIFEST), &manifest)?;
    Model::open(folder).map_err(|error| made(&error))?;
    Model::open_reference(folder).map_err(|error| made(&error))?;
    Ok(())
}
