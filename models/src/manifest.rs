use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::members::{self, Member};

/// What a model is: `manifest.json` beside its ONNX file, or its members' files. `autorma train` writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this layout; 1.
    pub format: u32,
    /// The model's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The networks that it asks, at least one: in the text `model` and maybe `reference` where there is one, and `members`
    /// where there are several.
    #[serde(flatten, with = "members")]
    pub members: Vec<Member>,
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

impl Input {
    /// The number that stands for a channel's value, in all that asks a model or learns from what it says.
    pub fn normalised(&self, channel: usize, value: u8) -> f32 {
        (f32::from(value) - self.mean[channel]) / self.std[channel]
    }
}

impl Manifest {
    /// How many numbers the model says about an image.
    pub fn outputs(&self) -> usize {
        self.classes.len() + self.output.unknown.len()
    }

    /// What makes the manifest one that can't be used, if anything.
    pub fn problem(&self) -> Option<String> {
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
        ];
        let broken = rules.iter().find(|(kept, _)| !kept).map(|(_, rule)| *rule);
        broken.or_else(|| self.problem_of_members()).map(str::to_owned)
    }
}
