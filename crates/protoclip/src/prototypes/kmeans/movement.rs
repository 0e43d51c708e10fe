//! How far centroids moved, and which of them are worth comparing again.

use rayon::prelude::*;

use super::near::Neighbourhood;
use crate::prototypes::byte_distances::distance;

/// Shares of the centroids, in 256ths, that are considered for being compared with every sample.
const SHARES: [usize; 12] = [0, 1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192];

/// How far each centroid `[dim]` moved, rounded up; 0 for those that are the same bits.
pub(super) fn moved(before: &[f32], after: &[f32], dim: usize) -> Vec<f32> {
    let rounded_up = |distance: f64| (distance as f32) * (1.0 + 2.0 * f32::EPSILON);
    before
        .par_chunks(dim)
        .zip(after.par_chunks(dim))
        .map(|(before, after)| match before == after {
            true => 0.0,
            false => rounded_up(distance(before, after)).max(f32::MIN_POSITIVE),
        })
        .collect()
}

/// The movement up to which centroids are not looked at again but trusted less: the one that makes
/// the least work. Centroids that moved farther are compared with every sample; samples whose floor
/// then is not above their own distance are compared with every centroid. Nothing when comparing all
/// with all is not much more work.
pub(super) fn allowance(moved: &[f32], rows: &[Neighbourhood]) -> Option<f32> {
    let mut falling = moved.to_vec();
    falling.sort_unstable_by(|a, b| b.total_cmp(a));
    let slack: Vec<f32> = rows
        .iter()
        .map(|row| row.floor - row.square.sqrt())
        .collect();
    let all = rows.len() * moved.len();
    let choices = SHARES.map(|share| {
        let compared = moved.len() * share / 256;
        let allowance = falling[compared];
        let open = slack.iter().filter(|&&slack| slack <= allowance).count();
        (compared * rows.len() + open * moved.len(), allowance)
    });
    let (work, allowance) = choices.into_iter().min_by_key(|&(work, _)| work)?;
    (work < all / 4 * 3).then_some(allowance)
}
