//! `pca.safetensors`: mean, components, explained variance and the transform. Signs are arbitrary.

use std::path::Path;

use burn::tensor::Device;

use super::{GoldenError, GoldenFile, Measure, Report, worst, worst_relative};
use crate::analysis::Pca;

const TOLERANCE: f64 = 1e-3;

pub(super) fn check(path: &Path, _: &Device, report: &mut Report<'_>) -> Result<(), GoldenError> {
    let file = GoldenFile::open(path)?;
    let features = file.f32("features")?;
    let [count, dim] = file.matrix_shape("components")?;
    let failed = |e| GoldenError::compute("pca", e);
    let pca = Pca::fit(&features, dim, count).map_err(failed)?;
    let error = worst_relative(&pca.mean(), &file.f32("mean")?);
    report.add("mean", Measure::Relative, error, TOLERANCE);

    let wanted = file.f32("components")?;
    let mut found = pca.components();
    let signs = signs(&found, &wanted, dim);
    found
        .chunks_exact_mut(dim)
        .zip(&signs)
        .for_each(|(row, sign)| {
            row.iter_mut().for_each(|v| *v *= sign);
        });
    report.add(
        "components",
        Measure::Absolute,
        worst(&found, &wanted),
        TOLERANCE,
    );

    let mut mapped = pca.transform(&features).map_err(failed)?;
    mapped.chunks_exact_mut(count).for_each(|row| {
        row.iter_mut().zip(&signs).for_each(|(v, sign)| *v *= sign);
    });
    let error = worst_relative(&mapped, &file.f32("transformed")?);
    report.add("transformed", Measure::Relative, error, TOLERANCE);

    let ratio: Vec<f32> = pca
        .explained_variance_ratio()
        .iter()
        .map(|&v| v as f32)
        .collect();
    let error = worst(&ratio, &file.f32("explained_variance_ratio")?);
    report.add(
        "explained_variance_ratio",
        Measure::Absolute,
        error,
        TOLERANCE,
    );
    Ok(())
}

/// −1 for each component that points the other way.
fn signs(found: &[f32], wanted: &[f32], dim: usize) -> Vec<f32> {
    let rows = found.chunks_exact(dim).zip(wanted.chunks_exact(dim));
    rows.map(|(a, b)| {
        let along: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        if along < 0.0 { -1.0 } else { 1.0 }
    })
    .collect()
}
