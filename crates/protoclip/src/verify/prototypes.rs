//! `pbt.safetensors`: prototype back translation.

use std::path::Path;

use burn::tensor::Device;

use super::{GoldenError, GoldenFile, Measure, Report, worst};
use crate::prototypes::back_translate;

const TOLERANCE: f64 = 1e-6;

pub(super) fn check(path: &Path, _: &Device, report: &mut Report<'_>) -> Result<(), GoldenError> {
    let file = GoldenFile::open(path)?;
    let [count, _] = file.matrix_shape("translated_centroids")?;
    let wanted = file.f32("translated_centroids")?;
    let found = back_translate(
        &file.f32("student_features")?,
        &file.labels("teacher_labels")?,
        count,
    )
    .map_err(|e| GoldenError::compute("translated_centroids", e))?;
    if found.centroids.len() != wanted.len() {
        return Err(file.wrong(
            "translated_centroids",
            "its dimension is not that of the features",
        ));
    }
    let error = worst(&found.centroids, &wanted);
    report.add("translated_centroids", Measure::Absolute, error, TOLERANCE);
    Ok(())
}
