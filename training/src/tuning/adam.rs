use std::ops::Range;

use crate::recipe::Tuning;

/// AdamW's constants, as in Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".
const FIRST: f32 = 0.9;
const SECOND: f32 = 0.999;
const LEAST: f32 = 1e-8;

/// Where a learner is: its parameters, their average over the last steps, and what AdamW remembers of the gradients.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub(super) step: u32,
    pub(super) parameters: Vec<f32>,
    /// What ships: an average that forgets (Polyak averaging), less noisy than the last step.
    pub(super) average: Vec<f32>,
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
    /// The loss of each step so far.
    pub(super) losses: Vec<f64>,
}

impl State {
    pub(super) fn new(parameters: Vec<f32>) -> Self {
        let zeros = vec![0.0; parameters.len()];
        let (average, first) = (parameters.clone(), zeros.clone());
        Self { step: 0, average, first, second: zeros, parameters, losses: Vec::new() }
    }

    /// One step down the gradient, whose length is first cut to the recipe's. The head has a rate of its own, and its
    /// weights decay.
    pub(super) fn descend(
        &mut self,
        gradient: &mut [f32],
        head: Range<usize>,
        weights: Range<usize>,
        recipe: &Tuning,
    ) {
        let length = gradient.iter().map(|it| f64::from(*it).powi(2)).sum::<f64>().sqrt() as f32;
        let cut = (recipe.longest / length.max(LEAST)).min(1.0);
        let part = self.share_of_rate(recipe);
        self.step += 1;
        let correct = |rate: f32| 1.0 - rate.powi(self.step as i32);
        let (first_correction, second_correction) = (correct(FIRST), correct(SECOND));
        let forgets = 1.0 - (self.step as f32 / (self.step + 9) as f32).min(recipe.average);
        for (place, slope) in gradient.iter().enumerate() {
            let slope = slope * cut;
            let (parameter, first, second) =
                (&mut self.parameters[place], &mut self.first[place], &mut self.second[place]);
            *first += (1.0 - FIRST) * (slope - *first);
            *second += (1.0 - SECOND) * (slope * slope - *second);
            let rate = part * if head.contains(&place) { recipe.head_rate } else { recipe.rate };
            let decay = if weights.contains(&place) { recipe.head_decay } else { 0.0 };
            let direction = *first / first_correction / ((*second / second_correction).sqrt() + LEAST);
            *parameter -= rate * (direction + decay * *parameter);
            self.average[place] += forgets * (*parameter - self.average[place]);
        }
    }

    /// Whether the last loss and all that it has led to are numbers: from others nothing leads back.
    pub(super) fn is_finite(&self) -> bool {
        self.losses.last().is_none_or(|loss| loss.is_finite())
            && self.parameters.iter().chain(&self.average).all(|it| it.is_finite())
    }

    /// How much of its rate the next step has: more and more while it warms up, and then less and less, as half a cosine.
    fn share_of_rate(&self, recipe: &Tuning) -> f32 {
        let warm = (self.step + 1) as f32 / recipe.warm_up.max(1) as f32;
        let done = self.step as f32 / recipe.steps as f32;
        warm.min(1.0) * (0.5 + 0.5 * (std::f32::consts::PI * done).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_bottom_and_the_average_follows() {
        let recipe = Tuning { steps: 2000, rate: 0.05, head_rate: 0.05, warm_up: 10, ..Tuning::default() };
        let mut state = State::new(vec![3.0, -2.0]);
        for _ in 0..recipe.steps {
            let mut gradient: Vec<_> =
                state.parameters.iter().zip([1.0, 20.0]).map(|(it, by)| by * it).collect();
            state.descend(&mut gradient, 1..2, 0..0, &recipe);
        }
        assert!(state.parameters.iter().chain(&state.average).all(|it| it.abs() < 0.05), "{state:?}");
    }

    #[test]
    fn the_first_step_is_as_long_as_the_rate_and_only_the_head_decays() {
        let recipe = Tuning {
            rate: 0.1,
            head_rate: 0.2,
            head_decay: 0.5,
            warm_up: 1,
            steps: 1000,
            ..Tuning::default()
        };
        let mut state = State::new(vec![1.0; 3]);
        state.descend(&mut [1.0, 1.0, -1.0], 1..3, 1..2, &recipe);
        for (is, should) in state.parameters.iter().zip([0.9, 1.0 - 0.2 * 1.5, 1.2]) {
            assert!((is - should).abs() < 1e-5, "{state:?}");
        }
    }
}
