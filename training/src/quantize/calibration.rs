use std::ops::RangeInclusive;

use autorma_classifier::{Decoder, Session};
use autorma_evaluation::parallel::each;
use sha2::{Digest, Sha256};

use super::plan::Plan;
use crate::cache::Key;
use crate::dataset::Split;
use crate::features::Machine;
use crate::graph::Backbone;
use crate::onnx::{Node, Number};
use crate::photos::Photo;
use crate::views::{Unusable, Views};
use crate::{Error, Progress, What};

/// What the network says that tells what its numbers are like.
const NUMBERS: &str = "what its numbers are like";

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

/// What the network's numbers are like.
#[derive(Debug)]
pub(super) struct Numbers {
    /// The least and the largest in each of the planned tensors.
    pub(super) ranges: Vec<RangeInclusive<f32>>,
    /// Of those that convolutions look at, the average of each channel.
    pub(super) means: Vec<Vec<f32>>,
    /// How many photos have told that.
    pub(super) photos: usize,
}

/// What the numbers are like for the photos that are drawn and can be decoded.
pub(super) fn numbers(
    backbone: &Backbone,
    plan: &Plan,
    views: &Views<'_>,
    machine: Machine<'_>,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<Numbers, Error> {
    let drawn = draw(views);
    let onnx = that_says_numbers(backbone, plan);
    let (input, ends) = (&backbone.input, 2 * plan.tensors.len());
    let channels: usize = plan.inputs.iter().map(|(_, channels)| channels).sum();
    let session = |_| Session::of(machine.runtime, &onnx, input, NUMBERS, ends + channels, 1);
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
    views.none_is_gone(drawn.iter().copied().zip(said.iter().map(|numbers| numbers.as_ref().err())))?;
    let mut ranges = vec![f32::INFINITY..=f32::NEG_INFINITY; plan.tensors.len()];
    let (mut sums, mut photos) = (vec![0.0; channels], 0);
    for numbers in said.into_iter().flatten() {
        photos += 1;
        let (ends, means) = numbers.split_at(ends.min(numbers.len()));
        for (range, [low, high]) in ranges.iter_mut().zip(ends.as_chunks::<2>().0) {
            *range = range.start().min(*low)..=range.end().max(*high);
        }
        sums.iter_mut().zip(means).for_each(|(sum, mean)| *sum += f64::from(*mean));
    }
    if ranges.iter().any(|range| range.start() > range.end()) {
        return Err(Error::Quantize(
            "no photo could be looked at that tells how large its numbers become".into(),
        ));
    }
    let mut means = sums.into_iter().map(|sum| (sum / f64::from(photos)) as f32);
    let means = plan.inputs.iter().map(|(_, channels)| means.by_ref().take(*channels).collect()).collect();
    Ok(Numbers { ranges, means, photos: photos as usize })
}

/// The network that says of each planned tensor the least and the largest number, and then of those that convolutions look
/// at the average of each channel.
fn that_says_numbers(backbone: &Backbone, plan: &Plan) -> Vec<u8> {
    let mut graph = backbone.graph();
    let mut said = Vec::new();
    let mut says = |operator: &str, tensor: &str| {
        let number = format!("{tensor}/{operator}");
        graph.node.push(Node::of(operator, &[tensor], &number));
        said.push(number);
    };
    for tensor in &plan.tensors {
        // Over all axes, of which each is one long then.
        says("ReduceMin", tensor);
        says("ReduceMax", tensor);
    }
    plan.inputs.iter().for_each(|(input, _)| says("GlobalAveragePool", input));
    let said: Vec<_> = said.iter().map(String::as_str).collect();
    graph.node.push(Node::of("Concat", &said, NUMBERS).with("axis", Number::One(1)));
    let channels: usize = plan.inputs.iter().map(|(_, channels)| channels).sum();
    backbone.that_says(graph, NUMBERS, 2 * plan.tensors.len() + channels)
}
