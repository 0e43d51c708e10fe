//! How far apart, and how spread out, the features of two modalities are.
//!
//! All rows are L2-normalised features (`image_features`, `text_features`).

use rayon::prelude::*;

use super::AnalysisError;
use super::error::checked_rows;
use crate::kernels::distance::{Panels, Queries, for_each_tile};

/// Rows whose similarities one task computes.
const BLOCK: usize = 96;

/// ‖mean image feature − mean text feature‖ of `[n, dim]` and `[m, dim]`.
///
/// # Errors
/// When a side is empty, has another dimension, or holds a number that is not finite.
pub fn modality_gap(
    image_features: &[f32],
    text_features: &[f32],
    dim: usize,
) -> Result<f64, AnalysisError> {
    checked_rows("image feature", image_features, dim)?;
    checked_rows("text feature", text_features, dim)?;
    let square: f64 = column_means(image_features, dim)
        .into_iter()
        .zip(column_means(text_features, dim))
        .map(|(image, text)| (image - text).powi(2))
        .sum();
    Ok(square.sqrt())
}

/// Mean of the POSITIVE cosines between all pairs of rows `[n, dim]`, each row with itself included,
/// as the reference counts them. Takes O(n²·dim) time; give it a sample of a large set.
///
/// # Errors
/// When there is no row, or a number is not finite.
pub fn average_self_similarity(features: &[f32], dim: usize) -> Result<f64, AnalysisError> {
    checked_rows("feature", features, dim)?;
    let origin = vec![0.0; dim];
    let panels = Panels::products(features, dim, &origin);
    let blocks: Vec<(f64, u64)> = features
        .par_chunks(BLOCK * dim)
        .map(|rows| {
            let (mut sum, mut count) = (0.0f64, 0u64);
            for_each_tile(
                &Queries::pack(rows, dim, &origin),
                &panels,
                |_, _, cosines| {
                    let positive: f32 = cosines.iter().map(|c| c.max(0.0)).sum();
                    sum += f64::from(positive);
                    count += cosines.iter().map(|&c| u64::from(c > 0.0)).sum::<u64>();
                },
            );
            (sum, count)
        })
        .collect();
    let (sum, count) = blocks
        .into_iter()
        .fold((0.0, 0), |(s, c), (sum, count)| (s + sum, c + count));
    // Zero rows only: nothing is similar.
    Ok(if count == 0 { 0.0 } else { sum / count as f64 })
}

/// Mean over dimensions of the standard deviation (n − 1) of rows `[n, dim]`; 0 for a single row.
/// Near 1/√dim when features fill the sphere, near 0 when they have collapsed.
///
/// # Errors
/// When there is no row, or a number is not finite.
pub fn mean_feature_std(features: &[f32], dim: usize) -> Result<f64, AnalysisError> {
    let rows = checked_rows("feature", features, dim)?;
    let means = column_means(features, dim);
    let mut squares = vec![0.0f64; dim];
    for row in features.chunks_exact(dim) {
        for ((square, &value), mean) in squares.iter_mut().zip(row).zip(&means) {
            *square += (f64::from(value) - mean).powi(2);
        }
    }
    let freedom = rows.saturating_sub(1).max(1) as f64;
    let total: f64 = squares.iter().map(|square| (square / freedom).sqrt()).sum();
    Ok(total / dim as f64)
}

/// Mean of each column of rows `[n, dim]`, n > 0.
pub(super) fn column_means(rows: &[f32], dim: usize) -> Vec<f64> {
    let mut sums = vec![0.0f64; dim];
    for row in rows.chunks_exact(dim) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    let count = (rows.len() / dim) as f64;
    sums.into_iter().map(|sum| sum / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_cosines_do_not_count() {
        let rows = [1.0, 0.0, -1.0, 0.0, 0.6, 0.8];
        // Positive: three with themselves, and 0.6 twice.
        let got = average_self_similarity(&rows, 2).expect("measured");
        assert!((got - (3.0 + 1.2) / 5.0).abs() < 1e-6, "{got}");
        assert_eq!(average_self_similarity(&[0.0, 0.0], 2), Ok(0.0));
    }

    #[test]
    fn similarity_of_several_blocks_is_that_of_the_definition() {
        let rows: Vec<f32> = (0..250 * 3)
            .map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0)
            .collect();
        let (mut sum, mut count) = (0.0, 0.0);
        for a in rows.chunks_exact(3) {
            for b in rows.chunks_exact(3) {
                let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                if cosine > 1e-6 {
                    sum += f64::from(cosine);
                    count += 1.0;
                }
            }
        }
        let got = average_self_similarity(&rows, 3).expect("measured");
        assert!((got - sum / count).abs() < 1e-4, "{got} {}", sum / count);
    }

    #[test]
    fn a_bad_row_is_named() {
        let message = modality_gap(&[0.0, 1.0], &[0.0, 1.0, f32::NAN, 1.0], 2)
            .expect_err("NaN")
            .to_string();
        assert!(message.contains("text feature, row 1"), "{message}");
        assert_eq!(mean_feature_std(&[], 4), Err(AnalysisError::Empty));
        assert!(matches!(
            mean_feature_std(&[1.0; 3], 2),
            Err(AnalysisError::Shape { .. })
        ));
        assert_eq!(mean_feature_std(&[1.0; 2], 2), Ok(0.0));
    }
}
