use std::ops::RangeInclusive;

/// The largest weight, and the largest sum of two of one sign whose products processors without VNNI add up in 16 bits: of
/// such a sum 128 fits, for 255 × 128 is within 32,767, and one is for rounding. With larger ones, the same model would say
/// something else there.
const LARGEST: f64 = 127.0;
/// How large a bias may become, in steps: half of what 32 bits hold, the other half is for the sum of the products.
const LARGEST_BIAS: f64 = (1 << 30) as f64;

/// How floats become bytes: `byte = round(value / scale) + zero`, no less than 0 and no more than 255. Zero itself, with
/// which convolutions pad, loses nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Steps {
    pub(super) scale: f32,
    pub(super) zero: u8,
}

impl Steps {
    /// For numbers in this range; None if it isn't one.
    pub(super) fn of(range: &RangeInclusive<f32>) -> Option<Self> {
        let (low, high) = (f64::from(*range.start()).min(0.0), f64::from(*range.end()).max(0.0));
        if !(low.is_finite() && high.is_finite()) {
            return None;
        }
        let scale = scale((high - low) / 255.0);
        let zero = (-low / f64::from(scale)).round_ties_even().clamp(0.0, 255.0);
        Some(Self { scale, zero: zero as u8 })
    }
}

/// A convolution in floats, and what it looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel<'a> {
    /// Outputs × inputs of a group × places.
    pub(super) weights: &'a [f32],
    /// One an output.
    pub(super) biases: &'a [f32],
    /// How many inputs a group has.
    pub(super) inputs: usize,
    /// What each input is on average, of all groups.
    pub(super) means: &'a [f32],
}

impl<'a> Kernel<'a> {
    /// Of each output its weights, its bias, and the averages of its group's inputs.
    fn outputs(self) -> impl Iterator<Item = (&'a [f32], f32, &'a [f32])> {
        let Self { weights, biases, inputs, means } = self;
        let (outputs, groups) = (biases.len().max(1), (means.len() / inputs.max(1)).max(1));
        let means = move |output: usize| {
            let first = output * groups / outputs * inputs;
            means.get(first..first + inputs).unwrap_or_default()
        };
        let each = weights.chunks((weights.len() / outputs).max(1)).zip(biases).enumerate();
        each.map(move |(output, (weights, bias))| (weights, *bias, means(output)))
    }

    /// Whether each output has an input of its own: then ONNX Runtime adds no products in 16 bits.
    fn is_depthwise(self) -> bool {
        self.inputs == 1 && self.means.len() == self.biases.len()
    }

    /// How large the weights of one output are: the largest that must be within [`LARGEST`]. ONNX Runtime lays them out place by
    /// place, with all inputs of each, and adds the products of the first and second, of the third and fourth, and so on.
    fn size(self, weights: &[f32]) -> f64 {
        let largest = weights.iter().fold(0.0_f64, |largest, weight| largest.max(f64::from(weight.abs())));
        if self.is_depthwise() {
            return largest;
        }
        let places = weights.len() / self.inputs.max(1);
        let laid_out: Vec<f64> = (0..weights.len())
            .map(|at| f64::from(weights[at % self.inputs * places + at / self.inputs]))
            .collect();
        let sum = |pair: &[f64], sign: f64| pair.iter().map(|weight| (weight * sign).max(0.0)).sum::<f64>();
        laid_out.chunks(2).flat_map(|pair| [sum(pair, 1.0), sum(pair, -1.0)]).fold(largest, f64::max)
    }
}

/// A convolution's weights and biases as integers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights {
    pub(super) weights: Vec<i8>,
    /// What a step of a weight is worth, for each of the convolution's outputs.
    pub(super) scales: Vec<f32>,
    pub(super) biases: Vec<i32>,
    /// What a step of a bias is worth: of a product of a byte and a weight, to which it is added.
    pub(super) bias_scales: Vec<f32>,
}

impl Weights {
    /// For bytes with these steps; None if a number isn't one.
    ///
    /// Rounding makes some weights larger and others smaller, and as inputs are positive mostly, an output is more or less
    /// on average. The biases take that back (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
    /// Correction", section 4.2).
    pub(super) fn of(kernel: Kernel<'_>, bytes: Steps) -> Option<Self> {
        let Kernel { weights, biases, means, .. } = kernel;
        if !weights.iter().chain(biases).chain(means).all(|value| value.is_finite()) {
            return None;
        }
        let mut quantized =
            Self { weights: Vec::new(), scales: Vec::new(), biases: Vec::new(), bias_scales: Vec::new() };
        for (weights, bias, means) in kernel.outputs() {
            // An output that hardly looks at its input may still have a bias.
            let least = f64::from(bias.abs()) / f64::from(bytes.scale) / LARGEST_BIAS;
            let scale = scale((kernel.size(weights) / LARGEST).max(least));
            let step = |weight: &f32| {
                (f64::from(*weight) / f64::from(scale)).round_ties_even().clamp(-LARGEST, LARGEST) as i8
            };
            let steps: Vec<_> = weights.iter().map(step).collect();
            let wrong =
                |(step, weight): (&i8, &f32)| f64::from(*step) * f64::from(scale) - f64::from(*weight);
            let mut wrong = steps.iter().zip(weights).map(wrong);
            let places = weights.len() / means.len().max(1);
            let more: f64 =
                means.iter().map(|mean| f64::from(*mean) * wrong.by_ref().take(places).sum::<f64>()).sum();
            let bias_scale = bytes.scale * scale;
            let bias = ((f64::from(bias) - more) / f64::from(bias_scale)).round_ties_even();
            quantized.weights.extend(steps);
            quantized.scales.push(scale);
            quantized.biases.push(bias as i32);
            quantized.bias_scales.push(bias_scale);
        }
        Some(quantized)
    }
}

/// As a float that can be divided by, and whose product with another such one can: where there is nothing but zeros, any
/// will do.
fn scale(exact: f64) -> f32 {
    if exact < 1e-15 { 1.0 } else { exact as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_stays_zero_and_a_number_is_half_a_step_away_at_most() {
        for (low, high) in [(-1.0, 1.0), (0.0, 6.0), (0.5, 3.0), (-9.0, -2.0), (-0.1, 40.0), (-127.0, 128.0)]
        {
            let steps = Steps::of(&(low..=high)).unwrap();
            let byte = |value: f32| {
                ((value / steps.scale).round_ties_even() + f32::from(steps.zero)).clamp(0.0, 255.0)
            };
            let back = |value: f32| (byte(value) - f32::from(steps.zero)) * steps.scale;
            assert_eq!(back(0.0), 0.0);
            for part in 0..=1000 {
                let value = low + (high - low) * part as f32 / 1000.0;
                // Zero is where a byte is, and so the ends of the range may not be.
                let is_end = [0.0, 255.0].contains(&byte(value));
                let away = (back(value) - value).abs() / steps.scale;
                assert!(away <= if is_end { 1.01 } else { 0.51 }, "{value} in {low}..{high}: {away}");
            }
        }
        assert_eq!(Steps::of(&(0.0..=0.0)).unwrap(), Steps { scale: 1.0, zero: 0 });
        assert_eq!(Steps::of(&(0.0..=f32::INFINITY)), None);
    }

    #[test]
    fn each_output_has_its_own_scale_and_no_two_products_leave_16_bits() {
        let bytes = Steps { scale: 0.02, zero: 3 };
        let weights = [1.0, -0.4, 0.25, 0.0, 1e-4, 9e-5, 5e-5, -2e-5, 0.0, 0.0, 0.0, 0.0];
        let kernel = Kernel { weights: &weights, biases: &[0.1, -0.2, 0.3], inputs: 4, means: &[0.0; 4] };
        let quantized = Weights::of(kernel, bytes).unwrap();
        assert_eq!(quantized.weights[..8], [127, -51, 32, 0, 67, 60, 33, -13]);
        for (number, weight) in weights.iter().enumerate().take(8) {
            let scale = quantized.scales[number / 4];
            let back = f32::from(quantized.weights[number]) * scale;
            assert!((back - weight).abs() <= 0.51 * scale, "{weight} came back as {back}");
        }
        for (number, bias) in [0.1_f32, -0.2, 0.3].map(f64::from).into_iter().enumerate() {
            let back = f64::from(quantized.biases[number]) * f64::from(quantized.bias_scales[number]);
            assert!(
                (back - bias).abs() <= f64::from(quantized.bias_scales[number]),
                "{bias} came back as {back}"
            );
        }
        let nothing = Kernel { weights: &[f32::NAN], biases: &[0.0], inputs: 1, means: &[0.0] };
        assert!(Weights::of(nothing, bytes).is_none());
    }

    /// Two places of four inputs, which are added up place by place: the first place's inputs 0 and 1, 2 and 3.
    #[test]
    fn what_is_added_in_16_bits_fits_whichever_weights_come_together() {
        let bytes = Steps { scale: 0.02, zero: 0 };
        for seed in 0..1000_u32 {
            let weights: Vec<f32> =
                (0..8).map(|at| ((seed * 8 + at) as f32 * 12.9898).sin().powi(3)).collect();
            let kernel = Kernel { weights: &weights, biases: &[0.0], inputs: 4, means: &[0.0; 4] };
            let integers = Weights::of(kernel, bytes).unwrap().weights;
            for place in 0..2 {
                for first in [0, 2] {
                    let pair = [first, first + 1].map(|input| i32::from(integers[input * 2 + place]));
                    let sums = [1, -1].map(|sign| pair.iter().map(|it| (it * sign).max(0)).sum::<i32>());
                    assert!(
                        sums.into_iter().all(|sum| 255 * sum <= i32::from(i16::MAX)),
                        "{weights:?}: {pair:?}"
                    );
                }
            }
            // Where each output has an input of its own, nothing is added.
            let alone = Kernel { biases: &[0.0], inputs: 1, means: &[0.0], ..kernel };
            let largest = Weights::of(alone, bytes).unwrap().weights.into_iter().map(i8::unsigned_abs).max();
            assert_eq!(largest, Some(127));
        }
    }

    #[test]
    fn biases_take_back_what_rounding_adds_on_average() {
        let bytes = Steps { scale: 0.02, zero: 0 };
        // Two groups of two outputs, each of three inputs and two places.
        let weights: Vec<f32> = (0..24).map(|at| (at as f32 * 1.7).sin()).collect();
        let (biases, means) = ([0.5, -0.5, 0.25, 0.0], [1.0, 2.0, 0.5, 4.0, 3.0, 0.1]);
        let kernel = Kernel { weights: &weights, biases: &biases, inputs: 3, means: &means };
        let quantized = Weights::of(kernel, bytes).unwrap();
        for output in 0..4 {
            let mean = |at: usize| f64::from(means[output / 2 * 3 + at / 2]);
            let scale = f64::from(quantized.scales[output]);
            let floats: f64 = (0..6).map(|at| f64::from(weights[output * 6 + at]) * mean(at)).sum();
            let integers: f64 =
                (0..6).map(|at| f64::from(quantized.weights[output * 6 + at]) * scale * mean(at)).sum();
            let bias = f64::from(quantized.biases[output]) * f64::from(quantized.bias_scales[output]);
            let away = floats + f64::from(biases[output]) - integers - bias;
            assert!(away.abs() <= f64::from(quantized.bias_scales[output]), "{away} of output {output}");
        }
    }
}
