use std::iter::repeat_n;

use autorma_evaluation::parallel::each;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::lbfgs::minimise;
use crate::recipe;

/// Rows that are computed at once: a fixed number, so that sums are added up in the same order on any number of threads.
const ROWS: usize = 1024;
/// So many parts a thread are computed before they are added up; each is as large as a head.
const WAITING: usize = 8;

/// What tells kinds by features: a linear function of them for each kind.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// Outputs × features.
    pub(crate) weight: Array2<f32>,
    /// One an output.
    pub(crate) bias: Array1<f32>,
}

/// What a head learns from.
#[derive(Debug)]
pub(crate) struct Lesson<'a> {
    /// Examples × features.
    pub(crate) features: ArrayView2<'a, f32>,
    /// The kind of each example.
    pub(crate) kinds: &'a [usize],
    /// How much each counts; 0 is as if it weren't there. One counts at least.
    pub(crate) weights: &'a [f32],
    /// How many kinds there are.
    pub(crate) outputs: usize,
}

/// The features' means, and one scale for all of them: a scale each would give the noise of rare ones the say of common
/// ones.
struct Scale {
    mean: Array1<f32>,
    one: f32,
}

impl Head {
    /// The head that minimises the weighted log loss of a softmax over all kinds, with an L2 penalty. `after` hears of
    /// each iteration's number, from 1, and of the loss after it.
    pub(crate) fn fit(
        lesson: &Lesson<'_>,
        recipe: &recipe::Head,
        threads: usize,
        after: impl FnMut(usize, f64),
    ) -> Self {
        let total: f64 = lesson.weights.iter().map(|it| f64::from(*it)).sum();
        let weights: Vec<f32> = lesson.weights.iter().map(|it| (f64::from(*it) / total) as f32).collect();
        let lesson = &Lesson { weights: &weights, ..*lesson };
        let scale = lesson.scale();
        let features = lesson.features.ncols();
        let loss = |at: &[f64]| lesson.loss(at, &scale, recipe.l2, threads);
        let start = vec![0.0; lesson.outputs * (features + 1)];
        let at = minimise(loss, start, recipe.iterations, after);
        head(&at, &scale, lesson.outputs, features)
    }

    /// One for each output.
    pub(crate) fn logits(&self, features: ArrayView1<'_, f32>) -> Vec<f32> {
        (self.weight.dot(&features) + &self.bias).to_vec()
    }
}

impl Lesson<'_> {
    fn scale(&self) -> Scale {
        let weighted = || self.features.outer_iter().zip(self.weights).filter(|(_, weight)| **weight > 0.0);
        let mut mean = Array1::<f64>::zeros(self.features.ncols());
        for (row, weight) in weighted() {
            mean.zip_mut_with(&row, |mean, value| *mean += f64::from(*weight) * f64::from(*value));
        }
        let spread = |row: ArrayView1<'_, f32>| -> f64 {
            row.iter().zip(&mean).map(|(value, mean)| (f64::from(*value) - mean).powi(2)).sum()
        };
        let variance: f64 = weighted().map(|(row, weight)| f64::from(*weight) * spread(row)).sum();
        let one = (variance / mean.len() as f64).sqrt().max(f64::from(f32::MIN_POSITIVE));
        Scale { mean: mean.mapv(|it| it as f32), one: one as f32 }
    }

    /// The loss and its gradient at a point: for each output the weights of the scaled features, then its bias.
    fn loss(&self, at: &[f64], scale: &Scale, l2: f64, threads: usize) -> (f64, Vec<f64>) {
        let width = self.features.ncols() + 1;
        let head = head(at, scale, self.outputs, width - 1);
        let parts = self.features.len_of(Axis(0)).div_ceil(ROWS);
        let (mut value, mut gradient) = (0.0, vec![0.0; at.len()]);
        let add = |Part { loss, weight, bias }| {
            value += loss;
            let rows = gradient.chunks_exact_mut(width).zip(weight.outer_iter()).zip(&bias);
            for ((to, weight), bias) in rows {
                // As if the features had been scaled beforehand.
                let scaled = weight.iter().zip(&scale.mean).map(|(it, mean)| (it - mean * bias) / scale.one);
                to.iter_mut().zip(scaled).for_each(|(to, it)| *to += f64::from(it));
                to[width - 1] += f64::from(*bias);
            }
        };
        in_turn(parts, threads, |part| self.part(part, &head), add);
        for (to, at) in gradient.chunks_exact_mut(width).zip(at.chunks_exact(width)) {
            value += l2 / 2.0 * at[..width - 1].iter().map(|it| it * it).sum::<f64>();
            to.iter_mut().zip(&at[..width - 1]).for_each(|(to, at)| *to += l2 * at);
        }
        (value, gradient)
    }

    fn part(&self, part: usize, head: &Head) -> Part {
        let rows = part * ROWS..((part + 1) * ROWS).min(self.kinds.len());
        let features = self.features.slice_axis(Axis(0), rows.clone().into());
        let mut errors = features.dot(&head.weight.t()) + &head.bias;
        let mut loss = 0.0;
        for ((mut row, kind), weight) in
            errors.outer_iter_mut().zip(&self.kinds[rows.clone()]).zip(&self.weights[rows])
        {
            let highest = row.fold(f32::NEG_INFINITY, |one, other| one.max(*other));
            row.mapv_inplace(|logit| (logit - highest).exp());
            let sum = row.sum();
            loss -= f64::from(*weight) * f64::from((row[*kind] / sum).max(1e-30).ln());
            row.mapv_inplace(|it| it / sum * weight);
            row[*kind] -= weight;
        }
        Part { loss, weight: errors.t().dot(&features), bias: errors.sum_axis(Axis(0)) }
    }
}

/// What some rows add to the loss and its gradient.
struct Part {
    loss: f64,
    weight: Array2<f32>,
    bias: Array1<f32>,
}

/// Hands what `compute` makes of each of the parts to `add`, in their order. There are at most [`WAITING`] a thread at a time.
fn in_turn<T: Send>(
    parts: usize,
    threads: usize,
    compute: impl Fn(usize) -> T + Sync,
    mut add: impl FnMut(T),
) {
    let at_once = threads * WAITING;
    for first in (0..parts).step_by(at_once) {
        let of = at_once.min(parts - first);
        let done = each(of, repeat_n((), threads), |(), part| compute(first + part), |_| true);
        done.into_iter().flatten().for_each(&mut add);
    }
}

/// The head for features as they are, from the one for scaled features.
fn head(at: &[f64], scale: &Scale, outputs: usize, features: usize) -> Head {
    let rows: Vec<_> = at.chunks_exact(features + 1).collect();
    let weight = Array2::from_shape_fn((outputs, features), |(row, column)| {
        (rows[row][column] / f64::from(scale.one)) as f32
    });
    let shift = weight.dot(&scale.mean);
    let bias = Array1::from_shape_fn(outputs, |row| (rows[row][features] - f64::from(shift[row])) as f32);
    Head { weight, bias }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::dice::Dice;

    /// Three clouds of points, some way from the origin.
    fn clouds() -> (Array2<f32>, Vec<usize>) {
        let mut dice = Dice::new(5, b"clouds", 0);
        let kinds: Vec<_> = (0..3000).map(|i| i % 3).collect();
        let features = Array2::from_shape_fn((3000, 4), |(row, column)| {
            let middle = if kinds[row] == column { 2.0 } else { 0.0 };
            40.0 + middle + dice.between(-1.2..1.2)
        });
        (features, kinds)
    }

    fn fitted(weights: &[f32], threads: usize, losses: &mut Vec<f64>) -> Head {
        let (features, kinds) = clouds();
        let lesson = Lesson { features: features.view(), kinds: &kinds, weights, outputs: 3 };
        let recipe = recipe::Head { l2: 1e-3, iterations: 60 };
        Head::fit(&lesson, &recipe, threads, |_, loss| losses.push(loss))
    }

    #[test]
    fn clouds_are_told_apart_and_the_number_of_threads_changes_no_bit() {
        let (features, kinds) = clouds();
        let mut losses = Vec::new();
        let one = fitted(&[1.0; 3000], 1, &mut losses);
        let best = |row| {
            let logits = one.logits(row);
            (0..3).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap()
        };
        let right = features.outer_iter().zip(&kinds).filter(|(row, kind)| best(*row) == **kind).count();
        assert!(right > 2850, "{right} of 3000");
        assert!(losses.last().unwrap() < &0.3, "{losses:?}");
        let three = fitted(&[1.0; 3000], 3, &mut losses);
        assert_eq!((one.weight, one.bias), (three.weight, three.bias));
    }

    #[test]
    fn parts_are_added_up_in_order_and_few_are_there_at_once() {
        let made = AtomicUsize::new(0);
        let (mut added, mut most) = (Vec::new(), 0_usize);
        let compute = |part: usize| {
            made.fetch_add(1, Ordering::Relaxed);
            part
        };
        let add = |part: usize| {
            most = most.max(made.load(Ordering::Relaxed) - added.len());
            added.push(part);
        };
        in_turn(1000, 3, compute, add);
        assert_eq!(added, (0..1000).collect::<Vec<_>>());
        assert!(most <= 3 * WAITING, "{most}");
    }

    #[test]
    fn what_counts_nothing_is_as_if_it_weren_t_there() {
        let (features, kinds) = clouds();
        let weights: Vec<_> = (0..3000).map(|row| f32::from(u8::from(row < 1500))).collect();
        let masked = fitted(&weights, 2, &mut Vec::new());
        let lesson = Lesson {
            features: features.slice_axis(Axis(0), (..1500).into()),
            kinds: &kinds[..1500],
            weights: &[1.0; 1500],
            outputs: 3,
        };
        let recipe = recipe::Head { l2: 1e-3, iterations: 60 };
        let alone = Head::fit(&lesson, &recipe, 2, |_, _| {});
        assert!(masked.weight.iter().zip(&alone.weight).all(|(one, other)| (one - other).abs() < 1e-2));
    }

    #[test]
    fn the_gradient_is_the_loss_s_slope() {
        let (features, kinds) = clouds();
        let weights: Vec<_> = (0..3000).map(|row| (row % 5) as f32 / 6000.0).collect();
        let lesson = Lesson { features: features.view(), kinds: &kinds, weights: &weights, outputs: 3 };
        let scale = lesson.scale();
        let at: Vec<_> = (0..15).map(|it| (f64::from(it) * 0.7).sin() / 2.0).collect();
        let (_, gradient) = lesson.loss(&at, &scale, 0.1, 2);
        for place in 0..15 {
            let value = |step: f64| {
                let mut at = at.clone();
                at[place] += step;
                lesson.loss(&at, &scale, 0.1, 2).0
            };
            let slope = (value(1e-2) - value(-1e-2)) / 2e-2;
            assert!((slope - gradient[place]).abs() < 2e-3, "{place}: {slope} and {}", gradient[place]);
        }
    }
}
