use std::collections::{HashMap, HashSet};

use crate::onnx::{Graph, Node, Tensor};

/// What of a network is computed on bytes.
#[derive(Debug)]
pub(super) struct Plan {
    /// The tensors that are bytes, in the network's order.
    pub(super) tensors: Vec<String>,
    /// Those that convolutions look at, with their numbers of channels.
    pub(super) inputs: Vec<(String, usize)>,
    /// What becomes of each node.
    pub(super) steps: Vec<Step>,
}

/// What becomes of a node.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// It stays as it is, and takes and gives floats.
    Float,
    /// It takes bytes, and gives the bytes of the tensor of this name.
    Bytes(String),
    /// It is gone: the range of the bytes does what it did.
    Folded,
}

impl Plan {
    /// Convolutions whose weights are known, sums of what they give, and what bounds either from below or above.
    pub(super) fn of(graph: &Graph) -> Self {
        let known: HashMap<_, _> = graph.initializer.iter().map(|it| (it.name.as_str(), it)).collect();
        let steps = vec![Step::Float; graph.node.len()];
        let mut plan = Self { tensors: Vec::new(), inputs: Vec::new(), steps };
        let mut bytes = HashSet::new();
        for (number, node) in graph.node.iter().enumerate() {
            let takes_bytes = match node.op_type.as_str() {
                _ if !node.domain.is_empty() || plan.steps[number] == Step::Folded => false,
                "Conv" => is_known(node, &known),
                "Add" => node.input.iter().all(|input| bytes.contains(input)),
                _ => false,
            };
            let [output] = node.output.as_slice() else { continue };
            if !takes_bytes {
                continue;
            }
            let bound = bound(graph, output, &known);
            let given = bound.map_or(output, |bound| &graph.node[bound].output[0]);
            if is_output(graph, given) {
                continue;
            }
            if let Some(bound) = bound {
                plan.steps[bound] = Step::Folded;
            }
            plan.steps[number] = Step::Bytes(given.clone());
            let channels = node.input.get(1).and_then(|weights| channels(node, known.get(weights.as_str())?));
            if let Some(channels) = channels
                && !plan.inputs.iter().any(|(input, _)| *input == node.input[0])
            {
                plan.inputs.push((node.input[0].clone(), channels));
            }
            // A sum's are there already.
            for tensor in [&node.input[0], given] {
                if bytes.insert(tensor.clone()) {
                    plan.tensors.push(tensor.clone());
                }
            }
        }
        plan
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
}

/// How many channels a convolution with these weights looks at; None for what is none.
fn channels(node: &Node, weights: &Tensor) -> Option<usize> {
    let groups = usize::try_from(node.one("group").unwrap_or(1)).ok()?;
    (node.op_type == "Conv").then(|| Some(usize::try_from(*weights.dims.get(1)?).ok()? * groups))?
}

/// Whether it is a convolution of something that is computed with weights and biases that aren't.
fn is_known(node: &Node, known: &HashMap<&str, &Tensor>) -> bool {
    let (input, weights) = match node.input.as_slice() {
        [input, weights] => (input, vec![weights]),
        [input, weights, biases] => (input, vec![weights, biases]),
        _ => return false,
    };
    let is_of_floats = |name: &&String| known.get(name.as_str()).is_some_and(|it| it.values().is_some());
    !known.contains_key(input.as_str()) && weights.iter().all(is_of_floats)
}

/// The node that bounds this tensor, if nothing else looks at it and bytes can do the same: their range ends where the
/// calibration photos' values end, which is no further than the bounds.
fn bound(graph: &Graph, tensor: &str, known: &HashMap<&str, &Tensor>) -> Option<usize> {
    let looks = |(_, node): &(usize, &Node)| node.input.iter().any(|input| input == tensor);
    let mut looking = graph.node.iter().enumerate().filter(looks);
    let (number, node) = looking.next()?;
    let is_alone = looking.next().is_none() && !is_output(graph, tensor) && node.input[0] == tensor;
    let end = |place: usize| match node.input.get(place).map(String::as_str) {
        None | Some("") => Some(None),
        Some(name) => Some(Some(*known.get(name)?.values()?.first()?)),
    };
    let bounds = match node.op_type.as_str() {
        "Relu" => Some((Some(0.0), None)),
        "Clip" => end(1).zip(end(2)),
        _ => None,
    };
    let (low, high) = bounds.filter(|_| is_alone && node.domain.is_empty() && node.output.len() == 1)?;
    // The range of the bytes has zero in it.
    (low.is_none_or(|low| low <= 0.0) && high.is_none_or(|high| high >= 0.0)).then_some(number)
}

fn is_output(graph: &Graph, tensor: &str) -> bool {
    graph.output.iter().any(|output| output.name == tensor)
}
