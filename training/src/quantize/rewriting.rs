use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;

use super::calibration::Numbers;
use super::numbers::{Kernel, Steps, Weights};
use super::plan::{Plan, Step};
use crate::onnx::{Graph, INT8, INT32, Node, Number, Tensor, UINT8};

/// What is written.
struct Writing {
    node: Vec<Node>,
    initializer: Vec<Tensor>,
    /// How the tensors that are bytes become them.
    steps: BTreeMap<String, Steps>,
    /// Of those that convolutions look at, the average of each channel.
    means: HashMap<String, Vec<f32>>,
}

/// The network with each planned tensor as bytes, which are floats again before each node that takes them: ONNX Runtime
/// sees a convolution between the two and computes it on the bytes.
pub(super) fn rewrite(graph: Graph, plan: &Plan, numbers: Numbers) -> Result<Graph, String> {
    let Numbers { ranges, means, .. } = numbers;
    let of = |(tensor, range): (&String, &RangeInclusive<f32>)| {
        let steps = Steps::of(range).ok_or_else(|| format!("{tensor} becomes infinite"))?;
        Ok((tensor.clone(), steps))
    };
    let steps = plan.tensors.iter().zip(&ranges).map(of).collect::<Result<_, String>>()?;
    let means = plan.inputs.iter().map(|(input, _)| input.clone()).zip(means).collect();
    let mut writing = Writing { node: Vec::new(), initializer: Vec::new(), steps, means };
    let known: HashMap<_, _> = graph.initializer.iter().map(|it| (it.name.as_str(), it)).collect();
    graph.input.iter().for_each(|input| writing.as_bytes(&input.name));
    for (node, step) in graph.node.iter().zip(&plan.steps) {
        let mut node = node.clone();
        match step {
            Step::Folded => continue,
            Step::Float => {}
            Step::Bytes(given) => {
                node.output = vec![given.clone()];
                if node.op_type == "Conv" {
                    writing.weigh(&mut node, &known)?;
                }
            }
        }
        writing.take_floats(&mut node);
        let outputs = node.output.clone();
        writing.node.push(node);
        outputs.iter().for_each(|output| writing.as_bytes(output));
    }
    let used: HashSet<_> = writing.node.iter().flat_map(|node| node.input.iter().cloned()).collect();
    let mut initializer = graph.initializer;
    initializer.retain(|tensor| used.contains(&tensor.name));
    initializer.extend(writing.initializer);
    Ok(Graph { node: writing.node, initializer, ..graph })
}

impl Writing {
    /// Lets a tensor that was just computed become bytes, if that is planned, and floats again.
    fn as_bytes(&mut self, tensor: &str) {
        let Some(Steps { scale, zero }) = self.steps.get(tensor).copied() else { return };
        let [bytes, floats, scales, zeros] =
            ["bytes", "floats", "scale", "zero"].map(|part| format!("{tensor}/{part}"));
        self.initializer.push(Tensor::floats(&scales, &[], [scale].into_iter()));
        self.initializer.push(Tensor::raw(&zeros, &[], UINT8, vec![zero]));
        self.node.push(Node::of("QuantizeLinear", &[tensor, &scales, &zeros], &bytes));
        self.node.push(Node::of("DequantizeLinear", &[&bytes, &scales, &zeros], &floats));
    }

    /// Lets a node take what bytes were made of.
    fn take_floats(&self, node: &mut Node) {
        for input in node.input.iter_mut().filter(|input| self.steps.contains_key(*input)) {
            *input = format!("{input}/floats");
        }
    }

    /// Lets a convolution take integers as its weights and biases.
    fn weigh(&mut self, node: &mut Node, known: &HashMap<&str, &Tensor>) -> Result<(), String> {
        let name = node.output[0].clone();
        let values = |tensor: &String| {
            let tensor = known.get(tensor.as_str())?;
            Some((&tensor.dims, tensor.values()?))
        };
        let wrong = || format!("the weights of {name} are no finite numbers");
        let (dims, weights) = values(&node.input[1]).ok_or_else(wrong)?;
        let dims: Vec<_> = dims.iter().filter_map(|size| usize::try_from(*size).ok()).collect();
        let outputs = dims.first().copied().unwrap_or_default();
        let biases = match node.input.get(2) {
            Some(biases) => values(biases).ok_or_else(wrong)?.1,
            None => vec![0.0; outputs],
        };
        let (input, inputs) = (&node.input[0], dims.get(1).copied().unwrap_or_default());
        let means = self.means.get(input).filter(|_| outputs > 0 && inputs > 0 && biases.len() == outputs);
        let kernel = |means| Kernel { weights: &weights, biases: &biases, inputs, means };
        let integers = self.steps.get(input).zip(means);
        let integers =
            integers.and_then(|(bytes, means)| Weights::of(kernel(means), *bytes)).ok_or_else(wrong)?;
        let raw = integers.weights.iter().map(|weight| weight.cast_unsigned()).collect();
        node.input[1] = self.scaled(&format!("{name}/weights"), &dims, INT8, raw, &integers.scales);
        let raw = integers.biases.iter().flat_map(|bias| bias.to_le_bytes()).collect();
        node.input.truncate(2);
        node.input.push(self.scaled(
            &format!("{name}/biases"),
            &[outputs],
            INT32,
            raw,
            &integers.bias_scales,
        ));
        Ok(())
    }

    /// Integers with a scale for each output of a convolution. Returns the name of what they are as floats.
    fn scaled(&mut self, name: &str, dims: &[usize], kind: i32, raw: Vec<u8>, scales: &[f32]) -> String {
        let [integers, floats, scale, zero] =
            ["integers", "floats", "scale", "zero"].map(|part| format!("{name}/{part}"));
        let width = if kind == INT32 { 4 } else { 1 };
        self.initializer.extend([
            Tensor::raw(&integers, dims, kind, raw),
            Tensor::floats(&scale, &[scales.len()], scales.iter().copied()),
            Tensor::raw(&zero, &[scales.len()], kind, vec![0; scales.len() * width]),
        ]);
        let node = Node::of("DequantizeLinear", &[&integers, &scale, &zero], &floats);
        self.node.push(node.with("axis", Number::One(0)));
        floats
    }
}
