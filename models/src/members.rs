//! The networks of a model: one, or several that are asked about the same picture, an ensemble.

use std::collections::BTreeSet;

use autorma_schemas::sha256;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::verify::MOST_OF_A_MODEL;
use crate::{File, MANIFEST, Manifest};

/// How many members a model may have.
const MOST: usize = 8;
/// What a member may count at the most: weights beyond any use would only make others vanish.
const HEAVIEST: f64 = 1e6;

/// One of the networks that a model asks. All get the same input and say numbers about the same things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The ONNX file.
    pub model: File,
    /// The same network in floats, which the ONNX file was quantized from and is held against; it serves nobody. None if
    /// the network is in floats itself, or nobody has kept them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<File>,
    /// How much it counts beside the others, above 0; twice the weights are the same ensemble.
    pub weight: f64,
}

impl Member {
    /// A model's only network.
    pub fn only(model: File, reference: Option<File>) -> Vec<Self> {
        vec![Self { model, reference, weight: 1.0 }]
    }

    /// Its ONNX file, and its reference if it has one.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        std::iter::once(&self.model).chain(&self.reference)
    }

    /// With its reference for its file, if it has one.
    fn in_floats(&self) -> Self {
        let model = self.reference.clone().unwrap_or_else(|| self.model.clone());
        Self { model, reference: None, weight: self.weight }
    }

    /// With files that are named after their content.
    fn with_named_files(&self) -> Self {
        let named = |file: &File| File { file: format!("{}.onnx", file.sha256), ..file.clone() };
        Self { model: named(&self.model), reference: self.reference.as_ref().map(named), weight: self.weight }
    }
}

/// The logits of an ensemble: the mean of its members' `logits`, all of one length, by their `shares`, which add up to 1.
///
/// Their softmax is that of the mean of the members' log-probabilities: these are the logits but for a number that is the
/// same for all outputs, which no softmax sees.
pub fn mean(shares: &[f64], logits: &[Vec<f32>]) -> Vec<f32> {
    let at = |place: usize| {
        let counted = shares.iter().zip(logits).map(|(share, logits)| share * f64::from(logits[place]));
        counted.sum::<f64>() as f32
    };
    (0..logits.first().map_or(0, Vec::len)).map(at).collect()
}

impl Manifest {
    /// The share of each member, in their order; they add up to 1.
    pub fn shares(&self) -> Vec<f64> {
        let sum: f64 = self.members.iter().map(|member| member.weight).sum();
        self.members.iter().map(|member| member.weight / sum).collect()
    }

    /// What tells the model's files from others, in lower-case hexadecimal digits: the SHA-256 of its ONNX file; of an
    /// ensemble, that of its members' SHA-256s, a line each.
    pub fn sha256(&self) -> String {
        match &*self.members {
            [only] => only.model.sha256.clone(),
            members => {
                let lines: String = members.iter().map(|it| format!("{}\n", it.model.sha256)).collect();
                sha256(lines.as_bytes())
            }
        }
    }

    /// How long its members' ONNX files are together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.members.iter().fold(0, |sum, member| sum.saturating_add(member.model.bytes))
    }

    /// The arithmetic, `fp32` or `int8`; of an ensemble each member's, as in `int8 + fp32`.
    pub fn precision(&self) -> String {
        let each: Vec<_> = self.members.iter().map(|member| &*member.model.precision).collect();
        each.join(" + ")
    }

    /// What its reference is, if it has one: a model that differs in nothing but its files. Members that weren't quantized
    /// are their own.
    pub fn of_reference(&self) -> Option<Self> {
        self.references().next()?;
        Some(Self { members: self.members.iter().map(Member::in_floats).collect(), ..self.clone() })
    }

    /// What its quantized members were quantized from, as far as it was kept.
    pub(crate) fn references(&self) -> impl Iterator<Item = &File> {
        self.members.iter().filter_map(|member| member.reference.as_ref())
    }

    /// What it is when its files are named after their content, as they are in a registry.
    pub fn with_named_files(&self) -> Self {
        Self { members: self.members.iter().map(Member::with_named_files).collect(), ..self.clone() }
    }

    /// What makes its members ones that can't be used, if anything.
    pub(crate) fn problem_of_members(&self) -> Option<&'static str> {
        let files = || self.members.iter().flat_map(Member::files);
        let are_unique = |part: fn(&File) -> &String| {
            let different: BTreeSet<_> = files().map(part).collect();
            different.len() == files().count()
        };
        let fit = |it: &Self| it.bytes() <= MOST_OF_A_MODEL;
        let rules = [
            ((1..=MOST).contains(&self.members.len()), "a model may have 8 members at the most"),
            (
                self.members.iter().all(|it| it.weight > 0.0 && it.weight <= HEAVIEST),
                "a member's weight must be above 0 and at most a million",
            ),
            (
                self.members.iter().all(|it| is_in_the_folder(&it.model)),
                "model.file must be a name in the manifest's folder",
            ),
            (
                self.references().all(is_in_the_folder),
                "reference.file must be a name in the manifest's folder",
            ),
            // The gate goes by it.
            (
                files().all(|it| ["int8", "fp32"].contains(&&*it.precision)),
                "precision must be int8 or fp32, in small letters",
            ),
            (
                are_unique(|it| &it.file) && are_unique(|it| &it.sha256),
                "a file is listed twice: each member and each reference must be another one",
            ),
            (
                self.references().all(|it| it.precision == "fp32"),
                "a reference is in floats: its precision must be fp32",
            ),
            // Asked before anything is fetched.
            (
                fit(self) && self.of_reference().as_ref().is_none_or(fit),
                "its ONNX files may have 2 GiB together at the most, and so may those of its reference",
            ),
        ];
        rules.iter().find(|(kept, _)| !kept).map(|(_, rule)| *rule)
    }
}

fn is_in_the_folder(file: &File) -> bool {
    !file.file.is_empty() && file.file != MANIFEST && !file.file.contains(['/', '\\'])
}

/// The members in a manifest's text. One alone is written as it was before there were ensembles, so that such a manifest
/// stays what it is, byte by byte, and means the same to those who know no others.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<File>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<File>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<Member>>,
}

pub(crate) fn serialize<S: Serializer>(members: &[Member], to: S) -> Result<S::Ok, S::Error> {
    let written = match members {
        [Member { model, reference, .. }] => {
            Written { model: Some(model.clone()), reference: reference.clone(), members: None }
        }
        members => Written { model: None, reference: None, members: Some(members.to_vec()) },
    };
    written.serialize(to)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Member>, D::Error> {
    match Written::deserialize(from)? {
        Written { model: Some(model), reference, members: None } => Ok(Member::only(model, reference)),
        Written { model: None, reference: None, members: Some(members) } if members.len() > 1 => Ok(members),
        _ => Err(D::Error::custom(
            "it must have a model, and maybe its reference, or else two members or more",
        )),
    }
}

#[cfg(test)]
mod tests;
