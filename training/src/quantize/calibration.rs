use std::ops::RangeInclusive;

use autorma_classifier::{Decoder, Session};
use autorma_evaluation::parallel::each;
use sha2::{Digest, Sha256};

use crate::cache::Key;
use crate::dataset::Split;
use crate::features::Machine;
use crate::graph::Backbone;
use crate::onnx::{Node, Number};
use crate::photos::Photo;
use crate::views::{Unusable, Views};
use crate::{Error, Progress, What};

/// What the network says that tells how large its numbers are.
const RANGES: &str = "ranges of its tensors";

/// The photos that the recipe asks for, drawn from those that are learned from, by the seed and their content.
fn draw(views: &Views<'_>) -> Vec<usize> {
    let Views { photos, contents, recipe, .. } = *views;
    let asked = recipe.calibration;
    let mut drawn = Vec::new();
    // Each photo is of the first of these that it fits.
    let mut left = [asked.backgrounds, asked.contributed, asked.other, asked.studio];
    let number = |photo: &Photo| match photo {
        photo if photos.is_scene(photo) => 0,
        Photo { is_contributed: true, .. } => 1,
        photo if !photos.is_of_class(photo) => 2,
        _ => 3,
    };
    let place = |photo: usize| Some((order(recipe.seed, &contents.of(photo)?), photo));
    let mut all: Vec<(Key, usize)> = photos.of_part(Split::Train).into_iter().filter_map(place).collect();
    all.sort_by_key(|(order, _)| *order);
    for (_, photo) in all {
        let left = &mut left[number(&photos.all[photo])];
        if *left > 0 {
            *left -= 1;
            drawn.push(photo);
        }
    }
    drawn
}

fn order(seed: u64, content: &Key) -> Key {
    Sha256::new_with_prefix(b"calibration 1")
        .chain_update(seed.to_le_bytes())
        .chain_update(content)
        .finalize()
        .into()
}

/// The least and the largest number in each of the tensors, over the photos that are drawn and can be decoded; and how many
/// these are.
pub(super) fn ranges(
    backbone: &Backbone,
    tensors: &[String],
    views: &Views<'_>,
    machine: Machine<'_>,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<(Vec<RangeInclusive<f32>>, usize), Error> {
    let drawn = draw(views);
    let onnx = that_says_ranges(backbone, tensors);
    let input = &backbone.input;
    let session = |_| Session::of(machine.runtime, &onnx, input, RANGES, 2 * tensors.len(), 1);
    let sessions = (0..machine.threads).map(session).collect::<Result<Vec<_>, _>>();
    let sessions = sessions.map_err(|error| Error::Quantize(error.to_string()))?;
    let decoder = || Decoder::new(input.width, input.height, machine.limits);
    let owned = sessions.into_iter().map(|session| (decoder(), session));
    let look = |(decoder, session): &mut (Decoder, Session), number: usize| {
        let picture = views.picture(drawn[number], 0, decoder)?;
        Ok::<_, Unusable>(session.infer(&[&picture])?.pop().unwrap_or_default())
    };
    let of = drawn.len();
    let report = |done| progress(Progress::Count { what: What::Calibration, done, of });
    let said = each(of, owned, look, report).ok_or(Error::Stopped)?;
    // Without them the numbers are others, and so is the model.
    views.none_is_gone(drawn.iter().copied().zip(said.iter().map(|ends| ends.as_ref().err())))?;
    let mut found = vec![f32::INFINITY..=f32::NEG_INFINITY; tensors.len()];
    let mut looked = 0;
    for ends in said.into_iter().flatten() {
        looked += 1;
        for (range, [low, high]) in found.iter_mut().zip(ends.as_chunks::<2>().0) {
            *range = range.start().min(*low)..=range.end().max(*high);
        }
    }
    if found.iter().any(|range| range.start() > range.end()) {
        return Err(Error::Quantize(
            "no photo could be looked at that tells how large its numbers become".into(),
        ));
    }
    Ok((found, looked))
}

/// The network with the least and the largest number of each of the tensors as its output.
fn that_says_ranges(backbone: &Backbone, tensors: &[String]) -> Vec<u8> {
    let mut graph = backbone.graph();
    let mut ends = Vec::new();
    for tensor in tensors {
        for operator in ["ReduceMin", "ReduceMax"] {
            let end = format!("{tensor}/{operator}");
            // Over all axes, of which each is one long then.
            graph.node.push(Node::of(operator, &[tensor], &end));
            ends.push(end);
        }
    }
    let ends: Vec<_> = ends.iter().map(String::as_str).collect();
    graph.node.push(Node::of("Concat", &ends, RANGES).with("axis", Number::One(1)));
    backbone.that_says(graph, RANGES, ends.len())
}
