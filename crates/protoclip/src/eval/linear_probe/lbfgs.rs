//! Limited-memory BFGS (Liu and Nocedal 1989) for a smooth convex function, in f64.
//!
//! Written here rather than taken from a crate: the probe must be cancelled and report progress from
//! inside an iteration, and give the same bits on any number of threads.

use std::collections::VecDeque;

/// Past steps that approximate the curvature.
const MEMORY: usize = 10;
/// Most iterations; a probe on standardised features needs tens.
pub(super) const MOST_ITERATIONS: usize = 300;
/// Ends when no component of the gradient exceeds it.
const GRADIENT_TOLERANCE: f64 = 1e-5;
/// Share of the predicted decrease that a step must reach.
const SUFFICIENT: f64 = 1e-4;
/// Halvings of a step before the search gives up, at the limit of f64.
const MOST_HALVINGS: usize = 40;

/// Value and gradient at a point.
type Objective<'a> = &'a dyn Fn(&[f64]) -> (f64, Vec<f64>);

/// A point, the function's value there and its gradient.
#[derive(Debug, Clone)]
struct Place {
    at: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// One step and the change of the gradient along it.
struct Step {
    moved: Vec<f64>,
    turned: Vec<f64>,
    /// 1 / (moved · turned).
    inverse: f64,
}

/// Minimises `objective`, which gives value and gradient at a point. `go_on` is asked before every
/// iteration with the number of those done; `None` when it says no.
pub(super) fn minimise(
    start: Vec<f64>,
    objective: Objective<'_>,
    go_on: &dyn Fn(usize) -> bool,
) -> Option<Vec<f64>> {
    let mut place = Place::of(start, objective);
    let mut memory: VecDeque<Step> = VecDeque::with_capacity(MEMORY);
    for iteration in 0..MOST_ITERATIONS {
        if !go_on(iteration) {
            return None;
        }
        if place.gradient.iter().all(|g| g.abs() <= GRADIENT_TOLERANCE) {
            break;
        }
        let direction = descent(&place.gradient, &memory);
        let first = if memory.is_empty() {
            1.0 / dot(&direction, &direction).sqrt().max(1.0)
        } else {
            1.0
        };
        let Some(next) = search(&place, &direction, first, objective) else {
            break;
        };
        remember(&mut memory, &place, &next);
        place = next;
    }
    Some(place.at)
}

impl Place {
    fn of(at: Vec<f64>, objective: Objective<'_>) -> Self {
        let (value, gradient) = objective(&at);
        Self {
            at,
            value,
            gradient,
        }
    }
}

/// The two-loop recursion: minus the inverse Hessian's approximation times the gradient.
fn descent(gradient: &[f64], memory: &VecDeque<Step>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for step in memory.iter().rev() {
        let share = step.inverse * dot(&step.moved, &direction);
        add_scaled(&mut direction, -share, &step.turned);
        shares.push(share);
    }
    if let Some(last) = memory.back() {
        let scale = 1.0 / (last.inverse * dot(&last.turned, &last.turned));
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for (step, share) in memory.iter().zip(shares.into_iter().rev()) {
        let back = step.inverse * dot(&step.turned, &direction);
        add_scaled(&mut direction, share - back, &step.moved);
    }
    direction
}

/// Halves the step until the value falls enough (Armijo); a convex function then also has
/// curvature along it. `None` when nothing is gained any more.
fn search(place: &Place, direction: &[f64], first: f64, objective: Objective<'_>) -> Option<Place> {
    let slope = dot(&place.gradient, direction);
    let mut length = first;
    for _ in 0..MOST_HALVINGS {
        let mut at = place.at.clone();
        add_scaled(&mut at, length, direction);
        let next = Place::of(at, objective);
        if next.value <= place.value + SUFFICIENT * length * slope {
            return Some(next);
        }
        length *= 0.5;
    }
    None
}

fn remember(memory: &mut VecDeque<Step>, from: &Place, to: &Place) {
    let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
    let moved: Vec<f64> = difference(&to.at, &from.at);
    let turned: Vec<f64> = difference(&to.gradient, &from.gradient);
    let curvature = dot(&moved, &turned);
    if curvature <= f64::EPSILON * dot(&turned, &turned) {
        return;
    }
    if memory.len() == MEMORY {
        memory.pop_front();
    }
    memory.push_back(Step {
        moved,
        turned,
        inverse: 1.0 / curvature,
    });
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(to: &mut [f64], factor: f64, values: &[f64]) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += factor * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_quadratic_is_minimised() {
        let objective = |x: &[f64]| {
            let (a, b) = (x[0] - 3.0, x[1] + 2.0);
            (
                a * a + 500.0 * b * b + a * b,
                vec![2.0 * a + b, 1000.0 * b + a],
            )
        };
        let found = minimise(vec![-40.0, 25.0], &objective, &|_| true).expect("not cancelled");
        assert!((found[0] - 3.0).abs() < 1e-4, "{found:?}");
        assert!((found[1] + 2.0).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn it_stops_when_told() {
        let objective = |x: &[f64]| (x[0] * x[0], vec![2.0 * x[0]]);
        assert_eq!(minimise(vec![1.0], &objective, &|_| false), None);
    }
}
