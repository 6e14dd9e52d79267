use std::ops::RangeInclusive;

/// The largest weight. Of the 127 that a byte has, 64 are used: processors without VNNI add two products of a byte and a
/// weight in 16 bits, and 2 × 255 × 64 is what fits. With more, the same model would say something else there.
const LARGEST: f64 = 64.0;
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
    /// Of as many outputs as there are biases, for bytes with these steps; None if a number isn't one.
    pub(super) fn of(weights: &[f32], biases: &[f32], bytes: Steps) -> Option<Self> {
        if !weights.iter().chain(biases).all(|value| value.is_finite()) {
            return None;
        }
        let mut quantized =
            Self { weights: Vec::new(), scales: Vec::new(), biases: Vec::new(), bias_scales: Vec::new() };
        let each = (weights.len() / biases.len().max(1)).max(1);
        for (weights, bias) in weights.chunks(each).zip(biases) {
            let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
            // An output that hardly looks at its input may still have a bias.
            let least = f64::from(bias.abs()) / f64::from(bytes.scale) / LARGEST_BIAS;
            let scale = scale((f64::from(largest) / LARGEST).max(least));
            let step = |weight: &f32| (f64::from(*weight) / f64::from(scale)).round_ties_even();
            quantized
                .weights
                .extend(weights.iter().map(|weight| step(weight).clamp(-LARGEST, LARGEST) as i8));
            quantized.scales.push(scale);
            let bias_scale = bytes.scale * scale;
            quantized.biases.push((f64::from(*bias) / f64::from(bias_scale)).round_ties_even() as i32);
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
        let weights = [1.0, -0.5, 0.25, 0.0, 1e-4, -1e-4, 5e-5, 2e-5, 0.0, 0.0, 0.0, 0.0];
        let quantized = Weights::of(&weights, &[0.1, -0.2, 0.3], bytes).unwrap();
        assert_eq!(quantized.weights[..8], [64, -32, 16, 0, 64, -64, 32, 13]);
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
        let worst = quantized.weights.iter().map(|weight| 2 * 255 * i32::from(*weight).abs()).max().unwrap();
        assert!(worst <= i32::from(i16::MAX), "{worst}");
        assert!(Weights::of(&[f32::NAN], &[0.0], bytes).is_none());
    }
}
