//! Moving two modalities together or apart along the line between their means.
//!
//! Liang et al., "Mind the Gap" (NeurIPS 2022), section 5: with Δ = mean image − mean text, every
//! image feature becomes `normalise(x − λΔ)` and every text feature `normalise(y + λΔ)`. λ = 0
//! changes nothing, λ = ½ lets the means meet before the rows are brought back to length 1, λ = 1
//! exchanges the sides, and a negative λ widens the gap. How samples are grouped INSIDE a modality
//! hardly changes, so that what does change is owed to the gap.

use rayon::prelude::*;

use super::AnalysisError;
use super::error::checked_rows;
use super::modality_gap::column_means;

/// The line between the means of two modalities.
#[derive(Debug, Clone, PartialEq)]
pub struct GapShift {
    /// `[dim]`: mean image feature − mean text feature.
    direction: Vec<f64>,
}

impl GapShift {
    /// The line between L2-normalised features `[n, dim]` and `[m, dim]`.
    ///
    /// # Errors
    /// When a side is empty, has another dimension, or holds a number that is not finite.
    pub fn between(
        image_features: &[f32],
        text_features: &[f32],
        dim: usize,
    ) -> Result<Self, AnalysisError> {
        checked_rows("image feature", image_features, dim)?;
        checked_rows("text feature", text_features, dim)?;
        let texts = column_means(text_features, dim);
        let direction = column_means(image_features, dim)
            .into_iter()
            .zip(texts)
            .map(|(image, text)| image - text)
            .collect();
        Ok(Self { direction })
    }

    /// ‖Δ‖, the modality gap before any shift.
    pub fn length(&self) -> f64 {
        self.direction.iter().map(|d| d * d).sum::<f64>().sqrt()
    }

    /// Δ, `[dim]`.
    pub fn direction(&self) -> &[f64] {
        &self.direction
    }

    /// Image features `[n, dim]` after the shift by `lambda`, of length 1.
    pub fn images(&self, rows: &[f32], lambda: f64) -> Vec<f32> {
        self.moved(rows, -lambda)
    }

    /// Text features `[n, dim]` after the shift by `lambda`, of length 1.
    pub fn texts(&self, rows: &[f32], lambda: f64) -> Vec<f32> {
        self.moved(rows, lambda)
    }

    /// `normalise(row + factor·Δ)`; a row that this makes zero stays zero.
    fn moved(&self, rows: &[f32], factor: f64) -> Vec<f32> {
        if factor == 0.0 {
            return rows.to_vec();
        }
        let offset: Vec<f32> = self.direction.iter().map(|d| (factor * d) as f32).collect();
        let mut moved = rows.to_vec();
        moved.par_chunks_mut(offset.len()).for_each(|row| {
            for (value, offset) in row.iter_mut().zip(&offset) {
                *value += offset;
            }
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            if length > 0.0 {
                for value in row {
                    *value /= length;
                }
            }
        });
        moved
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::modality_gap;

    fn normalised(values: &[f32], dim: usize) -> Vec<f32> {
        let mut rows = values.to_vec();
        for row in rows.chunks_exact_mut(dim) {
            row[0] += 2.0;
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.iter_mut().for_each(|v| *v /= length);
        }
        rows
    }

    #[test]
    fn nothing_moves_at_zero_and_the_sides_of_two_points_meet_at_one_half() {
        let (image, text) = ([0.6, 0.8], [0.6, -0.8]);
        let shift = GapShift::between(&image, &text, 2).expect("finite");
        assert!((shift.length() - 1.6).abs() < 1e-6);
        assert_eq!(shift.images(&image, 0.0), image);
        assert_eq!(shift.texts(&text, 0.0), text);
        for rows in [shift.images(&image, 0.5), shift.texts(&text, 0.5)] {
            assert!(
                (rows[0] - 1.0).abs() < 1e-6 && rows[1].abs() < 1e-6,
                "{rows:?}"
            );
        }
        let swapped = shift.images(&image, 1.0);
        assert!((swapped[1] + 0.8).abs() < 1e-6, "{swapped:?}");
    }

    #[test]
    fn a_row_that_the_shift_makes_zero_stays_finite() {
        let shift = GapShift::between(&[1.0, 0.0], &[-1.0, 0.0], 2).expect("finite");
        assert_eq!(shift.images(&[1.0, 0.0], 0.5), [0.0, 0.0]);
    }

    #[test]
    fn bad_rows_are_refused() {
        assert_eq!(GapShift::between(&[], &[1.0], 1), Err(AnalysisError::Empty));
        assert!(GapShift::between(&[f32::NAN], &[1.0], 1).is_err());
    }

    proptest! {
        /// Towards one half the gap shrinks, below zero it grows, and every row keeps length 1.
        #[test]
        fn the_gap_follows_lambda(values in prop::collection::vec(-0.5f32..0.5, 2 * 12 * 4)) {
            let dim = 4;
            let (image, text) = values.split_at(12 * dim);
            let image = normalised(image, dim);
            let mut text = normalised(text, dim);
            text.iter_mut().skip(1).step_by(dim).for_each(|v| *v += 1.0);
            let text = normalised(&text, dim);
            let shift = GapShift::between(&image, &text, dim).expect("finite");
            let at = |lambda: f64| {
                let (image, text) = (shift.images(&image, lambda), shift.texts(&text, lambda));
                for row in image.chunks_exact(dim).chain(text.chunks_exact(dim)) {
                    let length = row.iter().map(|v| v * v).sum::<f32>();
                    assert!((length - 1.0).abs() < 1e-4, "{length}");
                }
                modality_gap(&image, &text, dim).expect("finite")
            };
            prop_assert!((at(0.0) - shift.length()).abs() < 1e-5);
            prop_assert!(at(-0.5) > at(0.0));
            prop_assert!(at(0.25) < at(0.0));
            prop_assert!(at(0.5) < 0.35 * at(0.0), "{} {}", at(0.5), at(0.0));
        }
    }
}
