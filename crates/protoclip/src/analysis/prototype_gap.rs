//! The modality gap inside each prototype.

use serde::Serialize;

use super::AnalysisError;
use super::error::{checked_aligned, checked_rows};

/// The gap between the pictures and the captions of one prototype's samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct PrototypeGap {
    /// Samples measured.
    pub samples: usize,
    /// ‖mean image feature − mean text feature‖ of its samples; 0 without any.
    pub gap: f64,
    /// Cosine between its own difference of means and that of all samples, in [−1, 1]: 1 when the
    /// gap points where it points everywhere. 0 where either is zero.
    pub alignment: f64,
    /// Mean cosine of its pictures with their own captions.
    pub matched_cosine: f64,
}

/// Gaps of prototypes 0 to `count` − 1, from L2-normalised `image_features` and `text_features`
/// `[n, dim]`, row i of both from sample i, which belongs to prototype `assignments[i]`.
///
/// # Errors
/// When shapes do not fit, a feature is not finite, or an assignment is not below `count`.
pub fn prototype_gaps(
    image_features: &[f32],
    text_features: &[f32],
    dim: usize,
    assignments: &[u32],
    count: usize,
) -> Result<Vec<PrototypeGap>, AnalysisError> {
    let rows = checked_rows("image feature", image_features, dim)?;
    let texts = checked_rows("text feature", text_features, dim)?;
    checked_aligned(("image_features", rows), ("text_features", texts))?;
    checked_aligned(("image_features", rows), ("assignments", assignments.len()))?;
    if let Some(&label) = assignments.iter().find(|&&a| a as usize >= count) {
        return Err(AnalysisError::Label {
            label,
            classes: count,
        });
    }
    let mut differences = vec![0.0f64; count * dim];
    let mut whole = vec![0.0f64; dim];
    let mut gaps = vec![PrototypeGap::default(); count];
    let pairs = image_features
        .chunks_exact(dim)
        .zip(text_features.chunks_exact(dim));
    for ((image, text), &prototype) in pairs.zip(assignments) {
        let prototype = prototype as usize;
        let difference = &mut differences[prototype * dim..][..dim];
        for (((sum, whole), &x), &y) in difference.iter_mut().zip(&mut whole).zip(image).zip(text) {
            let apart = f64::from(x) - f64::from(y);
            *sum += apart;
            *whole += apart;
        }
        let product = |(&x, &y): (&f32, &f32)| f64::from(x) * f64::from(y);
        gaps[prototype].samples += 1;
        gaps[prototype].matched_cosine += image.iter().zip(text).map(product).sum::<f64>();
    }
    let whole_length = length(&whole);
    for (gap, difference) in gaps.iter_mut().zip(differences.chunks_exact(dim)) {
        let own_length = length(difference);
        let both = own_length * whole_length;
        let product: f64 = difference.iter().zip(&whole).map(|(a, b)| a * b).sum();
        let samples = gap.samples.max(1) as f64;
        gap.gap = own_length / samples;
        gap.alignment = if both > 0.0 { product / both } else { 0.0 };
        gap.matched_cosine /= samples;
    }
    Ok(gaps)
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::modality_gap;

    #[test]
    fn each_prototype_has_the_gap_of_its_own_samples() {
        let image = [1.0, 0.0, 0.6, 0.8, 0.0, 1.0];
        let text = [0.6, 0.8, 0.6, 0.8, 0.0, -1.0];
        let gaps = prototype_gaps(&image, &text, 2, &[0, 0, 2], 3).expect("measured");
        let first = modality_gap(&image[..4], &text[..4], 2).expect("measured");
        assert!((gaps[0].gap - first).abs() < 1e-9);
        assert!((gaps[0].matched_cosine - 0.8).abs() < 1e-6);
        assert_eq!(gaps[1], PrototypeGap::default());
        assert!((gaps[2].gap - 2.0).abs() < 1e-9);
        assert!((gaps[2].matched_cosine + 1.0).abs() < 1e-9);
        assert_eq!(gaps.iter().map(|g| g.samples).sum::<usize>(), 3);
    }

    /// Texts are images moved by one vector: every gap points the same way.
    #[test]
    fn a_common_offset_aligns_all_gaps() {
        let image: Vec<f32> = (0..40).map(|i| ((i * 7) % 11) as f32 / 11.0).collect();
        let text: Vec<f32> = image
            .iter()
            .enumerate()
            .map(|(i, v)| v + (i % 4) as f32)
            .collect();
        let assignments: Vec<u32> = (0..10).map(|i| i % 3).collect();
        for gap in prototype_gaps(&image, &text, 4, &assignments, 3).expect("measured") {
            assert!((gap.alignment - 1.0).abs() < 1e-6, "{gap:?}");
            assert!((gap.gap - 14f64.sqrt()).abs() < 1e-5, "{gap:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let run = |text: &[f32], of: &[u32]| {
            prototype_gaps(&[1.0, 0.0], text, 1, of, 1).expect_err("refused")
        };
        assert!(matches!(run(&[1.0], &[0, 0]), AnalysisError::Length { .. }));
        assert!(matches!(
            run(&[1.0, 1.0], &[0]),
            AnalysisError::Length { .. }
        ));
        assert!(matches!(
            run(&[1.0, 1.0], &[0, 1]),
            AnalysisError::Label { .. }
        ));
    }
}
