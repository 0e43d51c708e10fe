//! The similarities of one batch, and which of its pairs InfoNCE pushes apart.
//!
//! The gradient of InfoNCE (method, loss 1) by the logit of image i and text j ≠ i is
//! `(p_ij + q_ij) / 2B`, with p the softmax over row i and q that over column j. Divided by its sum
//! over all unmatched pairs it says where the batch pushes: on strangers, or on pairs of one prototype.

use super::AnalysisError;
use super::error::{checked_aligned, checked_rows};

/// All pairs of a batch of `size` images with its texts.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchPairs {
    pub size: usize,
    /// `[size, size]`: inner product of image i and text j.
    pub cosines: Vec<f32>,
    /// `[size, size]`: share of all pushes; 0 on the diagonal, 1 in sum unless there is nothing to push.
    pub repulsion: Vec<f32>,
}

/// Pairs of one prototype among the unmatched pairs of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SamePrototype {
    /// Percent of the unmatched pairs whose image and text belong to one prototype.
    pub pairs_percent: f64,
    /// Percent of InfoNCE's pushes that fall on them.
    pub repulsion_percent: f64,
}

impl BatchPairs {
    /// Pairs of L2-normalised features `[size, dim]`, row i of both from pair i, under `scale`, the
    /// exponential of `logit_scale`.
    ///
    /// # Errors
    /// When shapes do not fit or a feature is not finite.
    pub fn of(
        image_features: &[f32],
        text_features: &[f32],
        dim: usize,
        scale: f64,
    ) -> Result<Self, AnalysisError> {
        let size = checked_rows("image feature", image_features, dim)?;
        let texts = checked_rows("text feature", text_features, dim)?;
        checked_aligned(("image_features", size), ("text_features", texts))?;
        let mut cosines = Vec::with_capacity(size * size);
        for image in image_features.chunks_exact(dim) {
            let product = |text: &[f32]| image.iter().zip(text).map(|(a, b)| a * b).sum::<f32>();
            cosines.extend(text_features.chunks_exact(dim).map(product));
        }
        let repulsion = pushes(&cosines, size, scale);
        Ok(Self {
            size,
            cosines,
            repulsion,
        })
    }

    /// What falls on pairs of one prototype; `labels` `[size]` names that of each pair.
    ///
    /// # Errors
    /// When there is not one label per pair.
    pub fn same_prototype(&self, labels: &[u32]) -> Result<SamePrototype, AnalysisError> {
        checked_aligned(("pairs", self.size), ("labels", labels.len()))?;
        let mut repulsion = 0.0;
        for (row, shares) in self.repulsion.chunks_exact(self.size).enumerate() {
            let same = shares
                .iter()
                .zip(labels)
                .filter(|(_, l)| **l == labels[row]);
            repulsion += same.map(|(share, _)| f64::from(*share)).sum::<f64>();
        }
        Ok(SamePrototype {
            pairs_percent: same_prototype_percent(labels),
            repulsion_percent: 100.0 * repulsion,
        })
    }
}

/// Percent of the ordered pairs i ≠ j whose labels are equal; 0 for fewer than two labels.
pub fn same_prototype_percent(labels: &[u32]) -> f64 {
    let mut sorted = labels.to_vec();
    sorted.sort_unstable();
    let same: usize = sorted
        .chunk_by(|a, b| a == b)
        .map(|group| group.len() * (group.len() - 1))
        .sum();
    let all = labels.len() * labels.len().saturating_sub(1);
    100.0 * same as f64 / all.max(1) as f64
}

fn pushes(cosines: &[f32], size: usize, scale: f64) -> Vec<f32> {
    let mut pushes = vec![0.0f64; size * size];
    let mut add = |cells: &[usize]| {
        let logit = |&cell: &usize| scale * f64::from(cosines[cell]);
        let most = cells.iter().map(logit).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = cells.iter().map(|cell| (logit(cell) - most).exp()).sum();
        for cell in cells {
            pushes[*cell] += (logit(cell) - most).exp() / sum;
        }
    };
    for place in 0..size {
        add(&(0..size)
            .map(|other| place * size + other)
            .collect::<Vec<_>>());
        add(&(0..size)
            .map(|other| other * size + place)
            .collect::<Vec<_>>());
    }
    for place in 0..size {
        pushes[place * size + place] = 0.0;
    }
    let all: f64 = pushes.iter().sum();
    let all = if all > 0.0 { all } else { 1.0 };
    pushes.into_iter().map(|push| (push / all) as f32).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::loss::clip::clip_loss;
    use crate::loss::repulsion::Repulsion;

    const SIZE: usize = 7;
    const DIM: usize = 4;
    const SCALE: f64 = 6.0;
    const LABELS: [u32; SIZE] = [3, 0, 3, 1, 0, 3, 2];

    fn features(seed: u64) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..SIZE * DIM)
            .map(|_| random.random_range(-1.0..1.0))
            .collect()
    }

    fn tensor(values: Vec<f32>, columns: usize, device: &Device) -> Tensor<2> {
        let rows = values.len() / columns;
        Tensor::from_data(TensorData::new(values, [rows, columns]), device)
    }

    fn mask(keep: impl Fn(usize, usize) -> bool) -> Vec<f32> {
        let cell = |i: usize| f32::from(u8::from(keep(i / SIZE, i % SIZE)));
        (0..SIZE * SIZE).map(cell).collect()
    }

    #[test]
    fn pushes_are_the_gradient_of_infonce() {
        let (image, text) = (features(1), features(2));
        let pairs = BatchPairs::of(&image, &text, DIM, SCALE).expect("measured");
        // With text features = identity, image features are the logits themselves.
        let device = Device::flex().autodiff();
        let cosines = tensor(pairs.cosines.clone(), SIZE, &device).require_grad();
        let identity = tensor(mask(|i, j| i == j), SIZE, &device);
        let scale = Tensor::from_floats([SCALE as f32], &device);
        let gradients = clip_loss(cosines.clone(), identity, scale).backward();
        let gradient = cosines.grad(&gradients).expect("tracked").into_data();
        let gradient: Vec<f32> = gradient.try_into_vec().expect("floats");
        let off = |i: usize| i / SIZE != i % SIZE;
        let all: f32 = (0..SIZE * SIZE)
            .filter(|&i| off(i))
            .map(|i| gradient[i])
            .sum();
        for i in (0..SIZE * SIZE).filter(|&i| off(i)) {
            let (got, want) = (pairs.repulsion[i], gradient[i] / all);
            assert!((got - want).abs() < 1e-5, "{i}: {got} {want}");
        }
        assert!((pairs.repulsion.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn shares_are_those_that_training_reports() {
        let (image, text) = (features(3), features(4));
        let pairs = BatchPairs::of(&image, &text, DIM, SCALE).expect("measured");
        let found = pairs.same_prototype(&LABELS).expect("aligned");
        let device = Device::flex();
        let unmatched = tensor(mask(|i, j| i != j), SIZE, &device);
        let same = tensor(mask(|i, j| i != j && LABELS[i] == LABELS[j]), SIZE, &device);
        let scale = Tensor::from_floats([SCALE as f32], &device);
        let (image, text) = (tensor(image, DIM, &device), tensor(text, DIM, &device));
        let trained = Repulsion::of(image, text, scale, unmatched).percent_on(same);
        let trained = f64::from(trained.into_scalar::<f32>());
        assert!(
            (found.repulsion_percent - trained).abs() < 1e-3,
            "{found:?} {trained}"
        );
        // Of 42 ordered pairs, three of label 3 give 6 and two of label 0 give 2.
        assert!((found.pairs_percent - 100.0 * 8.0 / 42.0).abs() < 1e-9);
    }

    #[test]
    fn equal_features_are_pushed_evenly() {
        let pairs = BatchPairs::of(&[0.6, 0.8, 0.6, 0.8], &[1.0, 0.0, 1.0, 0.0], 2, 10.0);
        let pairs = pairs.expect("measured");
        assert_eq!(pairs.repulsion, [0.0, 0.5, 0.5, 0.0]);
        assert_eq!(
            pairs
                .same_prototype(&[1, 1])
                .expect("aligned")
                .repulsion_percent,
            100.0
        );
        assert!(pairs.same_prototype(&[1]).is_err());
        assert_eq!(same_prototype_percent(&[]), 0.0);
    }
}
