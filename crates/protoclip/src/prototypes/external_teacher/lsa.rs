//! Latent semantic analysis of captions: a TF-IDF sketch, reduced by PCA.

use linfa::DatasetBase;
use linfa::traits::{Fit, Predict};
use linfa_reduction::Pca;
use ndarray::{Array2, ArrayView1, Axis};
use rayon::prelude::*;

use super::tfidf::Vocabulary;

/// Least dimensions of a sketch, and its multiple of the reduced dimensions.
const LEAST_SKETCH: usize = 384;
const SKETCH_PER_DIM: usize = 3;
/// Least captions that the reduction is fitted on where there are as many, and their multiple of
/// the reduced dimensions. More change the found subspace little and take longer.
const LEAST_FITTED: usize = 2048;
const FITTED_PER_DIM: usize = 4;

/// linfa's PCA iterates until the residual of every eigenvector is below 1e-10, whatever the scale of
/// the data. With the sum of all squares scaled to this, that is a relative precision of 1e-5,
/// enough for a teacher and many times faster. Normalised features do not notice the scale.
const SCALED_SQUARES: f64 = 1e-5;

/// A fitted model, applicable to any caption.
#[derive(Debug)]
pub(super) struct Lsa {
    vocabulary: Vocabulary,
    pca: Pca<f64>,
    scale: f64,
    dim: usize,
}

impl Lsa {
    /// Fits vocabulary and reduction to `dim` dimensions on some captions.
    ///
    /// # Errors
    /// When there are fewer captions than dimensions, or they do not differ enough.
    pub(super) fn fit(captions: &[String], dim: usize) -> Result<Self, String> {
        if dim >= captions.len() {
            return Err(format!(
                "the lsa teacher needs more captions than dimensions; there are {} and teacher.dim is {dim}; lower it",
                captions.len()
            ));
        }
        let vocabulary = Vocabulary::fit(captions, LEAST_SKETCH.max(SKETCH_PER_DIM * dim));
        let fitted = evenly(captions, LEAST_FITTED.max(FITTED_PER_DIM * dim));
        let mut fitted = sketches(&vocabulary, &fitted);
        let scale = (SCALED_SQUARES / fitted.iter().map(|v| v * v).sum::<f64>().max(1.0)).sqrt();
        fitted *= scale;
        let pca = Pca::params(dim)
            .fit(&DatasetBase::from(fitted))
            .map_err(|e| format!("the captions cannot be reduced to {dim} dimensions: {e}"))?;
        let found = pca.components().nrows();
        if found < dim {
            return Err(format!(
                "the captions span only {found} dimensions, teacher.dim is {dim}; lower it"
            ));
        }
        Ok(Self {
            vocabulary,
            pca,
            scale,
            dim,
        })
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// `[captions, dim]`, L2-normalised rows.
    pub(super) fn features(&self, captions: &[String]) -> Vec<f32> {
        let sketches = sketches(&self.vocabulary, captions) * self.scale;
        let reduced = self.pca.predict(&sketches);
        let mut rows = Vec::with_capacity(captions.len() * self.dim);
        for row in reduced.rows() {
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            let scale = if norm > 0.0 { norm.recip() } else { 0.0 };
            rows.extend(row.iter().map(|v| (v * scale) as f32));
        }
        rows
    }
}

/// About `count` of the captions, evenly spaced: all when there are no more.
fn evenly(captions: &[String], count: usize) -> Vec<String> {
    let step = captions.len() as f64 / count.min(captions.len()).max(1) as f64;
    (0..count.min(captions.len()))
        .map(|index| captions[(index as f64 * step) as usize].clone())
        .collect()
}

/// `[captions, vocabulary.dim()]`.
fn sketches(vocabulary: &Vocabulary, captions: &[String]) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = captions
        .par_iter()
        .map(|caption| vocabulary.sketch(caption))
        .collect();
    let mut sketches = Array2::zeros((captions.len(), vocabulary.dim()));
    for (mut to, from) in sketches.axis_iter_mut(Axis(0)).zip(&rows) {
        to.assign(&ArrayView1::from(from));
    }
    sketches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{BuiltinSource, PairSource};

    fn captions() -> (Vec<String>, BuiltinSource) {
        let source = BuiltinSource::new();
        let captions = (0..source.len() as u32)
            .map(|sample| source.caption(sample).expect("caption"))
            .collect();
        (captions, source)
    }

    /// The sample nearest to `query` besides itself.
    fn nearest(rows: &[f32], dim: usize, query: usize) -> usize {
        let own = &rows[query * dim..][..dim];
        let score = |other: &[f32]| own.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
        rows.chunks_exact(dim)
            .map(score)
            .enumerate()
            .filter(|&(index, _)| index != query)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .expect("others")
            .0
    }

    #[test]
    fn neighbours_of_flags_are_flags_and_of_hearts_hearts() {
        let (captions, source) = captions();
        let rows = Lsa::fit(&captions, 64).expect("fits").features(&captions);
        assert_eq!(rows.len(), captions.len() * 64);
        let subgroups = &source.labels()[1];
        let share = |class_name: &str| {
            let class = subgroups
                .classes
                .iter()
                .position(|c| c == class_name)
                .expect("class") as u32;
            let members: Vec<usize> = (0..captions.len())
                .filter(|&i| subgroups.of_sample[i] == class)
                .collect();
            let alike = members
                .iter()
                .filter(|&&i| subgroups.of_sample[nearest(&rows, 64, i)] == class)
                .count();
            alike as f64 / members.len() as f64
        };
        assert!(share("country flag") > 0.95, "{}", share("country flag"));
        // By chance it would be 0.006.
        assert!(share("heart") > 0.3, "{}", share("heart"));
    }

    #[test]
    fn features_are_normalised_and_repeatable() {
        let (captions, _) = captions();
        let some = &captions[..300];
        let rows = Lsa::fit(some, 8).expect("fits").features(some);
        for row in rows.chunks_exact(8) {
            let norm: f32 = row.iter().map(|v| v * v).sum();
            assert!((norm - 1.0).abs() < 1e-4, "{norm}");
        }
        assert_eq!(rows, Lsa::fit(some, 8).expect("fits").features(some));
    }

    #[test]
    fn too_few_or_too_similar_captions_are_refused_with_the_fix() {
        let few: Vec<String> = (0..5).map(|i| format!("caption {i}")).collect();
        let message = Lsa::fit(&few, 5).expect_err("too few");
        assert!(message.contains("teacher.dim"), "{message}");
        let same = vec!["the same".to_owned(); 50];
        let message = Lsa::fit(&same, 8).expect_err("no variance");
        assert!(message.contains("teacher.dim"), "{message}");
    }

    #[test]
    fn small_sets_and_large_dimensions_work() {
        let (captions, _) = captions();
        for (count, dim) in [(30, 8), (40, 20), (700, 150)] {
            let some = &captions[..count];
            let rows = Lsa::fit(some, dim).expect("fits").features(some);
            assert!(rows.iter().all(|v| v.is_finite()), "{count} × {dim}");
        }
    }
}
