//! Mean silhouette coefficient, block by block.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::LabelledFeatures;
use crate::analysis::AnalysisError;
use crate::analysis::modality_gap::column_means;
use crate::kernels::distance::{Panels, Queries, for_each_tile, squared_distance};
use crate::prototypes::group_means::group_sizes;

/// Most samples that the silhouette looks at: its cost grows with their square.
pub const SILHOUETTE_LIMIT: usize = 10_000;

/// Samples of one task; it keeps a distance sum per sample and cluster.
const BLOCK: usize = 24;

pub(super) fn silhouette(all: &LabelledFeatures<'_>, seed: u64) -> Result<f64, AnalysisError> {
    if all.labels.len() <= SILHOUETTE_LIMIT {
        return Ok(mean_coefficient(all));
    }
    let (features, labels) = draw(all, seed);
    LabelledFeatures::new(&features, all.dim, &labels).map(|drawn| mean_coefficient(&drawn))
}

/// [`SILHOUETTE_LIMIT`] different rows and their labels.
fn draw(all: &LabelledFeatures<'_>, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..all.labels.len()).collect();
    let (mut features, mut labels) = (Vec::new(), Vec::new());
    for place in 0..SILHOUETTE_LIMIT {
        let drawn = random.random_range(place..order.len());
        order.swap(place, drawn);
        let row = order[place];
        features.extend_from_slice(&all.features[row * all.dim..][..all.dim]);
        labels.push(all.labels[row]);
    }
    (features, labels)
}

fn mean_coefficient(all: &LabelledFeatures<'_>) -> f64 {
    let origin: Vec<f32> = column_means(all.features, all.dim)
        .into_iter()
        .map(|v| v as f32)
        .collect();
    let panels = Panels::nearest(all.features, all.dim, &origin);
    let sizes = group_sizes(&all.labels, all.clusters);
    let sums: Vec<f64> = all
        .features
        .par_chunks(BLOCK * all.dim)
        .enumerate()
        .map(|(block, rows)| {
            let start = block * BLOCK;
            let to_clusters = distance_sums(all, &panels, &origin, rows, start);
            to_clusters
                .chunks_exact(all.clusters)
                .zip(&all.labels[start..])
                .map(|(sums, &own)| coefficient(sums, &sizes, own as usize))
                .sum()
        })
        .collect();
    sums.iter().sum::<f64>() / all.labels.len() as f64
}

/// `[rows, clusters]`: summed distances of each row to the samples of each cluster. `start` is the
/// number of the first row.
fn distance_sums(
    all: &LabelledFeatures<'_>,
    panels: &Panels,
    origin: &[f32],
    rows: &[f32],
    start: usize,
) -> Vec<f64> {
    let squares: Vec<f32> = rows
        .chunks_exact(all.dim)
        .map(|row| squared_distance(row, origin))
        .collect();
    let mut sums = vec![0.0f64; squares.len() * all.clusters];
    let queries = Queries::pack(rows, all.dim, origin);
    for_each_tile(&queries, panels, |row, first, scores| {
        let sums = &mut sums[row * all.clusters..][..all.clusters];
        // ‖q − c‖² = ‖q‖² − 2 (q·c − ½‖c‖²)
        let distances = scores.map(|score| (squares[row] - 2.0 * score).max(0.0).sqrt());
        let candidates = (first..).zip(all.labels[first..].iter().zip(distances));
        for (candidate, (&label, distance)) in candidates {
            if candidate != start + row {
                sums[label as usize] += f64::from(distance);
            }
        }
    });
    sums
}

/// (b − a) / max(a, b) with a, b the mean distances to the own and to the nearest other cluster;
/// 0 for the only sample of a cluster.
fn coefficient(sums: &[f64], sizes: &[u32], own: usize) -> f64 {
    if sizes[own] == 1 {
        return 0.0;
    }
    let inside = sums[own] / f64::from(sizes[own] - 1);
    let outside = sums
        .iter()
        .zip(sizes)
        .enumerate()
        .filter(|&(cluster, _)| cluster != own)
        .map(|(_, (&sum, &size))| sum / f64::from(size))
        .fold(f64::INFINITY, f64::min);
    let larger = inside.max(outside);
    if larger > 0.0 {
        (outside - inside) / larger
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four spots of a plane; ever more samples must not change the picture.
    fn spots(samples: usize) -> (Vec<f32>, Vec<u32>) {
        let labels: Vec<u32> = (0..samples as u32).map(|i| i % 4).collect();
        let features = (0..samples)
            .flat_map(|i| {
                let wobble = (i.wrapping_mul(2_654_435_761) % 1000) as f32 / 1000.0;
                [
                    (i % 2) as f32 * 3.0 + wobble,
                    (i % 4 / 2) as f32 * 3.0 - wobble,
                ]
            })
            .collect();
        (features, labels)
    }

    #[test]
    fn a_drawn_sample_stands_for_a_large_set() {
        let measure = |samples| {
            let (features, labels) = spots(samples);
            let labelled = LabelledFeatures::new(&features, 2, &labels).expect("labelled");
            (labelled.silhouette(1), labelled.silhouette(2))
        };
        let (all, same) = measure(8_000);
        assert_eq!(all, same, "below the limit no seed matters");
        let (one, two) = measure(40_000);
        assert_ne!(one, two, "above the limit a sample is drawn");
        let (all, one, two) = (all.expect("all"), one.expect("one"), two.expect("two"));
        assert!(
            (all - one).abs() < 0.01 && (all - two).abs() < 0.01,
            "{all} {one} {two}"
        );
    }

    #[test]
    fn a_lone_sample_counts_as_zero() {
        let labelled = LabelledFeatures::new(&[0.0, 0.0, 1.0], 1, &[0, 0, 1]).expect("labelled");
        let got = labelled.silhouette(0).expect("defined");
        assert!((got - 2.0 / 3.0).abs() < 1e-6, "{got}");
    }
}
