//! The backbone tuned: its own weights learn too, together with the head, by steps down the gradient of the loss of a few
//! photos at a time.

mod adam;
mod checkpoint;
mod convolution;
mod network;
#[cfg(test)]
mod tests;

use autorma_classifier::{Decoder, Picture};
use autorma_evaluation::parallel::each;
use autorma_models::Input;
use ndarray::{Array1, Array2};

use crate::Error;
use crate::dice::Dice;
use crate::graph::Backbone;
use crate::head::Head;
use crate::recipe::Tuning;
use crate::views::Views;
use adam::State;
pub(crate) use checkpoint::Checkpoint;
pub(crate) use network::Network;

/// Photos that go through the network together on one thread. With few, the weights come into the caches too often; with
/// many, what is remembered of each layer doesn't stay there.
const TOGETHER: usize = 4;
/// Parts of a step's photos whose slopes are added up separately, and then in order: so that the sum doesn't depend on the
/// number of threads, of which there is use for as many.
const LANES: usize = 16;
/// Steps from one checkpoint to the next.
const KEEP: u32 = 25;
/// Variations that tuning draws have numbers from here on; below are those that features are computed of.
const FIRST_COPY: u32 = 1 << 20;

/// Who learns: the network and the head behind it, from views of some photos.
pub(crate) struct Learner<'a> {
    pub(crate) views: &'a Views<'a>,
    pub(crate) backbone: &'a Backbone,
    /// How much each photo counts; 0 if it must not be learned from. One counts at least.
    pub(crate) weights: &'a [f32],
    /// How many kinds there are.
    pub(crate) outputs: usize,
    pub(crate) recipe: &'a Tuning,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    pub(crate) checkpoint: Checkpoint,
}

/// Where things lie among a learner's parameters: the network's, and then the head's.
#[derive(Debug)]
struct Layout {
    network: usize,
    features: usize,
    outputs: usize,
}

/// What some photos say about the parameters.
#[derive(Debug)]
struct Slopes {
    loss: f64,
    gradient: Vec<f32>,
}

impl Learner<'_> {
    /// The tuned backbone and its head, which begin as they are, and the loss of each step. `after` hears of each step's
    /// number and loss, and says whether to go on; None if not.
    ///
    /// # Errors
    /// [`Error::Untunable`] if the backbone has nodes that can't be learned; [`Error::Diverged`] if it comes to what is no
    /// number, of which nothing is kept; [`Error::View`] if a photo can't be used any more.
    pub(crate) fn tune(
        &self,
        head: &Head,
        mut after: impl FnMut(u32, f64) -> bool,
    ) -> Result<Option<(Backbone, Head, Vec<f64>)>, Error> {
        let (network, mut parameters) = self.backbone.network().map_err(Error::Untunable)?;
        let layout =
            Layout { network: parameters.len(), features: self.backbone.features, outputs: self.outputs };
        parameters.extend(head.weight.iter().chain(&head.bias));
        let length = parameters.len();
        let mut state = self.checkpoint.kept(length).unwrap_or_else(|| State::new(parameters));
        while state.step < self.recipe.steps {
            let Slopes { loss, mut gradient } = self.slopes(&network, &layout, &state)?;
            let rows = layout.weights();
            state.losses.push(loss);
            state.descend(&mut gradient, layout.network..length, rows, self.recipe);
            if !state.is_finite() {
                return Err(Error::diverged(state.step, self.recipe));
            }
            let goes_on = after(state.step, loss);
            if state.step.is_multiple_of(KEEP) || state.step == self.recipe.steps || !goes_on {
                self.checkpoint.keep(&state)?;
            }
            if !goes_on {
                return Ok(None);
            }
        }
        let head = layout.head(&state.average)?;
        let tuned = self.backbone.tuned(&network, &state.average[..layout.network]);
        Ok(Some((tuned.map_err(Error::Made)?, head, state.losses)))
    }

    /// The mean loss of a step's photos, and its slopes.
    fn slopes(&self, network: &Network, layout: &Layout, state: &State) -> Result<Slopes, Error> {
        let drawn = self.draw(state.step);
        let lanes: Vec<&[usize]> = drawn.chunks(drawn.len().div_ceil(LANES)).collect();
        let first = self.recipe.batch as u32 * state.step;
        let input = &self.backbone.input;
        let decoders = (0..self.threads).map(|_| Decoder::new(input.width, input.height, self.views.limits));
        let slopes = |decoder: &mut Decoder, lane: usize| {
            let draw = first + (lane * lanes[0].len()) as u32;
            self.lane(network, layout, state, lanes[lane], draw, decoder)
        };
        let all = each(lanes.len(), decoders, slopes, |_| true).ok_or(Error::Stopped)?;
        let mut sum = Slopes { loss: 0.0, gradient: vec![0.0; state.parameters.len()] };
        for slopes in all {
            let Slopes { loss, gradient } = slopes?;
            sum.loss += loss / drawn.len() as f64;
            let share = 1.0 / drawn.len() as f32;
            sum.gradient.iter_mut().zip(gradient).for_each(|(sum, slope)| *sum += share * slope);
        }
        Ok(sum)
    }

    /// The photos of a step: each as likely as it counts.
    fn draw(&self, step: u32) -> Vec<usize> {
        let mut dice = Dice::new(self.seed, b"draw", step);
        let sums = self.weights.iter().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        let sums: Vec<f32> = sums.collect();
        let all = sums.last().copied().unwrap_or_default();
        let draw = |_| {
            let place = dice.between(0.0..all);
            // Rounding could make it the end of the last, or of those after it that don't count.
            sums.partition_point(|sum| *sum <= place).min(sums.partition_point(|sum| *sum < all))
        };
        (0..self.recipe.batch).map(draw).collect()
    }

    /// The slopes of some photos, one after the other.
    fn lane(
        &self,
        network: &Network,
        layout: &Layout,
        state: &State,
        photos: &[usize],
        first: u32,
        decoder: &mut Decoder,
    ) -> Result<Slopes, Error> {
        let mut slopes = Slopes { loss: 0.0, gradient: vec![0.0; state.parameters.len()] };
        let (parameters, head) = state.parameters.split_at(layout.network);
        let draws: Vec<(u32, usize)> = (first..).zip(photos.iter().copied()).collect();
        for draws in draws.chunks(TOGETHER) {
            let mut pictures = Vec::new();
            for (draw, photo) in draws {
                let picture = self.views.picture(*photo, FIRST_COPY + draw, decoder);
                let picture = picture.map_err(|why| self.views.lost(*photo, &why))?;
                pictures.extend(normalised(&picture, &self.backbone.input));
            }
            let values = network.forward(parameters, pictures);
            let kinds: Vec<_> = draws.iter().map(|(_, photo)| self.views.photos.all[*photo].kind).collect();
            let kept = self.kept(draws[0].0, values.features().len());
            let (network_slopes, head_slopes) = slopes.gradient.split_at_mut(layout.network);
            let (loss, errors) =
                layout.judge(head, values.features(), &kept, &kinds, self.recipe.smoothing, head_slopes);
            slopes.loss += loss;
            network.backward(parameters, values, errors, network_slopes);
        }
        Ok(slopes)
    }

    /// What each feature is multiplied by: 0 for those that are dropped out, and more than 1 for the others.
    fn kept(&self, draw: u32, features: usize) -> Vec<f32> {
        let mut dice = Dice::new(self.seed, b"drop", draw);
        let dropped = self.recipe.dropout;
        (0..features).map(|_| if dice.happens(dropped) { 0.0 } else { 1.0 / (1.0 - dropped) }).collect()
    }
}

impl Layout {
    /// The head's weights, without its biases.
    fn weights(&self) -> std::ops::Range<usize> {
        self.network..self.network + self.outputs * self.features
    }

    fn head(&self, parameters: &[f32]) -> Result<Head, Error> {
        let (weight, bias) = parameters[self.network..].split_at(self.outputs * self.features);
        let weight = Array2::from_shape_vec((self.outputs, self.features), weight.to_vec());
        let weight = weight.map_err(|error| Error::Made(error.to_string()))?;
        Ok(Head { weight, bias: Array1::from(bias.to_vec()) })
    }

    /// The sum of the losses of some photos (cross-entropy, with labels smoothed as in Szegedy et al. 2016), and the slopes
    /// of their features. Adds those of the head to `gradient`.
    fn judge(
        &self,
        head: &[f32],
        features: &[f32],
        kept: &[f32],
        kinds: &[usize],
        smoothing: f32,
        gradient: &mut [f32],
    ) -> (f64, Vec<f32>) {
        let (outputs, width) = (self.outputs, self.features);
        let (weight, bias) = head.split_at(outputs * width);
        let (weight_slopes, bias_slopes) = gradient.split_at_mut(outputs * width);
        let mut loss = 0.0;
        let mut slopes = vec![0.0; features.len()];
        let rows =
            features.chunks_exact(width).zip(kept.chunks_exact(width)).zip(slopes.chunks_exact_mut(width));
        for (((features, kept), slopes), kind) in rows.zip(kinds) {
            let features: Vec<f32> = features.iter().zip(kept).map(|(it, kept)| it * kept).collect();
            let logits: Vec<f32> = weight
                .chunks_exact(width)
                .zip(bias)
                .map(|(row, bias)| {
                    row.iter().zip(&features).map(|(one, other)| one * other).sum::<f32>() + bias
                })
                .collect();
            let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = logits.iter().map(|logit| (logit - highest).exp()).sum();
            for (output, logit) in logits.iter().enumerate() {
                let wanted = smoothing / outputs as f32 + if output == *kind { 1.0 - smoothing } else { 0.0 };
                let log = logit - highest - sum.ln();
                loss -= f64::from(wanted * log);
                let error = log.exp() - wanted;
                bias_slopes[output] += error;
                let row = output * width..(output + 1) * width;
                for (to, feature) in weight_slopes[row.clone()].iter_mut().zip(&features) {
                    *to += error * feature;
                }
                for ((to, weight), kept) in slopes.iter_mut().zip(&weight[row]).zip(kept) {
                    *to += error * weight * kept;
                }
            }
        }
        (loss, slopes)
    }
}

/// Numbers of pixels of channels, as the model's input has them.
fn normalised(picture: &Picture, input: &Input) -> Vec<f32> {
    let pixels = picture.0.chunks_exact(3);
    let number = |(channel, value): (usize, &u8)| input.normalised(channel, *value);
    pixels.flat_map(|pixel| pixel.iter().enumerate().map(number)).collect()
}

#[cfg(test)]
mod slopes {
    use super::Layout;

    #[test]
    fn of_features_weights_and_biases_are_the_loss_s() {
        let layout = Layout { network: 0, features: 3, outputs: 4 };
        let numbers =
            |count: usize, by: f32| (0..count).map(|it| (it as f32 * by).sin()).collect::<Vec<f32>>();
        let (head, features, kinds) = (numbers(16, 1.3), numbers(6, 2.1), [2, 0]);
        let kept = [1.25, 0.0, 1.25, 1.25, 1.25, 0.0];
        let loss = |head: &[f32], features: &[f32]| {
            layout.judge(head, features, &kept, &kinds, 0.1, &mut vec![0.0; head.len()]).0
        };
        let mut gradient = vec![0.0; head.len()];
        let (_, slopes) = layout.judge(&head, &features, &kept, &kinds, 0.1, &mut gradient);
        let moved = |at: &[f32], place: usize, by: f32| {
            let mut at = at.to_vec();
            at[place] += by;
            at
        };
        let close = |says: f32, up: f64, down: f64, what: &str| {
            let slope = (up - down) / 2e-2;
            assert!((slope - f64::from(says)).abs() < 1e-3, "{what}: {says}, not {slope}");
        };
        for (place, says) in gradient.iter().enumerate() {
            let at = |by| loss(&moved(&head, place, by), &features);
            close(*says, at(1e-2), at(-1e-2), "the head's");
        }
        for (place, says) in slopes.iter().enumerate() {
            let at = |by| loss(&head, &moved(&features, place, by));
            close(*says, at(1e-2), at(-1e-2), "a feature's");
        }
    }
}
