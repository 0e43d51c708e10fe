//! Features of an episode's samples: evaluation mode, evaluation transform, no gradients.
//!
//! Port note: the reference extracts with the training transform (oddity 5 of the method); the
//! corrected default uses the evaluation transform. The caller's batches decide, this module runs them.

use burn::tensor::{Device, Tensor};

use super::TrainError;
use super::tensors::{image_tensor, token_tensor};
use crate::data::{Batches, SampleId};
use crate::model::{Clip, l2_normalize};

/// L2-normalised features, row-major, aligned with `samples`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EpisodeFeatures {
    /// Samples of the rows; broken pictures were replaced by other samples of the episode.
    pub samples: Vec<SampleId>,
    /// `ẑI`, `[n, embed_dim]`.
    pub image: Matrix,
    /// `ẑT`, `[n, embed_dim]`.
    pub text: Matrix,
    /// `ĥI`, `[n, projection_dim]`; empty for a run without projection heads in use.
    pub projected_image: Matrix,
    /// `ĥT`, `[n, projection_dim]`.
    pub projected_text: Matrix,
    /// What was wrong with the pictures that had to be replaced.
    pub broken: Vec<String>,
}

/// Rows of equal length in one allocation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matrix {
    pub dim: usize,
    /// `[rows, dim]`, row-major.
    pub values: Vec<f32>,
}

impl Matrix {
    fn append(&mut self, rows: Tensor<2>) -> Result<(), TrainError> {
        self.dim = rows.dims()[1];
        let values = rows
            .into_data()
            .try_into_vec::<f32>()
            .map_err(|e| TrainError::Other(format!("reading features back: {e:?}")))?;
        self.values.extend_from_slice(&values);
        Ok(())
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.dim).unwrap_or(0)
    }

    /// One row, `[dim]`.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..(index + 1) * self.dim]
    }
}

/// Runs `model` (already without autodiff) over all batches. `progress` is told the number of
/// samples done and cancels by returning `false`.
///
/// # Errors
/// When the data cannot be read; `Ok(None)` when cancelled.
pub fn extract_features(
    model: &Clip,
    batches: &mut Batches,
    with_projection: bool,
    device: &Device,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<EpisodeFeatures>, TrainError> {
    let mut features = EpisodeFeatures::default();
    for batch in batches {
        let batch = batch?;
        let image = model.encode_image(image_tensor(&batch, device));
        let text = model.encode_text(token_tensor(&batch, device));
        if with_projection {
            let projected_image = model.project_image(image.clone());
            let projected_text = model.project_text(text.clone());
            features
                .projected_image
                .append(l2_normalize(projected_image))?;
            features
                .projected_text
                .append(l2_normalize(projected_text))?;
        }
        features.image.append(l2_normalize(image))?;
        features.text.append(l2_normalize(text))?;
        features.samples.extend_from_slice(&batch.samples);
        features
            .broken
            .extend(batch.replaced.into_iter().map(|r| r.reason));
        if !progress(features.samples.len()) {
            return Ok(None);
        }
    }
    Ok(Some(features))
}
