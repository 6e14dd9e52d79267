//! The backbone in 8-bit integers, as ONNX writes them (QDQ): what a convolution takes and gives are bytes, its weights
//! are bytes with a scale for each of its outputs, and ONNX Runtime computes on the bytes. Pooling, means
//! and maxima over all places, and the head stay in floats: that costs nothing, and is worth more than 8 bits.

mod calibration;
mod numbers;
mod plan;
mod rewriting;

use autorma_classifier::Session;

use crate::features::Machine;
use crate::graph::Backbone;
use crate::views::Views;
use crate::{Error, Progress};
use plan::Plan;

/// The first version of ONNX's operators that knows a scale for each channel.
const OPERATORS: i64 = 13;

/// A backbone in 8-bit integers.
#[derive(Debug)]
pub(crate) struct Quantized {
    pub(crate) backbone: Backbone,
    /// How many photos have told how large its numbers become.
    pub(crate) photos: usize,
}

/// The same backbone, quantized by what the recipe's calibration photos let it compute.
///
/// # Errors
/// [`Error::Quantize`] if it has nothing to quantize, or ONNX Runtime can't run what comes of it; [`Error::Stopped`] if
/// `progress` says false; [`Error::Gone`] if one of these photos is gone.
pub(crate) fn quantize(
    backbone: &Backbone,
    views: &Views<'_>,
    machine: Machine<'_>,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<Quantized, Error> {
    if backbone.operators() < OPERATORS {
        let version = backbone.operators();
        let problem =
            format!("it is written in version {version} of ONNX's operators, not {OPERATORS} or newer");
        return Err(Error::Quantize(problem));
    }
    let graph = backbone.graph();
    let plan = Plan::of(&graph);
    if plan.is_empty() {
        let problem = "it has no convolution whose weights are known and that something else follows";
        return Err(Error::Quantize(problem.into()));
    }
    let numbers = calibration::numbers(backbone, &plan, views, machine, progress)?;
    let photos = numbers.photos;
    let graph = rewriting::rewrite(graph, &plan, numbers).map_err(Error::Quantize)?;
    let backbone = backbone.with_graph(graph).map_err(Error::Quantize)?;
    let Backbone { onnx, input, features, .. } = &backbone;
    let tried = Session::of(machine.runtime, onnx, input, Backbone::FEATURES, *features, 1);
    tried.map_err(|error| Error::Quantize(error.to_string()))?;
    Ok(Quantized { backbone, photos })
}

#[cfg(test)]
mod tests;
