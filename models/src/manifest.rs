use std::collections::BTreeMap;

use autorma_schemas::ModelVersion;
use serde::{Deserialize, Serialize};

use crate::members::{self, Member};

/// How many bytes the name of a model, of a class, or of another kind of thing, may have.
const LONGEST_NAME: usize = 128;
/// How many bytes a version may have: an ensemble's has those of its members.
const LONGEST_VERSION: usize = 1024;
/// How many classes and other kinds of things a model may have together: each prediction names all classes, and must be no
/// larger than its topic takes.
pub const MOST_OUTPUTS: usize = 1000;

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

    /// Whether every byte becomes a number. What is too large for 32 bits is infinite here, and nothing in JSON: who wrote it
    /// couldn't read it again.
    fn makes_numbers(&self) -> bool {
        let ends = |channel| [0, u8::MAX].map(|value| self.normalised(channel, value));
        self.std.iter().all(|std| std.is_finite()) && (0..3).flat_map(ends).all(f32::is_finite)
    }
}

impl Manifest {
    /// How many numbers the model says about an image.
    pub fn outputs(&self) -> usize {
        self.classes.len() + self.output.unknown.len()
    }

    /// As the model is named on predictions.
    pub fn identity(&self) -> ModelVersion {
        ModelVersion { name: self.name.clone(), version: self.version.clone(), sha256: self.sha256() }
    }

    /// What makes the manifest one that can't be used, if anything.
    pub fn problem(&self) -> Option<String> {
        let probability = |value: f64| (0.0..=1.0).contains(&value);
        let names = || self.classes.iter().chain(&self.output.unknown);
        let unique: std::collections::BTreeSet<_> = names().collect();
        let rules = [
            (self.format == 1, "format must be 1"),
            (is_a_name(&self.name), "name must have 1 to 128 bytes and no control characters"),
            (is_a_version(&self.version), "version may have 1,024 bytes, and no control characters"),
            (self.classes.len() >= 2, "at least two classes are needed"),
            (self.outputs() <= MOST_OUTPUTS, "classes and output.unknown may have 1,000 names together"),
            (
                names().all(|name| is_a_name(name)),
                "the name of a class, or in output.unknown, must have 1 to 128 bytes and no control characters",
            ),
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
            (self.input.makes_numbers(), "(byte - input.mean) / input.std must be a number of 32 bits"),
        ];
        let broken = rules.iter().find(|(kept, _)| !kept).map(|(_, rule)| *rule);
        broken.or_else(|| self.problem_of_members()).map(str::to_owned)
    }
}

/// Whether a model, a class, or another kind of thing, may be called that: 1 to 128 bytes without control characters.
pub fn is_a_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && has_no_controls(text)
}

/// Whether a version may be called that: at most 1,024 bytes without control characters.
pub fn is_a_version(text: &str) -> bool {
    text.len() <= LONGEST_VERSION && has_no_controls(text)
}

fn has_no_controls(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Model;

    #[test]
    fn what_no_prediction_or_no_registry_could_hold_is_refused() {
        let shipped = Model::manifest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("shipped")).unwrap();
        let problem = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = shipped.clone();
            change(&mut manifest);
            manifest.problem().unwrap_or_default()
        };
        let kinds = |count: usize| (0..count).map(|number| format!("kind {number}")).collect::<Vec<_>>();
        let most = MOST_OUTPUTS - shipped.classes.len();
        type Change<'a> = &'a dyn Fn(&mut Manifest);
        let changes: [(Change<'_>, &str); 16] = [
            (&|_| (), ""),
            (&|it| it.classes[1] = "ä".repeat(64), ""),
            (&|it| it.name = "a".repeat(129), "name must have 1 to 128 bytes"),
            (&|it| it.version = "1+".repeat(512), ""),
            (&|it| it.version.push_str(&"1".repeat(1024)), "version may have 1,024 bytes"),
            (&|it| it.version = "1\n".into(), "version may have 1,024 bytes, and no control characters"),
            (&|it| it.output.unknown = kinds(most), ""),
            (&|it| it.output.unknown = kinds(most + 1), "1,000 names together"),
            (&|it| it.classes[1] = "a".repeat(129), "128 bytes"),
            (&|it| it.classes[1].clear(), "1 to 128 bytes"),
            (&|it| it.classes[1] = "a\nb".into(), "no control characters"),
            (&|it| it.output.unknown[0] = "\u{1b}[2J".into(), "no control characters"),
            (&|it| it.input.std[2] = f32::INFINITY, "a number of 32 bits"),
            (&|it| it.input.mean[0] = f32::INFINITY, "a number of 32 bits"),
            (&|it| it.input.mean[0] = f32::NAN, "a number of 32 bits"),
            (&|it| it.input.std[1] = f32::from_bits(1), "a number of 32 bits"),
        ];
        for (number, (change, expected)) in changes.into_iter().enumerate() {
            let problem = problem(change);
            let is_right = if expected.is_empty() { problem.is_empty() } else { problem.contains(expected) };
            assert!(is_right, "change {number}: {problem:?} and not {expected:?}");
        }
    }
}
