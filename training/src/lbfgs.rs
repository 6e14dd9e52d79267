use std::collections::VecDeque;

/// Steps that are remembered.
const HISTORY: usize = 12;
/// A step must lower the loss by at least this share of what the slope promises (Armijo 1966).
const SUFFICIENT: f64 = 1e-4;
/// Shorter steps than this share of the proposed one aren't tried.
const SHORTEST: f64 = 1e-6;
/// The relative change of the loss at which it is at its lowest.
const SETTLED: f64 = 1e-7;

/// A step and how the gradient changed on it.
struct Step {
    moved: Vec<f64>,
    turned: Vec<f64>,
    /// 1 ÷ their product.
    weight: f64,
}

/// The lowest point of `loss`, which gives value and gradient, from `start` on: L-BFGS (Nocedal 1980, "Updating
/// Quasi-Newton Matrices with Limited Storage"). `after` hears of each iteration's number,
/// from 1, and of the loss after it.
pub(crate) fn minimise(
    loss: impl Fn(&[f64]) -> (f64, Vec<f64>),
    start: Vec<f64>,
    iterations: usize,
    mut after: impl FnMut(usize, f64),
) -> Vec<f64> {
    let mut at = start;
    let (mut value, mut gradient) = loss(&at);
    let mut steps: VecDeque<Step> = VecDeque::with_capacity(HISTORY);
    for iteration in 1..=iterations {
        let direction = direction(&gradient, &steps);
        let slope = dot(&gradient, &direction);
        let mut length = 1.0;
        let (next, lower, turned) = loop {
            let next: Vec<_> = at.iter().zip(&direction).map(|(at, way)| at + length * way).collect();
            let (lower, turned) = loss(&next);
            if lower <= value + SUFFICIENT * length * slope || length < SHORTEST {
                break (next, lower, turned);
            }
            length /= 2.0;
        };
        let difference = |to: &[f64], from: &[f64]| to.iter().zip(from).map(|(to, from)| to - from).collect();
        let (moved, turn): (Vec<f64>, Vec<f64>) = (difference(&next, &at), difference(&turned, &gradient));
        let product = dot(&moved, &turn);
        if product > 1e-12 {
            steps.truncate(HISTORY - 1);
            steps.push_front(Step { moved, turned: turn, weight: 1.0 / product });
        }
        let is_settled = (value - lower).abs() < SETTLED * value.abs().max(1.0);
        (at, value, gradient) = (next, lower, turned);
        after(iteration, value);
        if is_settled {
            break;
        }
    }
    at
}

/// Where to go: the gradient, seen through the curvature that the last steps have met.
fn direction(gradient: &[f64], steps: &VecDeque<Step>) -> Vec<f64> {
    let mut way: Vec<f64> = gradient.iter().map(|it| -it).collect();
    let add = |way: &mut [f64], share: f64, of: &[f64]| {
        way.iter_mut().zip(of).for_each(|(it, of)| *it += share * of)
    };
    let mut shares = Vec::with_capacity(steps.len());
    for step in steps {
        let share = step.weight * dot(&step.moved, &way);
        add(&mut way, -share, &step.turned);
        shares.push(share);
    }
    // Nothing is known of the curvature at first: a short step.
    let scale = match steps.front() {
        Some(step) => 1.0 / (step.weight * dot(&step.turned, &step.turned)),
        None => 1.0 / gradient.iter().map(|it| it.abs()).sum::<f64>().max(f64::MIN_POSITIVE),
    };
    way.iter_mut().for_each(|it| *it *= scale);
    for (step, share) in steps.iter().zip(shares).rev() {
        let share = share - step.weight * dot(&step.turned, &way);
        add(&mut way, share, &step.moved);
    }
    way
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(test)]
mod tests {
    use super::minimise;

    /// Rosenbrock 1960: a bent valley, whose lowest point is (1, 1).
    fn valley(at: &[f64]) -> (f64, Vec<f64>) {
        let (x, y) = (at[0], at[1]);
        let value = (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2);
        (value, vec![-2.0 * (1.0 - x) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)])
    }

    #[test]
    fn the_lowest_point_of_a_bent_valley_is_found() {
        let mut losses = Vec::new();
        let at = minimise(valley, vec![-1.2, 1.0], 200, |_, loss| losses.push(loss));
        assert!(at.iter().all(|it| (it - 1.0).abs() < 1e-2), "{at:?} after {}", losses.len());
        assert!(losses.windows(2).all(|pair| pair[1] <= pair[0]));
    }
}
