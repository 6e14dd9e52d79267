//! What the tests need: the shared photographs, the model, ONNX Runtime.
#![allow(dead_code, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use autorma_classifier::{Decoder, Limits, Runtime};
use autorma_models::Model;

pub(crate) const LIMITS: Limits = Limits { bytes: 64 << 20, pixels: 50_000_000, memory: 256 << 20 };

/// The shared photographs; None when this isn't CI and they are missing.
pub(crate) fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let there = folder.is_dir();
    assert!(there || std::env::var_os("CI").is_none(), "{} is missing", folder.display());
    if !there {
        eprintln!("skipped: there is no {}", folder.display());
    }
    there.then_some(folder)
}

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(Runtime::of_the_clone)
}

pub(crate) fn model() -> Model {
    Model::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/shipped")).unwrap()
}

/// What makes pictures for the model.
pub(crate) fn decoder(model: &Model) -> Decoder {
    let input = &model.manifest.input;
    Decoder::new(input.width, input.height, LIMITS)
}

/// The test photos of the five classes with their class.
pub(crate) fn test_photos(data: &Path) -> Vec<(PathBuf, String)> {
    let mut photos = Vec::new();
    for class in std::fs::read_dir(data.join("fashion/test")).unwrap() {
        let class = class.unwrap();
        let label = class.file_name().into_string().unwrap().replace('_', " ");
        for photo in std::fs::read_dir(class.path()).unwrap() {
            photos.push((photo.unwrap().path(), label.clone()));
        }
    }
    photos.sort();
    photos
}
