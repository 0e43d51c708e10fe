//! Largest eigenvalues of a symmetric matrix with their eigenvectors.
//!
//! The classical way, as LAPACK's `dsyevx` goes it: Householder reflections to a tridiagonal matrix,
//! bisection by Sturm's sign counts, which cannot miss an eigenvalue, inverse iteration, and the
//! reflections again. Where only some of many vectors are wanted it is a hundred times as fast as what
//! linfa-linalg has. The result is checked: each residual and all angles; [`None`] where one is too
//! large.

use rayon::prelude::*;

mod tridiagonal;

use tridiagonal::Tridiagonal;

/// Largest residual, in norms of the matrix, and largest inner product of two vectors.
const ACCURACY: f64 = 1e-10;

/// Order from which rows are worked on by several threads.
const PARALLEL: usize = 256;

/// `count` largest eigenvalues, falling, and their orthonormal vectors `[count, n]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Eigenpairs {
    pub(super) values: Vec<f64>,
    pub(super) vectors: Vec<Vec<f64>>,
}

/// The largest eigenpairs of `matrix` `[n, n]`, finite and symmetric.
pub(super) fn largest(matrix: &[f64], n: usize, count: usize) -> Option<Eigenpairs> {
    let scale = matrix.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    if scale == 0.0 || !scale.is_finite() {
        return None;
    }
    let scaled: Vec<f64> = matrix.iter().map(|v| v / scale).collect();
    let reduced = Reduced::new(scaled.clone(), n);
    let values = reduced.tridiagonal.largest_values(count);
    let mut vectors = reduced.tridiagonal.vectors(&values);
    vectors
        .par_iter_mut()
        .for_each(|vector| reduced.reflect_back(vector));
    let accurate = is_accurate(&scaled, n, &values, &vectors);
    accurate.then(|| Eigenpairs {
        values: values.iter().map(|v| v * scale).collect(),
        vectors,
    })
}

/// A tridiagonal matrix and the reflections that lead to it.
struct Reduced {
    tridiagonal: Tridiagonal,
    /// Unit vectors v of reflections 1 − 2vvᵀ, the k-th on the entries after k; empty for none.
    reflections: Vec<Vec<f64>>,
}

impl Reduced {
    fn new(mut a: Vec<f64>, n: usize) -> Self {
        let mut side = Vec::with_capacity(n);
        let mut diagonal = Vec::with_capacity(n);
        let mut reflections = Vec::with_capacity(n);
        // What a reflection changes, − v wᵀ − w vᵀ, waits until the next one is known: then one pass over
        // the rows that are left makes the change and multiplies.
        let mut change = Change::none(n);
        for k in 0..n {
            let (done, rest) = a.split_at_mut((k + 1) * n);
            let row = &mut done[k * n..];
            change.apply(k, row, k);
            diagonal.push(row[k]);
            if k + 1 == n {
                break;
            }
            let mut v = row[k + 1..].to_vec();
            side.push(reflect_onto_first(&mut v));
            let mut product = vec![0.0; n - k - 1];
            let rows = rest.par_chunks_mut(n).zip(&mut product).enumerate();
            let least = if n - k > PARALLEL { 32 } else { n };
            rows.with_min_len(least).for_each(|(i, (row, product))| {
                change.apply(k + 1 + i, row, k + 1);
                *product = dot(&row[k + 1..], &v);
            });
            change = Change::of_reflection(k + 1, &v, &product);
            reflections.push(v);
        }
        Self {
            tridiagonal: Tridiagonal::new(diagonal, side),
            reflections,
        }
    }

    /// A vector of the tridiagonal matrix → one of the matrix.
    fn reflect_back(&self, vector: &mut [f64]) {
        for (k, v) in self.reflections.iter().enumerate().rev() {
            let rest = &mut vector[k + 1..];
            let along = 2.0 * dot(rest, v);
            rest.iter_mut().zip(v).for_each(|(x, v)| *x -= along * v);
        }
    }
}

/// What a reflection takes away from the rows and columns from `start` on: v wᵀ + w vᵀ.
struct Change {
    start: usize,
    v: Vec<f64>,
    w: Vec<f64>,
}

impl Change {
    fn none(n: usize) -> Self {
        Self {
            start: 0,
            v: vec![0.0; n],
            w: vec![0.0; n],
        }
    }

    /// Of the reflection along the unit vector v, given the matrix times v.
    fn of_reflection(start: usize, v: &[f64], product: &[f64]) -> Self {
        let along = dot(product, v);
        let w = product.iter().zip(v).map(|(p, v)| 2.0 * (p - along * v));
        Self {
            start,
            w: w.collect(),
            v: v.to_vec(),
        }
    }

    /// Changes the entries of row `i` from column `from` on.
    fn apply(&self, i: usize, row: &mut [f64], from: usize) {
        let (vi, wi) = (self.v[i - self.start], self.w[i - self.start]);
        let columns = self.v[from - self.start..]
            .iter()
            .zip(&self.w[from - self.start..]);
        for (x, (v, w)) in row[from..].iter_mut().zip(columns) {
            *x -= vi * w + wi * v;
        }
    }
}

/// Turns `x` into the unit vector of the reflection that maps it to a multiple of the first axis; that
/// multiple. The vector is 0 where there is nothing to reflect.
fn reflect_onto_first(x: &mut [f64]) -> f64 {
    let tail = dot(&x[1..], &x[1..]);
    if tail == 0.0 {
        let first = x[0];
        x.fill(0.0);
        return first;
    }
    let norm = (x[0] * x[0] + tail).sqrt();
    let image = if x[0] > 0.0 { -norm } else { norm };
    x[0] -= image;
    let length = dot(x, x).sqrt();
    x.iter_mut().for_each(|v| *v /= length);
    image
}

/// In eight partial sums, which a compiler can compute together.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}

/// Whether every pair solves the equation and the vectors are orthonormal.
fn is_accurate(matrix: &[f64], n: usize, values: &[f64], vectors: &[Vec<f64>]) -> bool {
    let norm = matrix.iter().map(|v| v * v).sum::<f64>().sqrt();
    vectors.par_iter().enumerate().all(|(place, vector)| {
        let residual: f64 = matrix
            .chunks_exact(n)
            .zip(vector)
            .map(|(row, x)| (dot(row, vector) - values[place] * x).powi(2))
            .sum();
        let angles = vectors[..=place].iter().enumerate().map(|(other, v)| {
            let wanted = if other == place { 1.0 } else { 0.0 };
            (dot(v, vector) - wanted).abs()
        });
        // Comparisons that NaN fails.
        residual.sqrt() <= ACCURACY * norm && angles.into_iter().all(|angle| angle <= ACCURACY)
    })
}

#[cfg(test)]
mod tests {
    use linfa_linalg::Order;
    use linfa_linalg::eigh::{EigSort, EighInto};
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    /// B·D·Bᵀ of pseudo-random B: any spectrum, in any directions.
    fn with_spectrum(spectrum: &[f64], seed: u64) -> Vec<f64> {
        let n = spectrum.len();
        let mut state = seed | 1;
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        let mut matrix = vec![0.0; n * n];
        for &value in spectrum {
            let direction: Vec<f64> = (0..n).map(|_| draw()).collect();
            for i in 0..n {
                for j in 0..n {
                    matrix[i * n + j] += value * (direction[i] * direction[j]);
                }
            }
        }
        matrix
    }

    fn assert_as_linfa(matrix: &[f64], n: usize, count: usize) {
        let found = largest(matrix, n, count).expect("accurate");
        let all = Array2::from_shape_vec((n, n), matrix.to_vec()).expect("square");
        let (values, _) = all.eigh_into().expect("values").sort_eig(Order::Largest);
        let scale = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (got, want) in found.values.iter().zip(&values) {
            assert!((got - want).abs() <= 1e-10 * scale, "{got} {want}");
        }
        assert!(found.values.is_sorted_by(|a, b| a >= b));
        assert_eq!(found.vectors.len(), count);
    }

    #[test]
    fn large_matrices_and_equal_values() {
        let flat: Vec<f64> = (0..150).map(|i| 1.0 + f64::from(i % 3)).collect();
        assert_as_linfa(&with_spectrum(&flat, 7), 150, 40);
        let steep: Vec<f64> = (0..120).map(|i| 0.7f64.powi(i)).collect();
        assert_as_linfa(&with_spectrum(&steep, 9), 120, 12);
        let mut blocks = vec![0.0; 90 * 90];
        for i in 0..90 {
            blocks[i * 90 + i] = f64::from(i as u32 % 4);
        }
        assert_as_linfa(&blocks, 90, 30);
        assert_eq!(largest(&[0.0; 16], 4, 2), None);
    }

    proptest! {
        #[test]
        fn values_are_those_of_another_solver(
            spectrum in prop::collection::vec(0.0f64..3.0, 1..30),
            seed in 0u64..1000,
            share in 1usize..30,
        ) {
            let n = spectrum.len();
            assert_as_linfa(&with_spectrum(&spectrum, seed), n, share.min(n));
        }
    }
}
