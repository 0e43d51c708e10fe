//! The tree against the definition of Ward's method, computed the slow way.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Points without ties, and sizes from 1 to 9.
fn scattered(seed: u64, count: usize, dim: usize) -> (Vec<f32>, Vec<u32>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let values = (0..count * dim)
        .map(|_| random.random_range(-1.0..1.0))
        .collect();
    let sizes = (0..count).map(|_| random.random_range(1..10)).collect();
    (values, sizes)
}

/// Joins the cheapest pair again and again, costs computed from all members.
fn greedy(centroids: &[f32], dim: usize, sizes: &[u32], groups: usize) -> Vec<Vec<u32>> {
    let mut clusters: Vec<Vec<u32>> = (0..sizes.len() as u32).map(|p| vec![p]).collect();
    let weight =
        |cluster: &[u32]| -> f64 { cluster.iter().map(|&p| f64::from(sizes[p as usize])).sum() };
    let mean = |cluster: &[u32]| -> Vec<f64> {
        let sum = |column: usize| {
            let of = |&p: &u32| {
                f64::from(centroids[p as usize * dim + column]) * f64::from(sizes[p as usize])
            };
            cluster.iter().map(of).sum::<f64>()
        };
        (0..dim)
            .map(|column| sum(column) / weight(cluster))
            .collect()
    };
    while clusters.len() > groups {
        let mut best = (f64::INFINITY, 0, 0);
        for a in 0..clusters.len() {
            for b in a + 1..clusters.len() {
                let (left, right) = (weight(&clusters[a]), weight(&clusters[b]));
                let (from, to) = (mean(&clusters[a]), mean(&clusters[b]));
                let square: f64 = from.iter().zip(&to).map(|(x, y)| (x - y).powi(2)).sum();
                let cost = left * right / (left + right) * square;
                if cost < best.0 {
                    best = (cost, a, b);
                }
            }
        }
        let moved = clusters.remove(best.2);
        clusters[best.1].extend(moved);
    }
    clusters
}

/// Groups as sorted lists of members, by lowest member.
fn members(numbers: &[u32]) -> Vec<Vec<u32>> {
    let count = numbers.iter().max().map_or(0, |&most| most as usize + 1);
    let mut lists = vec![Vec::new(); count];
    for (prototype, &group) in numbers.iter().enumerate() {
        lists[group as usize].push(prototype as u32);
    }
    lists
}

#[test]
fn clear_groups_are_found_whatever_their_sizes() {
    let centroids = [0.0, 0.1, 9.0, 9.1, 5.0, 9.2];
    let groups = super_groups(&centroids, 1, &[1, 1, 50, 2, 3, 9], 3).expect("groups");
    assert_eq!(groups, [0, 0, 1, 1, 2, 1]);
}

#[test]
fn heavy_groups_join_later_than_light_ones_at_the_same_distance() {
    let centroids = [0.0, 1.0, 10.0, 11.0];
    let groups = super_groups(&centroids, 1, &[90, 90, 1, 1], 3).expect("groups");
    assert_eq!(groups, [0, 1, 2, 2]);
}

#[test]
fn an_empty_prototype_follows_the_nearest_one_with_samples() {
    let hierarchy = Hierarchy::of(&[0.0, 5.1, 5.0, 9.0], 1, &[4, 0, 4, 4]).expect("a tree");
    assert_eq!(hierarchy.most(), 3);
    assert_eq!(hierarchy.cut(usize::MAX), [0, 1, 1, 2]);
    assert_eq!(hierarchy.cut(2), [0, 1, 1, 1]);
}

#[test]
fn nothing_one_and_only_empty_prototypes_have_a_hierarchy_too() {
    assert_eq!(Hierarchy::of(&[], 4, &[]).expect("a tree").cut(3), [0; 0]);
    assert_eq!(Hierarchy::of(&[1.0], 1, &[7]).expect("a tree").cut(0), [0]);
    let empty = Hierarchy::of(&[1.0, 2.0], 1, &[0, 0]).expect("a tree");
    assert_eq!((empty.most(), empty.cut(1)), (0, vec![0, 1]));
}

#[test]
fn equal_centroids_end() {
    let hierarchy = Hierarchy::of(&[0.5; 40], 2, &[1; 20]).expect("a tree");
    for groups in 1..=20 {
        assert_eq!(members(&hierarchy.cut(groups)).len(), groups);
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let shape = Hierarchy::of(&[0.0; 5], 2, &[1; 2]).expect_err("5 values");
    assert!(shape.to_string().contains("5 centroid values"), "{shape}");
    let nan = Hierarchy::of(&[0.0, f32::NAN], 1, &[1; 2]).expect_err("NaN");
    assert!(nan.to_string().contains("prototype 1"), "{nan}");
}

/// Above the bound: every bundle lies in one of eight far blobs, so the cut into eight is exact.
#[test]
fn bundles_keep_clear_groups_apart() {
    let count = MOST_EXACT + 600;
    let (mut centroids, sizes) = scattered(3, count, 2);
    for (prototype, row) in centroids.chunks_exact_mut(2).enumerate() {
        row[0] += 100.0 * (prototype % 8) as f32;
    }
    let hierarchy = Hierarchy::of(&centroids, 2, &sizes).expect("a tree");
    assert!(!hierarchy.is_exact());
    let expected: Vec<u32> = (0..count as u32).map(|prototype| prototype % 8).collect();
    assert_eq!(hierarchy.cut(8), expected);
    for groups in [1, 100, MOST_EXACT, MOST_EXACT + 300, count] {
        assert_eq!(members(&hierarchy.cut(groups)).len(), groups);
    }
}

proptest! {
    #[test]
    fn every_cut_is_that_of_the_greedy_definition(seed: u64, count in 1_usize..14, dim in 1_usize..4) {
        let (centroids, sizes) = scattered(seed, count, dim);
        let hierarchy = Hierarchy::of(&centroids, dim, &sizes).expect("a tree");
        for groups in 1..=count {
            let mut expected = greedy(&centroids, dim, &sizes, groups);
            expected.iter_mut().for_each(|list| list.sort_unstable());
            expected.sort();
            prop_assert_eq!(members(&hierarchy.cut(groups)), expected, "{} groups", groups);
        }
    }

    #[test]
    fn a_finer_cut_divides_a_coarser_one(seed: u64, count in 2_usize..60) {
        let (centroids, sizes) = scattered(seed, count, 3);
        let hierarchy = Hierarchy::of(&centroids, 3, &sizes).expect("a tree");
        for groups in 1..count {
            let (coarse, fine) = (hierarchy.cut(groups), hierarchy.cut(groups + 1));
            for list in members(&fine) {
                let above: Vec<u32> = list.iter().map(|&p| coarse[p as usize]).collect();
                prop_assert!(above.windows(2).all(|pair| pair[0] == pair[1]));
            }
        }
    }
}
