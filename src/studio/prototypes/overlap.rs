//! How much two groupings of the same samples agree, group by group.

/// The group of the other side that a group shares most with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BestOverlap {
    pub(super) other: u32,
    /// Samples in both.
    pub(super) shared: u32,
    /// Samples in both over samples in either, in (0, 1].
    pub(super) jaccard: f64,
}

/// Marks a sample that one side does not have; it is left out of all counts.
pub(super) const ABSENT: u32 = u32::MAX;

/// For each of the `count` groups of `own`, its best overlap among the groups of `other`; ties go to
/// the lower number, a group without common samples has none. Both sides list the group of the same
/// samples in the same order.
pub(super) fn best_overlaps(own: &[u32], count: usize, other: &[u32]) -> Vec<Option<BestOverlap>> {
    let mut pairs: Vec<(u32, u32)> = own
        .iter()
        .copied()
        .zip(other.iter().copied())
        .filter(|&(a, b)| a != ABSENT && b != ABSENT)
        .collect();
    pairs.sort_unstable();
    let own_sizes = sizes(pairs.iter().map(|p| p.0), count);
    let others = pairs.iter().map(|p| p.1 as usize + 1).max().unwrap_or(0);
    let other_sizes = sizes(pairs.iter().map(|p| p.1), others);
    let mut best: Vec<Option<BestOverlap>> = vec![None; count];
    for same in pairs.chunk_by(|a, b| a == b) {
        let ((a, b), shared) = (same[0], same.len() as u32);
        let (Some(size), Some(slot)) = (own_sizes.get(a as usize), best.get_mut(a as usize)) else {
            continue;
        };
        let either = size + other_sizes[b as usize] - shared;
        let jaccard = f64::from(shared) / f64::from(either);
        if slot.is_none_or(|found| jaccard > found.jaccard) {
            *slot = Some(BestOverlap {
                other: b,
                shared,
                jaccard,
            });
        }
    }
    best
}

fn sizes(groups: impl Iterator<Item = u32>, count: usize) -> Vec<u32> {
    let mut sizes = vec![0; count];
    for group in groups {
        if let Some(size) = sizes.get_mut(group as usize) {
            *size += 1;
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_most_alike_group_is_found_with_ties_to_the_lower_number() {
        let own = [0, 0, 0, 1, 1, 3];
        let other = [2, 2, 0, 0, 1, ABSENT];
        let best = best_overlaps(&own, 4, &other);
        let first = best[0].expect("overlaps");
        assert_eq!((first.other, first.shared), (2, 2));
        assert!((first.jaccard - 2.0 / 3.0).abs() < 1e-12);
        let second = best[1].expect("overlaps");
        assert_eq!((second.other, second.shared), (1, 1));
        assert_eq!((best[2], best[3]), (None, None));
    }

    #[test]
    fn renaming_groups_changes_nothing() {
        let own = [0, 1, 2, 0, 1, 2];
        let renamed = [5, 3, 4, 5, 3, 4];
        for (group, best) in best_overlaps(&own, 3, &renamed).iter().enumerate() {
            let best = best.expect("overlaps");
            assert_eq!((best.other, best.jaccard), ([5, 3, 4][group], 1.0));
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_counting_every_pair(
            pairs in prop::collection::vec((0_u32..6, 0_u32..6), 0..60),
        ) {
            let (own, other): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
            for (a, best) in best_overlaps(&own, 6, &other).iter().enumerate() {
                let jaccard = |b: u32| {
                    let both = pairs.iter().filter(|p| **p == (a as u32, b)).count();
                    let either = pairs.iter().filter(|p| p.0 == a as u32 || p.1 == b).count();
                    if either == 0 { 0.0 } else { both as f64 / either as f64 }
                };
                let expected = (0..6).map(jaccard).fold(0.0, f64::max);
                prop_assert_eq!(best.map_or(0.0, |b| b.jaccard), expected);
            }
        }
    }
}
