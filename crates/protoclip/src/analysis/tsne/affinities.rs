//! How strongly samples attract each other.

use rayon::prelude::*;

use super::neighbours::Neighbours;

/// Most halvings of the search for a width.
const SEARCH_STEPS: usize = 64;
/// Accepted error of the entropy, in nats.
const ENTROPY_ERROR: f64 = 1e-5;

/// Symmetric probabilities of pairs of samples, those of one sample side by side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Affinities {
    /// Where each sample's pairs start; `[n + 1]`.
    pub(super) starts: Vec<usize>,
    /// The other sample of each pair, ascending within one sample.
    pub(super) others: Vec<u32>,
    /// p, which sum to 1 over all pairs.
    pub(super) weights: Vec<f32>,
}

impl Affinities {
    /// p(j|i) is a Gaussian of the distance, as wide as makes its entropy ln(`perplexity`);
    /// p(i, j) = (p(j|i) + p(i|j)) / 2n.
    pub(super) fn new(neighbours: &Neighbours, perplexity: f64) -> Self {
        let count = neighbours.count;
        let samples = neighbours.ids.len() / count;
        let mut given = vec![0.0f32; neighbours.ids.len()];
        given
            .par_chunks_mut(count)
            .zip(neighbours.squares.par_chunks(count))
            .for_each_init(
                || vec![0.0; count],
                |row, (given, squares)| {
                    gaussian(squares, perplexity.ln(), row);
                    for (given, &p) in given.iter_mut().zip(row.iter()) {
                        *given = (p / (2 * samples) as f64) as f32;
                    }
                },
            );
        Self::symmetric(&neighbours.ids, &given, count)
    }

    /// The sum of a sparse matrix with `count` entries per row and its transpose.
    fn symmetric(ids: &[u32], given: &[f32], count: usize) -> Self {
        let samples = ids.len() / count;
        let mut sizes = vec![count; samples];
        for &other in ids {
            sizes[other as usize] += 1;
        }
        let mut next = Vec::with_capacity(samples);
        let mut total = 0;
        for &size in &sizes {
            next.push(total);
            total += size;
        }
        let mut entries = vec![(0u32, 0.0f32); total];
        let mut put = |row: usize, entry: (u32, f32)| {
            entries[next[row]] = entry;
            next[row] += 1;
        };
        for (place, (&other, &p)) in ids.iter().zip(given).enumerate() {
            let sample = place / count;
            put(sample, (other, p));
            put(other as usize, (sample as u32, p));
        }
        let mut rest = entries.as_mut_slice();
        let mut rows = Vec::with_capacity(samples);
        for &size in &sizes {
            let (row, after) = rest.split_at_mut(size);
            rows.push(row);
            rest = after;
        }
        let merged: Vec<&[(u32, f32)]> = rows.into_par_iter().map(merge).collect();
        let mut all = Self {
            starts: vec![0],
            others: Vec::new(),
            weights: Vec::new(),
        };
        for row in merged {
            all.others.extend(row.iter().map(|&(other, _)| other));
            all.weights.extend(row.iter().map(|&(_, p)| p));
            all.starts.push(all.others.len());
        }
        all
    }

    /// The pairs of one sample.
    pub(super) fn row(&self, sample: usize) -> (&[u32], &[f32]) {
        let range = self.starts[sample]..self.starts[sample + 1];
        (&self.others[range.clone()], &self.weights[range])
    }
}

/// Adds up entries of the same other sample, in ascending order of these; what is left of the row.
fn merge(row: &mut [(u32, f32)]) -> &[(u32, f32)] {
    row.sort_by_key(|&(other, _)| other);
    let mut kept = 0;
    for place in 0..row.len() {
        let (other, p) = row[place];
        if kept > 0 && row[kept - 1].0 == other {
            row[kept - 1].1 += p;
        } else {
            row[kept] = (other, p);
            kept += 1;
        }
    }
    &row[..kept]
}

/// Gaussian weights of squared distances that sum to 1 and have the entropy, found by bisection.
pub(super) fn gaussian(squares: &[f32], entropy: f64, weights: &mut [f64]) {
    let nearest = squares.first().map_or(0.0, |&square| f64::from(square));
    let mean = squares.iter().map(|&s| f64::from(s)).sum::<f64>() / squares.len() as f64 - nearest;
    let mut precision = if mean > 0.0 { 1.0 / mean } else { 1.0 };
    let (mut low, mut high) = (0.0, f64::INFINITY);
    for _ in 0..SEARCH_STEPS {
        let (mut sum, mut moment) = (0.0, 0.0);
        for (weight, &square) in weights.iter_mut().zip(squares) {
            let excess = f64::from(square) - nearest;
            *weight = (-precision * excess).exp();
            sum += *weight;
            moment += *weight * excess;
        }
        let found = sum.ln() + precision * moment / sum;
        weights.iter_mut().for_each(|weight| *weight /= sum);
        if (found - entropy).abs() < ENTROPY_ERROR {
            return;
        }
        if found > entropy {
            low = precision;
            precision = if high.is_finite() {
                0.5 * (low + high)
            } else {
                2.0 * precision
            };
        } else {
            high = precision;
            precision = 0.5 * (low + high);
        }
    }
}
