//! The methods of linfa-reduction beside PCA.

use linfa::traits::{Fit, Transformer};
use linfa::{DatasetBase, ParamGuard};
use linfa_kernel::{Kernel, KernelMethod, KernelType};
use linfa_reduction::DiffusionMap;
use linfa_reduction::random_projection::GaussianRandomProjection;
use ndarray::{Array2, ArrayView2};

use super::{MOST_DIFFUSED, PlaneError, PlaneMap};
use crate::analysis::AnalysisError;

/// Near neighbours whose similarity the diffusion follows.
const NEIGHBOURS: usize = 15;
/// Samples whose distances set the width of the kernel.
const WIDTH_SAMPLES: usize = 512;

/// Two random directions; linfa's generator has a fixed seed, so they are always the same.
pub(super) fn random(features: &[f32], dim: usize) -> Result<PlaneMap, PlaneError> {
    let rows = rows(features, dim)?;
    let fitted = GaussianRandomProjection::<f64>::params()
        .target_dim(2)
        .fit(&DatasetBase::from(rows.clone()))
        .map_err(|error| failed("random projection", error))?;
    Ok(unmeasured(&fitted.transform(&rows)))
}

/// The first two coordinates of the diffusion on the graph of near neighbours.
pub(super) fn diffusion(
    features: &[f32],
    dim: usize,
    samples: usize,
) -> Result<PlaneMap, PlaneError> {
    if samples > MOST_DIFFUSED {
        return Err(PlaneError::TooMany { samples });
    }
    if samples <= NEIGHBOURS {
        return Err(failed(
            "diffusion map",
            format!("{samples} samples are too few; it needs more than {NEIGHBOURS}"),
        ));
    }
    let rows = rows(features, dim)?;
    let kernel = Kernel::params()
        .kind(KernelType::Sparse(NEIGHBOURS))
        .method(KernelMethod::Gaussian(squared_width(&rows)))
        .transform(rows.view());
    let checked = DiffusionMap::<f64>::params(2)
        .steps(1)
        .check()
        .map_err(|error| failed("diffusion map", error))?;
    let map: DiffusionMap<f64> = checked.transform(&kernel);
    let found = unmeasured(map.embedding());
    match found.points.iter().all(|v| v.is_finite()) {
        true => Ok(found),
        false => Err(failed(
            "diffusion map",
            "its eigenvectors did not converge; choose another method",
        )),
    }
}

fn rows(features: &[f32], dim: usize) -> Result<Array2<f64>, AnalysisError> {
    let rows = features.len() / dim.max(1);
    let view = ArrayView2::from_shape((rows, dim), features).map_err(|_| AnalysisError::Shape {
        name: "feature",
        values: features.len(),
        dim,
    })?;
    Ok(view.mapv(f64::from))
}

/// Mean squared distance of samples to their nearest of a few others, spread evenly.
fn squared_width(rows: &Array2<f64>) -> f64 {
    let step = rows.nrows().div_ceil(WIDTH_SAMPLES).max(1);
    let chosen: Vec<_> = rows.rows().into_iter().step_by(step).collect();
    let mut sum = 0.0;
    for (i, a) in chosen.iter().enumerate() {
        let others = chosen.iter().enumerate().filter(|(j, _)| *j != i);
        let nearest = others
            .map(|(_, b)| a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>())
            .fold(f64::INFINITY, f64::min);
        sum += if nearest.is_finite() { nearest } else { 0.0 };
    }
    // Copies of one sample have no width of their own.
    (sum / chosen.len() as f64).max(1e-6)
}

fn unmeasured(points: &Array2<f64>) -> PlaneMap {
    PlaneMap {
        points: points.iter().map(|&v| v as f32).collect(),
        quality: None,
    }
}

fn failed(method: &'static str, error: impl ToString) -> PlaneError {
    PlaneError::Method {
        method,
        message: error.to_string(),
    }
}
