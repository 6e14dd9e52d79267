use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::MANIFEST;

/// What a model is: `manifest.json` beside its ONNX file. `autorma train` writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this layout; 1.
    pub format: u32,
    /// The model's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The ONNX file.
    pub model: File,
    /// The same model in floats, which the ONNX file was quantized from and is held against; it serves nobody. None if the
    /// model is in floats itself, or nobody has kept them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<File>,
    /// What goes in.
    pub input: Input,
    /// What comes out.
    pub output: Output,
    /// The classes that images are sorted into, in the order of the first outputs.
    pub classes: Vec<String>,
    /// What the outputs are divided by before the softmax (Guo et al. 2017, "On Calibration of Modern Neural
    /// Networks"); above 0.
    pub temperature: f64,
    /// Where decisions change.
    pub thresholds: Thresholds,
    /// Where the weights come from: part of the model, and how it was made or obtained.
    pub origin: BTreeMap<String, String>,
    /// Under which licence they may be used (SPDX).
    pub licence: String,
    /// What was measured on it, by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

/// An ONNX file of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// Its name in the manifest's folder.
    pub file: String,
    /// The SHA-256 of its content, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// The arithmetic: `fp32` or `int8`.
    pub precision: String,
}

/// What goes into a model: images × 3 × height × width, 32-bit floats, `(value - mean) / std` of values 0 to 255.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The input's name in the graph.
    pub name: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The order of the axes; `NCHW`.
    pub layout: String,
    /// The order of the channels; `RGB`.
    pub color: String,
    /// How a picture becomes `width` × `height`; `stretch-bilinear-antialiased`.
    pub resize: String,
    /// Subtracted from each channel.
    pub mean: [f32; 3],
    /// What each channel is divided by then.
    pub std: [f32; 3],
}

/// What comes out of a model: for each image one logit a class, then one for each kind of thing that isn't one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// The output's name in the graph.
    pub name: String,
    /// The further kinds of things, none of which is a class of the warehouse.
    #[serde(default)]
    pub unknown: Vec<String>,
}

/// Where decisions change; all are probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// The least confidence that is accepted without a look.
    pub accept: f64,
    /// From here on, the probability of being none of the classes makes an image unknown.
    pub unknown: f64,
}

impl Manifest {
    /// How many numbers the model says about an image.
    pub fn outputs(&self) -> usize {
        self.classes.len() + self.output.unknown.len()
    }

    /// What its reference is, if it has one: a model that differs in nothing but its file.
    pub fn of_reference(&self) -> Option<Self> {
        let model = self.reference.clone()?;
        Some(Self { model, reference: None, ..self.clone() })
    }

    /// What it is when its files are named after their content, as they are in a registry.
    pub(crate) fn with_named_files(&self) -> Self {
        let named = |file: &File| File { file: format!("{}.onnx", file.sha256), ..file.clone() };
        Self { model: named(&self.model), reference: self.reference.as_ref().map(named), ..self.clone() }
    }

    /// What makes the manifest one that can't be used, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let probability = |value: f64| (0.0..=1.0).contains(&value);
        let unique: std::collections::BTreeSet<_> = self.classes.iter().chain(&self.output.unknown).collect();
        let rules = [
            (self.format == 1, "format must be 1"),
            (self.classes.len() >= 2, "at least two classes are needed"),
            (unique.len() == self.outputs(), "a class is listed twice"),
            (self.temperature.is_finite() && self.temperature > 0.0, "temperature must be above 0"),
            (probability(self.thresholds.accept), "thresholds.accept must be within 0..1"),
            (probability(self.thresholds.unknown), "thresholds.unknown must be within 0..1"),
            (self.input.layout == "NCHW", "input.layout must be NCHW"),
            (self.input.color == "RGB", "input.color must be RGB"),
            (
                self.input.resize == "stretch-bilinear-antialiased",
                "input.resize must be stretch-bilinear-antialiased",
            ),
            ((1..=4096).contains(&self.input.width), "input.width must be within 1..4096"),
            ((1..=4096).contains(&self.input.height), "input.height must be within 1..4096"),
            (self.input.std.iter().all(|std| *std > 0.0), "input.std must be above 0"),
            (is_a_name(&self.model), "model.file must be a name in the manifest's folder"),
            (
                self.reference.as_ref().is_none_or(is_a_name),
                "reference.file must be a name in the manifest's folder",
            ),
            (
                self.reference
                    .as_ref()
                    .is_none_or(|it| it.file != self.model.file && it.sha256 != self.model.sha256),
                "reference must be another file than model",
            ),
        ];
        let broken = rules.iter().find(|(kept, _)| !kept)?;
        Some(broken.1.to_owned())
    }
}

fn is_a_name(file: &File) -> bool {
    !file.file.is_empty() && file.file != MANIFEST && !file.file.contains(['/', '\\'])
}
