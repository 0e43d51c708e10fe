//! Principal components: the directions along which features vary most.

use linfa_linalg::Order;
use linfa_linalg::eigh::{EigSort, EighInto};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::AnalysisError;
use super::error::{checked_rows, checked_shape};
use crate::kernels::gram::{self, Gram};

mod symmetric;

/// Rows whose products are added up in f32 before they join the f64 sums.
const BLOCK: usize = 1024;

/// Rows that are mapped together: they stay in the second cache.
const MAPPED: usize = 128;

/// Rows from which products of rounded numbers are as exact as those of f32 numbers.
const MANY_ROWS: usize = 16 * gram::BLOCK;

/// Dimensions from which the faster eigenvectors gain anything.
const MANY_DIMENSIONS: usize = 64;

/// A fitted reduction from `dim` to `components` numbers per sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// `[components, dim]`, orthonormal rows by falling variance. Signs are arbitrary; here the
    /// entry of largest magnitude of each row is positive.
    components: Array2<f32>,
    /// `[dim]`
    mean: Array1<f32>,
    /// `[components]`
    explained_variance_ratio: Vec<f64>,
}

impl Pca {
    /// Fits `count` components to `features` `[n, dim]`, row-major.
    ///
    /// Eigenvectors of the covariance matrix, which is summed block by block: memory beside the
    /// features is O(dim²) per thread, time O(n·dim² + dim³). Of many rows the products are those of
    /// numbers rounded to 16 bits, block by block (`kernels::gram`).
    ///
    /// # Errors
    /// When a value is not finite, a shape does not fit, or `count` is not in 1..=min(n, dim).
    pub fn fit(features: &[f32], dim: usize, count: usize) -> Result<Self, AnalysisError> {
        let rows = checked_shape("feature", features, dim)?;
        let most = rows.min(dim);
        if count == 0 || count > most {
            return Err(AnalysisError::Components { count, most });
        }
        let mean = mean_row(features, dim);
        if mean.iter().any(|v| !v.is_finite()) {
            checked_rows("feature", features, dim)?;
        }
        let covariance = covariance(features, dim, &mean);
        let total: f64 = covariance.diag().sum();
        let (values, mut components) = eigenvectors(covariance, count)?;
        for mut row in components.axis_iter_mut(Axis(0)) {
            let peak = row
                .iter()
                .fold(0.0_f32, |m, &v| if v.abs() > m.abs() { v } else { m });
            if peak < 0.0 {
                row.mapv_inplace(|v| -v);
            }
        }
        let ratio = |value: &f64| {
            if total > 0.0 {
                value.max(0.0) / total
            } else {
                0.0
            }
        };
        Ok(Self {
            components,
            mean: mean.mapv(|v| v as f32),
            explained_variance_ratio: values.iter().map(ratio).collect(),
        })
    }

    /// `features` `[n, dim]` → `[n, components]`, row-major.
    ///
    /// # Errors
    /// When a value is not finite or the dimension is not the fitted one.
    pub fn transform(&self, features: &[f32]) -> Result<Vec<f32>, AnalysisError> {
        let dim = self.mean.len();
        checked_shape("feature", features, dim)?;
        let blocks = features.par_chunks(MAPPED * dim).map(|block| {
            let centred = centred(block, dim, &self.mean);
            centred
                .dot(&self.components.t())
                .into_iter()
                .collect::<Vec<f32>>()
        });
        let mapped = blocks.collect::<Vec<_>>().concat();
        // What is not finite shows in all that it is multiplied into.
        if mapped.iter().any(|v| !v.is_finite()) {
            checked_rows("feature", features, dim)?;
        }
        Ok(mapped)
    }

    /// `[components, dim]`, row-major.
    pub fn components(&self) -> Vec<f32> {
        self.components.iter().copied().collect()
    }

    /// `[dim]`
    pub fn mean(&self) -> Vec<f32> {
        self.mean.to_vec()
    }

    /// Share of the total variance along each component.
    pub fn explained_variance_ratio(&self) -> &[f64] {
        &self.explained_variance_ratio
    }
}

fn mean_row(features: &[f32], dim: usize) -> Array1<f64> {
    let rows = features.len() / dim;
    let sums = features.par_chunks(BLOCK * dim).map(|block| {
        let mut sum = Array1::<f64>::zeros(dim);
        for row in block.chunks_exact(dim) {
            sum.iter_mut()
                .zip(row)
                .for_each(|(s, &v)| *s += f64::from(v));
        }
        sum
    });
    // Collected in order: the result does not depend on the number of threads.
    let sums: Vec<Array1<f64>> = sums.collect();
    let total = sums.into_iter().fold(Array1::zeros(dim), |a, b| a + b);
    total / rows as f64
}

/// Covariance over n − 1 (n for a single row), `[dim, dim]`.
fn covariance(features: &[f32], dim: usize, mean: &Array1<f64>) -> Array2<f64> {
    let rows = features.len() / dim;
    let mean = mean.mapv(|v| v as f32);
    let total = match rows >= MANY_ROWS {
        true => products_of_many(features, dim, &mean),
        false => products(features, dim, &mean),
    };
    total / (rows.max(2) - 1) as f64
}

fn products_of_many(features: &[f32], dim: usize, mean: &Array1<f32>) -> Array2<f64> {
    let mut gram = Gram::new(dim);
    let mean = mean.to_vec();
    for block in features.chunks(gram::BLOCK * dim) {
        gram.add(block, &mean);
    }
    let matrix = gram.into_matrix();
    Array2::from_shape_fn((dim, dim), |(i, j)| matrix[i * dim + j])
}

fn products(features: &[f32], dim: usize, mean: &Array1<f32>) -> Array2<f64> {
    let mut total = Array2::<f64>::zeros((dim, dim));
    let wave = BLOCK * dim * rayon::current_num_threads();
    for wave in features.chunks(wave) {
        let products: Vec<Array2<f32>> = wave
            .par_chunks(BLOCK * dim)
            .map(|block| {
                let centred = centred(block, dim, mean);
                centred.t().dot(&centred)
            })
            .collect();
        for product in products {
            total.zip_mut_with(&product, |t, &p| *t += f64::from(p));
        }
    }
    total
}

/// The `count` largest eigenvalues, falling, and their vectors `[count, dim]`.
fn eigenvectors(
    covariance: Array2<f64>,
    count: usize,
) -> Result<(Vec<f64>, Array2<f32>), AnalysisError> {
    let dim = covariance.nrows();
    if let (true, Some(matrix)) = (dim >= MANY_DIMENSIONS, covariance.as_slice())
        && let Some(found) = symmetric::largest(matrix, dim, count)
    {
        let entry = |(place, d): (usize, usize)| found.vectors[place][d] as f32;
        return Ok((found.values, Array2::from_shape_fn((count, dim), entry)));
    }
    let failed = |e: linfa_linalg::LinalgError| AnalysisError::Eigen(e.to_string());
    let (values, vectors) = covariance
        .eigh_into()
        .map_err(failed)?
        .sort_eig(Order::Largest);
    let chosen = vectors
        .t()
        .slice(ndarray::s![..count, ..])
        .mapv(|v| v as f32);
    Ok((values.iter().take(count).copied().collect(), chosen))
}

fn centred(block: &[f32], dim: usize, mean: &Array1<f32>) -> Array2<f32> {
    let rows = block.len() / dim;
    match ArrayView2::from_shape((rows, dim), block) {
        Ok(view) => &view - mean,
        // Chunks of whole rows always have this shape.
        Err(_) => Array2::zeros((0, dim)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a line with a little spread across it.
    fn line() -> Vec<f32> {
        let point = |i: usize| {
            let (along, across) = (i as f32 / 10.0, ((i * 7) % 5) as f32 / 100.0);
            [3.0 * along + across, 4.0 * along - across, 5.0]
        };
        (0..3000).flat_map(point).collect()
    }

    #[test]
    fn the_first_component_follows_the_line() {
        let pca = Pca::fit(&line(), 3, 2).expect("fits");
        let first = &pca.components()[..3];
        for (found, wanted) in first.iter().zip([0.6, 0.8, 0.0]) {
            assert!((found - wanted).abs() < 1e-3, "{first:?}");
        }
        assert!(pca.explained_variance_ratio()[0] > 0.999);
        let mapped = pca.transform(&line()).expect("maps");
        let mean = mapped.iter().step_by(2).sum::<f32>() / 3000.0;
        assert!(mean.abs() < 1e-2, "{mean}");
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let fit = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool")
                .install(|| Pca::fit(&line(), 3, 3).expect("fits"))
        };
        assert_eq!(fit(1), fit(3));
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        let refused = |features: &[f32], count| Pca::fit(features, 2, count).expect_err("refused");
        let three = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(
            refused(&three, 3),
            AnalysisError::Components { count: 3, most: 2 }
        );
        assert_eq!(
            refused(&three, 0),
            AnalysisError::Components { count: 0, most: 2 }
        );
        assert_eq!(refused(&[], 1), AnalysisError::Empty);
        assert!(matches!(
            refused(&[1.0, f32::NAN], 1),
            AnalysisError::NotFinite { row: 0, .. }
        ));
        let constant = Pca::fit(&[2.0; 8], 2, 2).expect("no variance is no error");
        assert_eq!(constant.explained_variance_ratio(), [0.0, 0.0]);
    }
}
