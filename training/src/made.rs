//! What a training leaves: the model's folder.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};

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
        output: Output { name: Backbone::LOGITS.into(), unknown: unknown.to_vec() },
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
        let how = format!(
            "convolutions in 8-bit integers, two of whose weights fit into 16 bits; ranges from {photos} photos"
        );
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

/// Writes the model with its reference, and verifies both as they lie there. The files that have `told` of a model that was
/// there before go when the new one comes.
pub(crate) fn write(
    folder: &Path,
    model: &Model,
    reference: Option<&Model>,
    told: &[PathBuf],
) -> Result<(), Error> {
    let made = |error: &dyn std::fmt::Display| Error::Made(error.to_string());
    steps(folder, model, reference, told)?.iter().try_for_each(Step::take)?;
    Model::open(folder).map_err(|error| made(&error))?;
    Model::open_reference(folder).map_err(|error| made(&error))?;
    Ok(())
}

/// A change of one file.
#[derive(Debug)]
enum Step<'a> {
    Write(PathBuf, Cow<'a, [u8]>),
    /// The half of writing that a full disk refuses.
    Prepare(PathBuf, Cow<'a, [u8]>),
    /// The other half.
    Appear(PathBuf),
    Remove(PathBuf),
}

impl Step<'_> {
    fn take(&self) -> Result<(), Error> {
        match self {
            Self::Write(path, content) => files::write(path, content),
            Self::Prepare(path, content) => files::prepare(path, content),
            Self::Appear(path) => files::appear(path),
            Self::Remove(path) => files::remove(path),
        }
    }
}

/// How the model comes into the folder. The manifest is always written after the files that it names. Where another model
/// was, its files may have the names of the new ones: so these come under the names of their hashes first, with a manifest
/// that says so, and then under their own. Whoever is killed, wherever, leaves the former model or the new one, and beside
/// the new one nothing that was told of the former. Nothing of that goes before all is on the disk that replaces the former.
fn steps<'a>(
    folder: &Path,
    model: &'a Model,
    reference: Option<&'a Model>,
    told: &[PathBuf],
) -> Result<Vec<Step<'a>>, Error> {
    let models = || reference.into_iter().chain([model]);
    let files = || models().flat_map(|Model { manifest, onnx }| manifest.members.iter().zip(onnx));
    let manifest = &model.manifest;
    let path = || folder.join(MANIFEST);
    let told = || told.iter().cloned().map(Step::Remove);
    let mut steps = Vec::new();
    let former = Model::manifest(folder).ok();
    if former.is_some() {
        steps.extend(files().map(|(it, onnx)| Step::Write(folder.join(hashed(&it.model)), onnx.into())));
        steps.push(Step::Prepare(path(), json(&manifest.with_named_files())?.into()));
        steps.extend(told());
        steps.push(Step::Appear(path()));
    }
    steps.extend(files().map(|(it, onnx)| Step::Write(folder.join(&it.model.file), onnx.into())));
    // Somebody may have moved away a former one, and not what tells of it.
    steps.push(Step::Prepare(path(), json(manifest)?.into()));
    steps.extend(told());
    steps.push(Step::Appear(path()));
    // What is of no use then: of the former model, of the steps above, and of those who were killed at them.
    let used: BTreeSet<_> = names(manifest).collect();
    let mut unused: BTreeSet<_> = former.iter().flat_map(names).chain(left(folder)).collect();
    if former.is_some() {
        unused.extend(files().map(|(it, _)| hashed(&it.model)));
    }
    steps.extend(unused.difference(&used).map(|name| Step::Remove(folder.join(name))));
    Ok(steps)
}

fn json(manifest: &Manifest) -> Result<Vec<u8>, Error> {
    serde_json::to_vec_pretty(manifest).map_err(|error| Error::Made(error.to_string()))
}

/// The name of a file that is called after its content, as in [`Manifest::with_named_files`].
fn hashed(file: &File) -> String {
    format!("{}.onnx", file.sha256)
}

/// The names of the model's files, and of its reference's.
fn names(manifest: &Manifest) -> impl Iterator<Item = String> {
    manifest
        .members
        .iter()
        .flat_map(|it| iter::once(&it.model).chain(&it.reference))
        .map(|it| it.file.clone())
}

/// The files in the folder that are called after their content, whole or begun.
fn left(folder: &Path) -> Vec<String> {
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
    let is_left = |name: &String| {
        name.rsplit_once('.').is_some_and(|(stem, end)| is_hash(stem) && ["onnx", "tmp"].contains(&end))
    };
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    names.filter_map(|it| it.file_name().into_string().ok()).filter(is_left).collect()
}

#[cfg(test)]
mod tests;
