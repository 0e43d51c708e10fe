//! One episode's features as a file: what the maps of both spaces and the gap are computed from.
//!
//! Written by the trainer beside the prototypes, read by any thread of the studio. Plain vectors, no
//! tensors. Values are rounded to 16-bit floats, and a bounded number of rows is kept: the first ones,
//! which are a random part of the episode because its order is drawn at random.

use std::path::Path;

use crate::data::SampleId;
use crate::tensor_file::{TensorFileError, TensorFileReader, TensorFileWriter};

/// Bytes that the features of one kind of one modality may take in a file.
const BUDGET: usize = 64 << 20;

/// L2-normalised features of one kind, of both modalities.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeaturePair {
    pub dim: usize,
    /// `[rows, dim]`, row-major.
    pub image: Vec<f32>,
    /// `[rows, dim]`, row-major.
    pub text: Vec<f32>,
}

/// Features of an episode's first samples, aligned with the prototype snapshot of the same step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureSnapshot {
    pub episode: u64,
    /// Optimizer steps taken when the features were extracted.
    pub step: u64,
    /// Samples of the rows of the clustered features; the tower features have as many rows or fewer.
    pub samples: Vec<SampleId>,
    /// Tower outputs `ẑ`; what zero-shot classification, retrieval and the modality gap look at.
    pub tower: FeaturePair,
    /// Projected features `ĥ`, which are clustered; absent in a run that trains no projection heads
    /// and clusters the tower features.
    pub projected: Option<FeaturePair>,
}

impl FeaturePair {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.image.len().checked_div(self.dim).unwrap_or(0)
    }

    /// The first rows that fit a file, of `image` and `text` `[n, dim]`.
    pub(crate) fn within_budget(dim: usize, image: &[f32], text: &[f32]) -> Self {
        let row = dim * size_of::<half::f16>();
        let rows = image.len().checked_div(dim).unwrap_or(0);
        let kept = rows.min(BUDGET.checked_div(row).unwrap_or(0)) * dim;
        Self {
            dim,
            image: image[..kept].to_vec(),
            text: text[..kept].to_vec(),
        }
    }

    fn add(&self, file: &mut TensorFileWriter, kind: &str) {
        let shape = vec![self.rows(), self.dim];
        file.f16(format!("{kind}.image"), shape.clone(), &self.image);
        file.f16(format!("{kind}.text"), shape, &self.text);
    }

    fn take(file: &TensorFileReader<'_>, kind: &str, samples: usize) -> Result<Self, String> {
        let (rows, dim, image) = file.f16_matrix(&format!("{kind}.image"))?;
        let (text_rows, text_dim, text) = file.f16_matrix(&format!("{kind}.text"))?;
        if (rows, dim) != (text_rows, text_dim) || rows > samples {
            return Err(format!("the {kind} features disagree in size"));
        }
        Ok(Self { dim, image, text })
    }
}

impl FeatureSnapshot {
    /// The features that were clustered: projected ones where the run has them.
    pub fn clustered(&self) -> &FeaturePair {
        self.projected.as_ref().unwrap_or(&self.tower)
    }

    /// Writes the snapshot so that a reader sees all of it or nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TensorFileError> {
        let mut file = TensorFileWriter::default();
        file.number("episode", self.episode);
        file.number("step", self.step);
        file.u32("samples".into(), &self.samples);
        self.tower.add(&mut file, "tower");
        if let Some(projected) = &self.projected {
            projected.add(&mut file, "projected");
        }
        file.write(path)
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// When the file is absent or its tensors disagree with each other.
    pub fn read(path: &Path) -> Result<Self, TensorFileError> {
        TensorFileReader::read(path, |file| {
            let samples = file.u32("samples")?;
            let projected = file
                .contains("projected.image")
                .then(|| FeaturePair::take(file, "projected", samples.len()))
                .transpose()?;
            let features = Self {
                episode: file.number("episode")?,
                step: file.number("step")?,
                tower: FeaturePair::take(file, "tower", samples.len())?,
                projected,
                samples,
            };
            match features.clustered().rows() == features.samples.len() {
                true => Ok(features),
                false => Err("there are not as many features as samples".into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(rows: usize, dim: usize) -> FeaturePair {
        let values = |from: usize| (0..rows * dim).map(move |i| ((i + from) % 7) as f32 / 8.0);
        FeaturePair {
            dim,
            image: values(0).collect(),
            text: values(3).collect(),
        }
    }

    #[test]
    fn what_is_written_reads_back_equal() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("f.safetensors");
        for projected in [Some(pair(5, 3)), None] {
            let written = FeatureSnapshot {
                episode: 2,
                step: 30,
                samples: vec![4, 0, 9, 2, 7],
                tower: pair(if projected.is_some() { 4 } else { 5 }, 6),
                projected,
            };
            written.write(&path).expect("writes");
            assert_eq!(FeatureSnapshot::read(&path).expect("reads"), written);
        }
    }

    #[test]
    fn sizes_that_disagree_are_an_error_naming_the_file() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("f.safetensors");
        let wrong = FeatureSnapshot {
            samples: vec![1, 2],
            tower: pair(3, 2),
            ..FeatureSnapshot::default()
        };
        wrong.write(&path).expect("writes");
        let message = FeatureSnapshot::read(&path).expect_err("wrong").to_string();
        assert!(
            message.contains("f.safetensors") && message.contains("tower"),
            "{message}"
        );
    }

    #[test]
    fn a_file_keeps_the_first_rows_that_fit() {
        let dim = 1 << 20;
        let rows = BUDGET / (2 * dim) + 3;
        let values = vec![0.5; rows * dim];
        let kept = FeaturePair::within_budget(dim, &values, &values);
        assert_eq!(kept.rows(), rows - 3);
        assert_eq!(FeaturePair::within_budget(0, &[], &[]).rows(), 0);
    }
}
