//! `metrics.json` with `metrics.safetensors`: retrieval, gap, spread, agreement and cluster quality.

use std::path::Path;

use burn::tensor::Device;
use serde_json::Value;

use super::golden_file::read_json;
use super::{GoldenError, GoldenFile, Report, beside};
use crate::analysis::{
    LabelledFeatures, adjusted_mutual_information, adjusted_rand_index, average_self_similarity,
    mean_feature_std, modality_gap,
};
use crate::eval::retrieval;

const TOLERANCE: f64 = 1e-4;

pub(super) fn check(path: &Path, _: &Device, report: &mut Report<'_>) -> Result<(), GoldenError> {
    let wanted: Value = read_json(path)?;
    let file = GoldenFile::open(&beside(path, ".json", ".safetensors"))?;
    let mut figures = retrieval_figures(&file)?;
    figures.extend(space_figures(&file)?);
    figures.extend(cluster_figures(&file)?);
    for (pointer, found) in figures {
        let value = wanted
            .pointer(pointer)
            .and_then(Value::as_f64)
            .ok_or_else(|| {
                GoldenError::format(path, format!("{pointer} is missing or no number"))
            })?;
        // Percentages and unbounded indices relative to their size, the others absolutely.
        let name = pointer.trim_start_matches('/');
        match value.abs() > 1.0 {
            true => report.relative(name, found, value, TOLERANCE),
            false => report.absolute(name, found, value, TOLERANCE),
        }
    }
    Ok(())
}

type Figures = Vec<(&'static str, f64)>;

fn retrieval_figures(file: &GoldenFile) -> Result<Figures, GoldenError> {
    let [_, dim] = file.matrix_shape("image_features")?;
    let scores = retrieval(
        &file.f32("image_features")?,
        &file.f32("text_features")?,
        dim,
        &file.labels("text_to_image")?,
        &|_, _| true,
    )
    .map_err(|e| GoldenError::compute("retrieval", e))?;
    Ok(vec![
        ("/retrieval/image2text-R@1", scores.image_to_text.at_1),
        ("/retrieval/image2text-R@5", scores.image_to_text.at_5),
        ("/retrieval/image2text-R@10", scores.image_to_text.at_10),
        ("/retrieval/text2image-R@1", scores.text_to_image.at_1),
        ("/retrieval/text2image-R@5", scores.text_to_image.at_5),
        ("/retrieval/text2image-R@10", scores.text_to_image.at_10),
        ("/retrieval/mean-recall", scores.mean()),
    ])
}

fn space_figures(file: &GoldenFile) -> Result<Figures, GoldenError> {
    let [_, dim] = file.matrix_shape("image_features")?;
    let image = file.f32("image_features")?;
    let text = file.f32("first_text_per_image")?;
    let figures = [
        ("/modality_gap", modality_gap(&image, &text, dim)),
        (
            "/image_avg_self_similarity",
            average_self_similarity(&image, dim),
        ),
        (
            "/text_avg_self_similarity",
            average_self_similarity(&text, dim),
        ),
        ("/image_feature_std", mean_feature_std(&image, dim)),
        ("/text_feature_std", mean_feature_std(&text, dim)),
    ];
    let figures = figures.into_iter().map(|(name, value)| {
        let value = value.map_err(|e| GoldenError::compute(name, e))?;
        Ok((name, value))
    });
    figures.collect()
}

fn cluster_figures(file: &GoldenFile) -> Result<Figures, GoldenError> {
    let failed = |e| GoldenError::compute("cluster figures", e);
    let (a, b) = (file.labels("labels_a")?, file.labels("labels_b")?);
    let features = file.f32("cluster_features")?;
    let [_, dim] = file.matrix_shape("cluster_features")?;
    let labelled = LabelledFeatures::new(&features, dim, &a).map_err(failed)?;
    Ok(vec![
        (
            "/adjusted_rand_index",
            adjusted_rand_index(&a, &b).map_err(failed)?,
        ),
        (
            "/adjusted_mutual_information",
            adjusted_mutual_information(&a, &b).map_err(failed)?,
        ),
        ("/silhouette", labelled.silhouette(0).map_err(failed)?),
        ("/davies_bouldin", labelled.davies_bouldin()),
        ("/calinski_harabasz", labelled.calinski_harabasz()),
    ])
}
