//! Repair of centroids without samples.

use rand::{Rng, RngExt};

/// Relative distance between the two halves of a split centroid.
const OFFSET: f32 = 1.0 / 1024.0;

/// Rounds through all centroids before the largest one is split without a draw.
const MOST_ROUNDS: usize = 10;

/// Gives every empty centroid of `centroids` `[k, dim]` half of another: candidates are tried in
/// order and accepted with probability (size − 1) / (n − k), so large ones are likely. The copy moves
/// by the factors 1 ± 1/1024, alternating by dimension, and the original the other way.
/// Returns the centroids that changed, two for each split.
pub(super) fn split_for_empty(
    centroids: &mut [f32],
    counts: &[u32],
    samples: usize,
    random: &mut impl Rng,
) -> Vec<usize> {
    let dim = centroids.len() / counts.len();
    let mut sizes: Vec<f32> = counts.iter().map(|&count| count as f32).collect();
    let empty: Vec<usize> = (0..counts.len()).filter(|&c| counts[c] == 0).collect();
    let mut changed = Vec::with_capacity(2 * empty.len());
    for hole in empty {
        let source = draw_source(&sizes, samples, random);
        for d in 0..dim {
            let value = centroids[source * dim + d];
            let sign = if d % 2 == 0 { OFFSET } else { -OFFSET };
            centroids[hole * dim + d] = value * (1.0 + sign);
            centroids[source * dim + d] = value * (1.0 - sign);
        }
        sizes[hole] = sizes[source] / 2.0;
        sizes[source] -= sizes[hole];
        changed.extend([hole, source]);
    }
    changed
}

fn draw_source(sizes: &[f32], samples: usize, random: &mut impl Rng) -> usize {
    let spare = (samples - sizes.len()) as f32;
    for _ in 0..MOST_ROUNDS {
        for (source, &size) in sizes.iter().enumerate() {
            if random.random::<f32>() < (size - 1.0) / spare {
                return source;
            }
        }
    }
    let mut largest = 0;
    for (source, &size) in sizes.iter().enumerate() {
        if size > sizes[largest] {
            largest = source;
        }
    }
    largest
}
