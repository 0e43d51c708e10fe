//! Zero-shot classification: which class description is most similar to a picture?

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::best_matches::BestMatches;
use crate::analysis::AnalysisError;
use crate::analysis::error::{checked_aligned, checked_rows};
use crate::kernels::distance::{Panels, Queries, for_each_tile};

/// Pictures that one task ranks.
const BLOCK: usize = 96;

/// How often the right class is the best, or among the best five.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZeroShotScores {
    /// Percent of the pictures whose own class is the most similar.
    pub top1: f64,
    /// Percent of the pictures whose own class is among the five most similar.
    pub top5: f64,
    /// Mean over the classes that have a picture of the percent found among its own.
    pub mean_per_class_recall: f64,
    /// Number of classes to choose from.
    pub classes: usize,
    /// Number of pictures.
    pub pictures: usize,
    /// How often each pair occurred, by class and prediction; pairs that never did are left out.
    pub confusion: Vec<Confusion>,
}

/// Pictures of one class that were taken for one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    pub class: u32,
    pub predicted: u32,
    pub count: u32,
}

/// Embeddings of classes: the normalised mean of their prompts' normalised features.
///
/// `prompts` `[classes · per_class, dim]` are L2-normalised, all prompts of one class together. A class
/// whose prompts cancel out gets a zero row. Result `[classes, dim]`.
///
/// # Errors
/// When the shape does not fit, or a feature is not finite.
pub fn class_embeddings(
    prompts: &[f32],
    dim: usize,
    per_class: usize,
) -> Result<Vec<f32>, AnalysisError> {
    let rows = checked_rows("prompt feature", prompts, dim)?;
    if per_class == 0 || !rows.is_multiple_of(per_class) {
        return Err(AnalysisError::Shape {
            name: "prompt feature",
            values: prompts.len(),
            dim: dim * per_class,
        });
    }
    let embeddings = prompts.chunks_exact(per_class * dim).flat_map(|class| {
        let mut sum = vec![0.0f64; dim];
        for prompt in class.chunks_exact(dim) {
            for (sum, &value) in sum.iter_mut().zip(prompt) {
                *sum += f64::from(value);
            }
        }
        let length = sum.iter().map(|v| v * v).sum::<f64>().sqrt();
        let scale = if length > 1e-12 { 1.0 / length } else { 0.0 };
        sum.into_iter().map(move |v| (v * scale) as f32)
    });
    Ok(embeddings.collect())
}

/// Classifies pictures by the inner product of their L2-normalised `image_features` `[n, dim]` with
/// `class_embeddings` `[classes, dim]`. `labels` `[n]` are the true classes. At equal similarity the
/// class with the lower number comes first.
///
/// # Errors
/// When shapes or labels do not fit, there is no picture, or a feature is not finite.
pub fn zero_shot(
    image_features: &[f32],
    dim: usize,
    labels: &[u32],
    class_embeddings: &[f32],
) -> Result<ZeroShotScores, AnalysisError> {
    let pictures = checked_rows("image feature", image_features, dim)?;
    let classes = checked_rows("class embedding", class_embeddings, dim)?;
    checked_aligned(("image_features", pictures), ("labels", labels.len()))?;
    if let Some(&label) = labels.iter().find(|&&label| label as usize >= classes) {
        return Err(AnalysisError::Label { label, classes });
    }
    let ranks = ranked_classes(image_features, dim, class_embeddings);
    let place = |(ranked, &label): (&Vec<u32>, &u32)| ranked.iter().position(|&c| c == label);
    let places: Vec<Option<usize>> = ranks.iter().zip(labels).map(place).collect();
    let percent = |found: usize| 100.0 * found as f64 / pictures as f64;
    let within = |limit| places.iter().flatten().filter(|&&p| p < limit).count();
    let predicted: Vec<u32> = ranks
        .iter()
        .map(|r| r.first().copied().unwrap_or(0))
        .collect();
    Ok(ZeroShotScores {
        top1: percent(within(1)),
        top5: percent(within(5)),
        mean_per_class_recall: mean_per_class_recall(labels, &predicted, classes),
        classes,
        pictures,
        confusion: confusion(labels, &predicted),
    })
}

/// The most similar classes of every picture, best first.
fn ranked_classes(image_features: &[f32], dim: usize, class_embeddings: &[f32]) -> Vec<Vec<u32>> {
    let origin = vec![0.0; dim];
    let panels = Panels::products(class_embeddings, dim, &origin);
    image_features
        .par_chunks(BLOCK * dim)
        .flat_map_iter(|rows| {
            let mut best = vec![BestMatches::default(); rows.len() / dim];
            for_each_tile(
                &Queries::pack(rows, dim, &origin),
                &panels,
                |row, first, scores| best[row].offer(first, scores),
            );
            best.into_iter()
                .map(|best| best.ranked().map(|class| class as u32).collect())
        })
        .collect()
}

/// Mean over the classes that occur in `labels` of the percent predicted right.
pub(super) fn mean_per_class_recall(labels: &[u32], predicted: &[u32], classes: usize) -> f64 {
    let (mut found, mut all) = (vec![0u64; classes], vec![0u64; classes]);
    for (&label, &predicted) in labels.iter().zip(predicted) {
        all[label as usize] += 1;
        found[label as usize] += u64::from(label == predicted);
    }
    let recalls = found.iter().zip(&all).filter(|(_, all)| **all > 0);
    let (sum, count) = recalls.fold((0.0, 0.0), |(sum, count), (&found, &all)| {
        (sum + found as f64 / all as f64, count + 1.0)
    });
    100.0 * sum / count
}

fn confusion(labels: &[u32], predicted: &[u32]) -> Vec<Confusion> {
    let mut pairs: Vec<(u32, u32)> = labels
        .iter()
        .copied()
        .zip(predicted.iter().copied())
        .collect();
    pairs.sort_unstable();
    pairs
        .chunk_by(|a, b| a == b)
        .map(|same| Confusion {
            class: same[0].0,
            predicted: same[0].1,
            count: same.len() as u32,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Four classes on the circle, one embedding a quarter turn.
    const CLASSES: [f32; 8] = [1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0];

    #[test]
    fn scores_worked_out_by_hand() {
        // Nearest: 0, 0, 1, 2, 3.
        let images = [1.0, 0.1, 0.9, -0.1, 0.1, 1.0, -1.0, 0.2, 0.2, -1.0];
        let scores = zero_shot(&images, 2, &[0, 1, 1, 2, 2], &CLASSES).expect("scored");
        assert_eq!((scores.top1, scores.top5), (60.0, 100.0));
        // Class 0: 1 of 1; class 1: 1 of 2; class 2: 1 of 2; class 3 has no picture.
        let mean = 100.0 * (1.0 + 0.5 + 0.5) / 3.0;
        assert!((scores.mean_per_class_recall - mean).abs() < 1e-9);
        assert_eq!((scores.classes, scores.pictures), (4, 5));
        let counts: Vec<[u32; 3]> = scores
            .confusion
            .iter()
            .map(|c| [c.class, c.predicted, c.count])
            .collect();
        assert_eq!(
            counts,
            [[0, 0, 1], [1, 0, 1], [1, 1, 1], [2, 2, 1], [2, 3, 1]]
        );
    }

    #[test]
    fn the_sixth_most_similar_class_is_not_among_five() {
        // Class c has similarity cos(c · 0.2) with the picture.
        let classes: Vec<f32> = (0..7)
            .flat_map(|c| [(c as f32 * 0.2).cos(), (c as f32 * 0.2).sin()])
            .collect();
        let top5 = |label| {
            zero_shot(&[1.0, 0.0], 2, &[label], &classes)
                .expect("scored")
                .top5
        };
        assert_eq!((top5(4), top5(5)), (100.0, 0.0));
    }

    #[test]
    fn embeddings_are_normalised_means_of_prompts() {
        let prompts = [1.0, 0.0, 0.0, 1.0, 0.6, 0.8, 0.6, 0.8, 1.0, 0.0, -1.0, 0.0];
        let got = class_embeddings(&prompts, 2, 2).expect("embedded");
        let half = 0.5f32.sqrt();
        for (got, want) in got.iter().zip([half, half, 0.6, 0.8, 0.0, 0.0]) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
        assert!(class_embeddings(&prompts, 2, 4).is_err());
    }

    #[test]
    fn a_label_without_class_is_refused() {
        let error = zero_shot(&[1.0, 0.0], 2, &[4], &CLASSES).expect_err("refused");
        assert_eq!(
            error,
            AnalysisError::Label {
                label: 4,
                classes: 4
            }
        );
    }

    proptest! {
        #[test]
        fn the_order_of_pictures_changes_nothing(
            rows in prop::collection::vec((-1.0f32..1.0, -1.0f32..1.0, 0u32..4), 1..80),
            turn in 0usize..80,
        ) {
            let scored = |rows: &[(f32, f32, u32)]| {
                let images: Vec<f32> = rows.iter().flat_map(|r| [r.0, r.1]).collect();
                let labels: Vec<u32> = rows.iter().map(|r| r.2).collect();
                zero_shot(&images, 2, &labels, &CLASSES).expect("scored")
            };
            let before = scored(&rows);
            let mut turned = rows.clone();
            turned.rotate_left(turn % rows.len());
            prop_assert_eq!(&before, &scored(&turned));
            let counted: u32 = before.confusion.iter().map(|c| c.count).sum();
            prop_assert_eq!(counted as usize, rows.len());
            prop_assert!(before.top1 <= before.top5);
        }
    }
}
