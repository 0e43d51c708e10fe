//! Eigenpairs of a symmetric tridiagonal matrix.

use rayon::prelude::*;

use super::dot;

/// Halvings of an interval that holds all values: more than an f64 has bits.
const HALVINGS: usize = 80;

/// Solutions of one inverse iteration; two suffice unless the start was unlucky.
const SOLUTIONS: usize = 4;

/// Vectors of values closer than this, in norms of the matrix, are made orthogonal.
const CLOSE: f64 = 1e-3;

/// Diagonal `[n]` and the entries beside it `[n − 1]`.
#[derive(Debug)]
pub(super) struct Tridiagonal {
    diagonal: Vec<f64>,
    side: Vec<f64>,
    norm: f64,
}

impl Tridiagonal {
    pub(super) fn new(diagonal: Vec<f64>, side: Vec<f64>) -> Self {
        let beside = |i: usize| side.get(i).map_or(0.0, |v: &f64| v.abs());
        let row =
            |(i, d): (usize, &f64)| d.abs() + beside(i) + if i > 0 { beside(i - 1) } else { 0.0 };
        let norm = diagonal.iter().enumerate().map(row).fold(0.0, f64::max);
        Self {
            diagonal,
            side,
            norm,
        }
    }

    /// How many eigenvalues are below `x`: the negative pivots of the matrix less `x` (Sylvester).
    fn count_below(&self, x: f64) -> usize {
        let least = f64::MIN_POSITIVE.max(self.norm * f64::EPSILON * f64::EPSILON);
        let mut count = 0;
        let mut pivot = 1.0;
        for (i, &d) in self.diagonal.iter().enumerate() {
            let side = if i > 0 { self.side[i - 1] } else { 0.0 };
            pivot = d - x - side * side / pivot;
            if pivot.abs() < least {
                pivot = -least;
            }
            count += usize::from(pivot < 0.0);
        }
        count
    }

    /// The `count` largest eigenvalues, falling.
    pub(super) fn largest_values(&self, count: usize) -> Vec<f64> {
        let n = self.diagonal.len();
        let bound = self.norm * (1.0 + 1e-10);
        let mut values: Vec<f64> = (0..count)
            .into_par_iter()
            .map(|place| {
                let (mut low, mut high) = (-bound, bound);
                for _ in 0..HALVINGS {
                    let middle = 0.5 * (low + high);
                    if self.count_below(middle) >= n - place {
                        high = middle;
                    } else {
                        low = middle;
                    }
                }
                0.5 * (low + high)
            })
            .collect();
        values.sort_by(|a, b| b.total_cmp(a));
        values
    }

    /// Unit vectors of falling eigenvalues, by inverse iteration.
    pub(super) fn vectors(&self, values: &[f64]) -> Vec<Vec<f64>> {
        let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(values.len());
        let mut group = 0;
        let mut last_shift = f64::INFINITY;
        for (place, &value) in values.iter().enumerate() {
            if place > 0 && values[place - 1] - value > CLOSE * self.norm {
                group = place;
            }
            // Equal values need shifts that differ, or all would give the same vector.
            let apart = 10.0 * f64::EPSILON * self.norm;
            let shift = value.min(last_shift - apart);
            last_shift = shift;
            let factors = Factors::new(self, shift);
            let mut vector = start(self.diagonal.len(), place);
            for _ in 0..SOLUTIONS {
                factors.solve(&mut vector);
                normalise(&mut vector);
                for other in &vectors[group..] {
                    let along = dot(&vector, other);
                    vector
                        .iter_mut()
                        .zip(other)
                        .for_each(|(x, o)| *x -= along * o);
                }
                normalise(&mut vector);
            }
            vectors.push(vector);
        }
        vectors
    }
}

fn normalise(vector: &mut [f64]) {
    // Solutions of a nearly singular system are huge.
    let most = vector
        .iter()
        .fold(f64::MIN_POSITIVE, |most: f64, v| most.max(v.abs()));
    vector.iter_mut().for_each(|v| *v /= most);
    let norm = dot(vector, vector).sqrt().max(f64::MIN_POSITIVE);
    vector.iter_mut().for_each(|v| *v /= norm);
}

/// Numbers in ±1 without structure, by a multiplicative hash.
fn start(n: usize, seed: usize) -> Vec<f64> {
    let number = |i: usize| {
        let hash = ((seed * n + i + 1) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (hash ^ (hash >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n).map(number).collect()
}

/// A tridiagonal matrix less a multiple of 1, as triangular factors with exchanged rows (LAPACK's
/// `dgttrf`).
struct Factors {
    multipliers: Vec<f64>,
    exchanged: Vec<bool>,
    diagonal: Vec<f64>,
    above: Vec<f64>,
    second_above: Vec<f64>,
}

impl Factors {
    fn new(matrix: &Tridiagonal, shift: f64) -> Self {
        let n = matrix.diagonal.len();
        let least = (matrix.norm * f64::EPSILON).max(f64::MIN_POSITIVE);
        let mut factors = Self {
            multipliers: matrix.side.clone(),
            exchanged: vec![false; n.saturating_sub(1)],
            diagonal: matrix.diagonal.iter().map(|d| d - shift).collect(),
            above: matrix.side.clone(),
            second_above: vec![0.0; n.saturating_sub(2)],
        };
        for i in 0..n.saturating_sub(1) {
            factors.eliminate(i, least);
        }
        for pivot in &mut factors.diagonal {
            if pivot.abs() < least {
                *pivot = least;
            }
        }
        factors
    }

    /// Clears the entry below the `i`-th pivot.
    fn eliminate(&mut self, i: usize, least: f64) {
        let below = self.multipliers[i];
        if self.diagonal[i].abs() >= below.abs() {
            if self.diagonal[i].abs() < least {
                self.diagonal[i] = least;
            }
            self.multipliers[i] = below / self.diagonal[i];
            self.diagonal[i + 1] -= self.multipliers[i] * self.above[i];
            return;
        }
        let multiplier = self.diagonal[i] / below;
        self.exchanged[i] = true;
        self.multipliers[i] = multiplier;
        self.diagonal[i] = below;
        let above = std::mem::replace(&mut self.above[i], self.diagonal[i + 1]);
        self.diagonal[i + 1] = above - multiplier * self.diagonal[i + 1];
        if let Some(second) = self.second_above.get_mut(i) {
            *second = self.above[i + 1];
            self.above[i + 1] *= -multiplier;
        }
    }

    fn solve(&self, x: &mut [f64]) {
        let n = x.len();
        for i in 0..n.saturating_sub(1) {
            if self.exchanged[i] {
                x.swap(i, i + 1);
            }
            x[i + 1] -= self.multipliers[i] * x[i];
        }
        for i in (0..n).rev() {
            let mut value = x[i];
            if i + 1 < n {
                value -= self.above[i] * x[i + 1];
            }
            if i + 2 < n {
                value -= self.second_above[i] * x[i + 2];
            }
            x[i] = value / self.diagonal[i];
        }
    }
}
