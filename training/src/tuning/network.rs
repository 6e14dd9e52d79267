use std::collections::HashMap;
use std::ops::Range;

use super::convolution::{Convolution, Kind, Shape};
use crate::onnx::{Graph, Node, Tensor};

/// A network that can be learned: convolutions of batches of pictures, each maybe clipped, sums of two, means or maxima over
/// all pixels at the end, and several of these in a row.
#[derive(Debug)]
pub(crate) struct Network {
    image: Shape,
    layers: Vec<Layer>,
    /// The parameters' names in the file, and where they lie.
    places: Vec<(String, Range<usize>)>,
}

/// Its outputs are value `n + 1` if it is the `n`th; value 0 is the picture.
#[derive(Debug)]
struct Layer {
    what: What,
    /// The number of the value that goes in.
    from: usize,
    /// The least and the greatest value that comes out.
    clip: Option<(f32, f32)>,
    output: Shape,
}

#[derive(Debug)]
enum What {
    Convolution(Convolution),
    /// The sum with another value.
    Sum(usize),
    /// The mean over all pixels, of each channel.
    Mean,
    /// The greatest value of all pixels, of each channel.
    Maximum,
    /// The channels of each pixel of these values in a row.
    Join(Vec<usize>),
}

/// What a network said of some pictures, and what it had said on the way.
#[derive(Debug)]
pub(super) struct Values(Vec<Vec<f32>>);

impl Values {
    /// A row of features a picture.
    pub(super) fn features(&self) -> &[f32] {
        self.0.last().map(Vec::as_slice).unwrap_or_default()
    }
}

impl Network {
    /// Reads a graph of such nodes that takes pictures of this size, and its parameters; what in it can't be learned
    /// otherwise.
    pub(crate) fn read(graph: &Graph, height: usize, width: usize) -> Result<(Self, Vec<f32>), String> {
        let image = Shape { height, width, channels: 3 };
        let mut reading = Reading {
            tensors: graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
            values: [("image", 0)].into(),
            uses: HashMap::new(),
            parameters: Vec::new(),
            network: Self { image, layers: Vec::new(), places: Vec::new() },
        };
        for name in graph.node.iter().flat_map(|node| &node.input) {
            *reading.uses.entry(name).or_default() += 1;
        }
        for node in &graph.node {
            reading.node(node).map_err(|problem| format!("{} {}: {problem}", node.op_type, node.name))?;
        }
        match reading.network.is_pooled(reading.network.layers.len()) {
            true => Ok((reading.network, reading.parameters)),
            false => Err("it doesn't end in means or maxima over all pixels".into()),
        }
    }

    /// Whether a value is the means or maxima over all pixels, or several of these in a row.
    fn is_pooled(&self, value: usize) -> bool {
        value.checked_sub(1).and_then(|number| self.layers.get(number)).is_some_and(|layer| {
            match &layer.what {
                What::Mean | What::Maximum => true,
                What::Join(parts) => parts.iter().all(|part| self.is_pooled(*part)),
                What::Convolution(_) | What::Sum(_) => false,
            }
        })
    }

    /// How many numbers come out for each picture.
    pub(crate) fn features(&self) -> usize {
        self.shape(self.layers.len()).numbers()
    }

    /// Writes parameters into the graph that they were read from.
    pub(crate) fn write(&self, parameters: &[f32], graph: &mut Graph) {
        for tensor in &mut graph.initializer {
            if let Some((_, place)) = self.places.iter().find(|(name, _)| *name == tensor.name) {
                let dims: Vec<_> = tensor.dims.iter().map(|size| *size as usize).collect();
                *tensor = Tensor::floats(&tensor.name, &dims, parameters[place.clone()].iter().copied());
            }
        }
    }

    fn shape(&self, value: usize) -> Shape {
        value.checked_sub(1).map_or(self.image, |layer| self.layers[layer].output)
    }

    /// `pictures` are normalised numbers: rows of pixels of channels.
    pub(super) fn forward(&self, parameters: &[f32], pictures: Vec<f32>) -> Values {
        let mut values = Vec::with_capacity(self.layers.len() + 1);
        values.push(pictures);
        for layer in &self.layers {
            let from = &values[layer.from];
            let mut to = match &layer.what {
                What::Convolution(it) => it.forward(parameters, from),
                What::Sum(other) => {
                    from.iter().zip(&values[*other]).map(|(one, other)| one + other).collect()
                }
                What::Mean => mean(from, self.shape(layer.from)),
                What::Maximum => {
                    let highest = highest(from, self.shape(layer.from));
                    highest.into_iter().map(|place| from[place]).collect()
                }
                What::Join(parts) => {
                    let part = |part: &usize| (values[*part].as_slice(), self.shape(*part));
                    join(&parts.iter().map(part).collect::<Vec<_>>())
                }
            };
            if let Some((low, high)) = layer.clip {
                to.iter_mut().for_each(|it| *it = it.clamp(low, high));
            }
            values.push(to);
        }
        Values(values)
    }

    /// Adds the slopes of the parameters to `gradient`. `errors` are the slopes of the features.
    pub(super) fn backward(
        &self,
        parameters: &[f32],
        values: Values,
        errors: Vec<f32>,
        gradient: &mut [f32],
    ) {
        let Values(mut values) = values;
        let mut slopes: Vec<Option<Vec<f32>>> = vec![None; values.len()];
        slopes[self.layers.len()] = Some(errors);
        for (number, layer) in self.layers.iter().enumerate().rev() {
            let (Some(mut errors), Some(said)) = (slopes[number + 1].take(), values.pop()) else { continue };
            if let Some((low, high)) = layer.clip {
                for (error, said) in errors.iter_mut().zip(&said) {
                    *error = if *said > low && *said < high { *error } else { 0.0 };
                }
            }
            drop(said);
            let from = &values[layer.from];
            match &layer.what {
                What::Convolution(it) => {
                    let to = (layer.from > 0).then(|| {
                        slopes[layer.from].get_or_insert_with(|| vec![0.0; from.len()]).as_mut_slice()
                    });
                    it.backward(parameters, from, &errors, gradient, to);
                }
                What::Sum(other) => {
                    add(&mut slopes[*other], errors.clone());
                    add(&mut slopes[layer.from], errors);
                }
                What::Mean => {
                    let shape = self.shape(layer.from);
                    let share = 1.0 / shape.pixels() as f32;
                    let spread = errors.chunks_exact(shape.channels).flat_map(|picture| {
                        std::iter::repeat_n(picture, shape.pixels()).flatten().map(|error| error * share)
                    });
                    add(&mut slopes[layer.from], spread.collect());
                }
                What::Maximum => {
                    let to = slopes[layer.from].get_or_insert_with(|| vec![0.0; from.len()]);
                    let places = highest(from, self.shape(layer.from));
                    places.into_iter().zip(&errors).for_each(|(place, error)| to[place] += error);
                }
                What::Join(parts) => {
                    let mut start = 0;
                    for part in parts {
                        let own = start..start + self.shape(*part).channels;
                        start = own.end;
                        let pixels = errors.chunks_exact(layer.output.channels);
                        add(
                            &mut slopes[*part],
                            pixels.flat_map(|pixel| &pixel[own.clone()]).copied().collect(),
                        );
                    }
                }
            }
        }
    }
}

fn add(to: &mut Option<Vec<f32>>, slopes: Vec<f32>) {
    match to {
        None => *to = Some(slopes),
        Some(to) => to.iter_mut().zip(slopes).for_each(|(to, slope)| *to += slope),
    }
}

fn mean(from: &[f32], shape: Shape) -> Vec<f32> {
    let mut means = Vec::with_capacity(from.len() / shape.pixels());
    for picture in from.chunks_exact(shape.numbers()) {
        let mut sums = vec![0.0; shape.channels];
        for pixel in picture.chunks_exact(shape.channels) {
            sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
        }
        means.extend(sums.into_iter().map(|sum| sum / shape.pixels() as f32));
    }
    means
}

/// Of each picture and channel, where the highest value is: the first of several.
fn highest(from: &[f32], shape: Shape) -> Vec<usize> {
    let mut places = Vec::with_capacity(from.len() / shape.pixels());
    for start in (0..from.len()).step_by(shape.numbers()) {
        for first in start..start + shape.channels {
            let pixels = (first..start + shape.numbers()).step_by(shape.channels);
            places.extend(pixels.reduce(|best, place| if from[place] > from[best] { place } else { best }));
        }
    }
    places
}

/// Of pictures of one size, each pixel's channels in a row.
fn join(parts: &[(&[f32], Shape)]) -> Vec<f32> {
    let mut pixels: Vec<_> =
        parts.iter().map(|(values, shape)| values.chunks_exact(shape.channels)).collect();
    let mut joined = Vec::with_capacity(parts.iter().map(|(values, _)| values.len()).sum());
    for part in (0..pixels.len()).cycle() {
        let Some(channels) = pixels[part].next() else { break };
        joined.extend_from_slice(channels);
    }
    joined
}

/// A graph that is being read.
struct Reading<'a> {
    tensors: HashMap<&'a str, &'a Tensor>,
    /// The number of the value of each name.
    values: HashMap<&'a str, usize>,
    /// How often each name goes into a node.
    uses: HashMap<&'a String, usize>,
    parameters: Vec<f32>,
    network: Network,
}

impl<'a> Reading<'a> {
    fn node(&mut self, node: &'a Node) -> Result<(), String> {
        let ([output], Some(input)) = (node.output.as_slice(), node.input.first()) else {
            return Err("it must have inputs and one output".into());
        };
        let from = *self.values.get(input.as_str()).ok_or_else(|| format!("{input} is no picture"))?;
        let shape = self.network.shape(from);
        let (what, output_shape) = match node.op_type.as_str() {
            "Conv" => {
                let convolution = self.convolution(node, shape)?;
                let output = convolution.output;
                (What::Convolution(convolution), output)
            }
            "Add" => {
                let other = node.input.get(1).and_then(|name| self.values.get(name.as_str()));
                let other = *other.ok_or("it must add up two pictures")?;
                if self.network.shape(other) != shape {
                    return Err("it must add up pictures of one size".into());
                }
                (What::Sum(other), shape)
            }
            "GlobalAveragePool" => (What::Mean, Shape { height: 1, width: 1, ..shape }),
            "GlobalMaxPool" => (What::Maximum, Shape { height: 1, width: 1, ..shape }),
            "Concat" => {
                let parts = node.input.iter().map(|name| self.values.get(name.as_str()).copied());
                let parts: Vec<_> = parts.collect::<Option<_>>().ok_or("it must join pictures")?;
                let shapes = parts.iter().map(|part| self.network.shape(*part));
                let is_alike = |it: &Shape| (it.height, it.width) == (shape.height, shape.width);
                let is_of_channels = node.one("axis") == Some(1);
                if !is_of_channels || !shapes.clone().all(|it| is_alike(&it)) {
                    return Err("it must join the channels of pictures of one size".into());
                }
                let channels = shapes.map(|it| it.channels).sum();
                (What::Join(parts), Shape { channels, ..shape })
            }
            "Relu" | "Clip" => {
                let clip = self.clip(node)?;
                let is_only_clipped = self.uses.get(input) == Some(&1);
                let layer = from.checked_sub(1).map(|number| &mut self.network.layers[number]);
                match layer {
                    Some(layer) if is_only_clipped && layer.clip.is_none() => layer.clip = Some(clip),
                    _ => return Err("what it clips must come from a node and go nowhere else".into()),
                }
                self.values.insert(output, from);
                return Ok(());
            }
            _ => return Err("such nodes can't be learned".into()),
        };
        self.network.layers.push(Layer { what, from, clip: None, output: output_shape });
        self.values.insert(output, self.network.layers.len());
        Ok(())
    }

    fn clip(&self, node: &Node) -> Result<(f32, f32), String> {
        if node.op_type == "Relu" {
            return Ok((0.0, f32::INFINITY));
        }
        let bound = |number: usize| -> Option<f32> {
            let tensor = self.tensors.get(node.input.get(number)?.as_str())?;
            tensor.values()?.first().copied()
        };
        Ok((bound(1).ok_or("it has no lower bound")?, bound(2).ok_or("it has no upper bound")?))
    }

    fn convolution(&mut self, node: &'a Node, input: Shape) -> Result<Convolution, String> {
        let numbers = |name: &str| -> Option<Vec<usize>> {
            let attribute = node.attribute.iter().find(|it| it.name == name)?;
            attribute.ints.iter().map(|it| usize::try_from(*it).ok()).collect()
        };
        if node.attribute.iter().any(|it| it.name == "auto_pad" && it.s != b"NOTSET") {
            return Err("its padding must be said in numbers".into());
        }
        if numbers("dilations").is_some_and(|it| it != [1, 1]) {
            return Err("it is dilated".into());
        }
        let name = node.input.get(1).ok_or("it has no weights")?;
        let tensor = self.tensors.get(name.as_str()).ok_or("its weights are computed")?;
        let dims: Vec<_> = tensor.dims.iter().map(|it| usize::try_from(*it).unwrap_or_default()).collect();
        let [outputs, inputs, height, width] = dims[..] else {
            return Err("it isn't two-dimensional".into());
        };
        let groups = node.one("group").unwrap_or(1);
        let (stride, pads) = (numbers("strides"), numbers("pads"));
        let [down, across] = stride.unwrap_or_else(|| vec![1, 1])[..] else {
            return Err("its strides".into());
        };
        let [top, left, bottom, right] = pads.unwrap_or_else(|| vec![0; 4])[..] else {
            return Err("its padding".into());
        };
        let kind = if groups == 1 && inputs == input.channels {
            let is_point =
                [height, width, down, across, top, left, bottom, right] == [1, 1, 1, 1, 0, 0, 0, 0];
            if is_point { Kind::Pointwise } else { Kind::Full }
        } else if groups == outputs as i64 && inputs == 1 && outputs == input.channels {
            Kind::Depthwise
        } else {
            return Err(format!("{groups} groups of {inputs} channels for {} channels", input.channels));
        };
        let size = |whole: usize, padding: usize, kernel: usize, stride: usize| {
            let room = (whole + padding).checked_sub(kernel).filter(|_| kernel > 0 && stride > 0);
            room.map(|room| room / stride + 1).ok_or("its kernel doesn't fit")
        };
        let output = Shape {
            height: size(input.height, top + bottom, height, down)?,
            width: size(input.width, left + right, width, across)?,
            channels: outputs,
        };
        let weight = self.place(name, outputs * inputs * height * width)?;
        let bias = match node.input.get(2) {
            Some(name) => self.place(name, outputs)?,
            None => 0..0,
        };
        let (kernel, stride, padding) = ([height, width], [down, across], [top, left]);
        Ok(Convolution { kind, kernel, stride, padding, input, output, weight, bias })
    }

    fn place(&mut self, name: &'a str, count: usize) -> Result<Range<usize>, String> {
        if self.network.places.iter().any(|(other, _)| other == name) {
            return Err(format!("{name} serves twice"));
        }
        let numbers = self.tensors.get(name).and_then(|tensor| tensor.values()).unwrap_or_default();
        if numbers.len() != count || count == 0 {
            return Err(format!("{name} has {} numbers, not {count}", numbers.len()));
        }
        let place = self.parameters.len()..self.parameters.len() + count;
        self.parameters.extend(numbers);
        self.network.places.push((name.to_owned(), place.clone()));
        Ok(place)
    }
}
