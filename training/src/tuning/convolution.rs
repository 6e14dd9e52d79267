use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

/// The sizes of one picture's numbers, which lie row by row, pixel by pixel, channel by channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

/// How inputs and outputs of a convolution belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Each output pixel is a linear function of the input pixel at its place: a product of matrices.
    Pointwise,
    /// Each channel has a kernel of its own.
    Depthwise,
    /// Any other: patches are copied out, and then it is a product of matrices too.
    Full,
}

/// A convolution without dilation. Weights are outputs × inputs ÷ groups × kernel height × kernel width, as in ONNX.
#[derive(Debug, Clone)]
pub(super) struct Convolution {
    pub(super) kind: Kind,
    /// Height and width.
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    /// Rows of zeros above, and columns of zeros to the left. Below and to the right are as many as the output needs.
    pub(super) padding: [usize; 2],
    pub(super) input: Shape,
    pub(super) output: Shape,
    /// Where its weights lie among the network's parameters.
    pub(super) weight: Range<usize>,
    /// The same of its biases; empty if it has none.
    pub(super) bias: Range<usize>,
}

impl Shape {
    pub(super) fn pixels(self) -> usize {
        self.height * self.width
    }

    pub(super) fn numbers(self) -> usize {
        self.pixels() * self.channels
    }
}

impl Convolution {
    /// What comes out for some pictures.
    pub(super) fn forward(&self, parameters: &[f32], from: &[f32]) -> Vec<f32> {
        let pictures = from.len() / self.input.numbers();
        let mut to = vec![0.0; pictures * self.output.numbers()];
        let bias = &parameters[self.bias.clone()];
        if !bias.is_empty() {
            to.chunks_exact_mut(bias.len()).for_each(|pixel| pixel.copy_from_slice(bias));
        }
        let weight = &parameters[self.weight.clone()];
        match self.kind {
            Kind::Pointwise => self.multiply(weight, from, &mut to),
            Kind::Depthwise => {
                let weight = self.by_tap(weight);
                for (from, to) in self.pictures(from).zip(to.chunks_exact_mut(self.output.numbers())) {
                    self.depthwise(&weight, from, to);
                }
            }
            Kind::Full => {
                for (from, to) in self.pictures(from).zip(to.chunks_exact_mut(self.output.numbers())) {
                    self.multiply(weight, &self.patches(from), to);
                }
            }
        }
        to
    }

    /// Adds the slopes of weights and biases to `gradient`, and those of the input to `slopes`, if that is wanted. `errors` are
    /// the slopes of the output.
    pub(super) fn backward(
        &self,
        parameters: &[f32],
        from: &[f32],
        errors: &[f32],
        gradient: &mut [f32],
        slopes: Option<&mut [f32]>,
    ) {
        let biases = &mut gradient[self.bias.clone()];
        if !biases.is_empty() {
            for pixel in errors.chunks_exact(biases.len()) {
                biases.iter_mut().zip(pixel).for_each(|(to, error)| *to += error);
            }
        }
        let (weight, to) = (&parameters[self.weight.clone()], &mut gradient[self.weight.clone()]);
        let pictures = || self.pictures(from).zip(errors.chunks_exact(self.output.numbers()));
        match self.kind {
            Kind::Pointwise => {
                self.learn(from, errors, to);
                if let Some(slopes) = slopes {
                    self.return_to(weight, errors, slopes, 1.0);
                }
            }
            Kind::Depthwise => {
                let weight = self.by_tap(weight);
                let mut learned = vec![0.0; weight.len()];
                let mut unwanted = Vec::new();
                let slopes = slopes.unwrap_or_else(|| {
                    unwanted.resize(from.len(), 0.0);
                    &mut unwanted
                });
                for ((from, errors), slopes) in pictures().zip(slopes.chunks_exact_mut(self.input.numbers()))
                {
                    self.depthwise_back(&weight, from, errors, &mut learned, slopes);
                }
                let channels = self.output.channels;
                for (tap, learned) in learned.chunks_exact(channels).enumerate() {
                    let taps = weight.len() / channels;
                    let to = to[tap..].iter_mut().step_by(taps);
                    to.zip(learned).for_each(|(to, learned)| *to += learned);
                }
            }
            Kind::Full => {
                for (from, errors) in pictures() {
                    self.learn(&self.patches(from), errors, to);
                }
                if let Some(slopes) = slopes {
                    let mut patches =
                        vec![0.0; self.output.pixels() * self.weight.len() / self.output.channels];
                    for (errors, slopes) in errors
                        .chunks_exact(self.output.numbers())
                        .zip(slopes.chunks_exact_mut(self.input.numbers()))
                    {
                        self.return_to(weight, errors, &mut patches, 0.0);
                        self.unpatch(&patches, slopes);
                    }
                }
            }
        }
    }

    fn pictures<'a>(&self, from: &'a [f32]) -> std::slice::ChunksExact<'a, f32> {
        from.chunks_exact(self.input.numbers())
    }

    /// Outputs += rows × weights.
    fn multiply(&self, weight: &[f32], rows: &[f32], to: &mut [f32]) {
        let outputs = self.output.channels;
        let weight = matrix(weight, outputs);
        let rows = matrix(rows, to.len() / outputs);
        let mut to = matrix_mut(to, rows.nrows());
        general_mat_mul(1.0, &rows, &weight.t(), 1.0, &mut to);
    }

    /// Slopes of the weights += errors × rows.
    fn learn(&self, rows: &[f32], errors: &[f32], to: &mut [f32]) {
        let outputs = self.output.channels;
        let errors = matrix(errors, errors.len() / outputs);
        let rows = matrix(rows, errors.nrows());
        general_mat_mul(1.0, &errors.t(), &rows, 1.0, &mut matrix_mut(to, outputs));
    }

    /// Slopes of the rows = errors × weights, in addition to `keep` of what is there.
    fn return_to(&self, weight: &[f32], errors: &[f32], slopes: &mut [f32], keep: f32) {
        let outputs = self.output.channels;
        let errors = matrix(errors, errors.len() / outputs);
        let mut slopes = matrix_mut(slopes, errors.nrows());
        general_mat_mul(1.0, &errors, &matrix(weight, outputs), keep, &mut slopes);
    }

    /// Taps × channels, from channels × taps.
    fn by_tap(&self, weight: &[f32]) -> Vec<f32> {
        let taps = self.kernel[0] * self.kernel[1];
        (0..taps).flat_map(|tap| weight[tap..].iter().step_by(taps).copied()).collect()
    }

    /// Calls with each output pixel's place, and each tap that meets a pixel of the input there: the tap's number and the
    /// input pixel's place.
    fn each(&self, mut meets: impl FnMut(usize, usize, usize)) {
        for y in 0..self.output.height {
            for x in 0..self.output.width {
                for tap_y in 0..self.kernel[0] {
                    let Some(from_y) = self.met(0, y, tap_y, self.input.height) else { continue };
                    for tap_x in 0..self.kernel[1] {
                        let Some(from_x) = self.met(1, x, tap_x, self.input.width) else { continue };
                        let (tap, from) =
                            (tap_y * self.kernel[1] + tap_x, from_y * self.input.width + from_x);
                        meets(y * self.output.width + x, tap, from);
                    }
                }
            }
        }
    }

    fn met(&self, axis: usize, place: usize, tap: usize, size: usize) -> Option<usize> {
        let met = (place * self.stride[axis] + tap).checked_sub(self.padding[axis])?;
        (met < size).then_some(met)
    }

    fn depthwise(&self, weight: &[f32], from: &[f32], to: &mut [f32]) {
        let size = self.output.channels;
        self.each(|pixel, tap, met| {
            let (weight, from) = (&weight[tap * size..][..size], &from[met * size..][..size]);
            let to = &mut to[pixel * size..][..size];
            for ((to, weight), from) in to.iter_mut().zip(weight).zip(from) {
                *to += weight * from;
            }
        });
    }

    fn depthwise_back(
        &self,
        weight: &[f32],
        from: &[f32],
        errors: &[f32],
        learned: &mut [f32],
        slopes: &mut [f32],
    ) {
        let size = self.output.channels;
        self.each(|pixel, tap, met| {
            let errors = &errors[pixel * size..][..size];
            let (weight, from) = (&weight[tap * size..][..size], &from[met * size..][..size]);
            let (learned, slopes) = (&mut learned[tap * size..][..size], &mut slopes[met * size..][..size]);
            for ((to, error), from) in learned.iter_mut().zip(errors).zip(from) {
                *to += error * from;
            }
            for ((to, error), weight) in slopes.iter_mut().zip(errors).zip(weight) {
                *to += error * weight;
            }
        });
    }

    /// For each output pixel what its kernel sees, channel by channel as the weights are.
    fn patches(&self, from: &[f32]) -> Vec<f32> {
        let (channels, taps) = (self.input.channels, self.kernel[0] * self.kernel[1]);
        let mut patches = vec![0.0; self.output.pixels() * channels * taps];
        self.each(|pixel, tap, met| {
            let patch = patches[pixel * channels * taps + tap..].iter_mut().step_by(taps);
            patch.zip(&from[met * channels..][..channels]).for_each(|(to, from)| *to = *from);
        });
        patches
    }

    /// The reverse: adds to each input pixel what the patches that see it have.
    fn unpatch(&self, patches: &[f32], slopes: &mut [f32]) {
        let (channels, taps) = (self.input.channels, self.kernel[0] * self.kernel[1]);
        self.each(|pixel, tap, met| {
            let patch = patches[pixel * channels * taps + tap..].iter().step_by(taps);
            let slopes = &mut slopes[met * channels..][..channels];
            slopes.iter_mut().zip(patch).for_each(|(to, slope)| *to += slope);
        });
    }
}

#[expect(clippy::expect_used, reason = "the numbers are whole rows wherever this is called")]
fn matrix(numbers: &[f32], rows: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, numbers.len() / rows), numbers).expect("whole rows")
}

#[expect(clippy::expect_used, reason = "the numbers are whole rows wherever this is called")]
fn matrix_mut(numbers: &mut [f32], rows: usize) -> ArrayViewMut2<'_, f32> {
    let columns = numbers.len() / rows;
    ArrayViewMut2::from_shape((rows, columns), numbers).expect("whole rows")
}
