//! Agreement of two labellings of the same samples, corrected for chance.
//!
//! Label values carry no meaning: only which samples share one. Both measures are symmetric, 1 for
//! equal partitions and 0 on average for independent ones. Cost is O(n log n) for n samples, plus
//! one pass over pairs of DISTINCT cluster sizes for the expected information, so that 20,000
//! clusters of 200,000 samples take well under a second.

mod contingency;
mod expected_information;

use contingency::Contingency;
use expected_information::expected_information;

use super::AnalysisError;

/// Adjusted Rand index of Hubert and Arabie (1985), as scikit-learn's `adjusted_rand_score`.
///
/// # Errors
/// When the labellings differ in length or are empty.
pub fn adjusted_rand_index(first: &[u32], second: &[u32]) -> Result<f64, AnalysisError> {
    let table = Contingency::of(first, second)?;
    if table.is_identity() {
        return Ok(1.0);
    }
    let pairs = |counts: &[u64]| {
        counts
            .iter()
            .map(|&c| c as f64 * (c as f64 - 1.0))
            .sum::<f64>()
    };
    let all = table.total as f64 * (table.total as f64 - 1.0);
    let together = table
        .cells
        .iter()
        .map(|cell| cell.count as f64 * (cell.count as f64 - 1.0))
        .sum::<f64>();
    let (rows, columns) = (pairs(&table.rows), pairs(&table.columns));
    let expected = rows * columns / all;
    Ok((together - expected) / (0.5 * (rows + columns) - expected))
}

/// Adjusted mutual information of Vinh, Epps and Bailey (2010) with the arithmetic mean of the
/// entropies as its upper bound, as scikit-learn's `adjusted_mutual_info_score`. The expected
/// information is exact.
///
/// # Errors
/// When the labellings differ in length or are empty.
pub fn adjusted_mutual_information(first: &[u32], second: &[u32]) -> Result<f64, AnalysisError> {
    let table = Contingency::of(first, second)?;
    if table.is_identity() {
        return Ok(1.0);
    }
    let expected = expected_information(&table);
    let bound = 0.5 * (table.entropy(&table.rows) + table.entropy(&table.columns));
    // The bound is never below the expectation but by rounding.
    let room = (bound - expected).max(f64::EPSILON);
    Ok((table.mutual_information() - expected) / room)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_compared_is_refused() {
        assert_eq!(adjusted_rand_index(&[], &[]), Err(AnalysisError::Empty));
        let message = adjusted_mutual_information(&[1], &[1, 2])
            .expect_err("lengths differ")
            .to_string();
        assert!(
            message.contains("1 rows") && message.contains('2'),
            "{message}"
        );
    }

    #[test]
    fn trivial_labellings() {
        let (one, all) = ([7, 7, 7, 7], [0, 1, 2, 3]);
        for (a, b, want) in [
            (one, one, 1.0),
            (all, all, 1.0),
            (one, all, 0.0),
            (all, one, 0.0),
        ] {
            assert_eq!(adjusted_rand_index(&a, &b), Ok(want));
            assert_eq!(adjusted_mutual_information(&a, &b), Ok(want));
        }
    }

    /// Large and lopsided: 20,000 clusters against 300 classes, related in one half of the samples.
    #[test]
    fn many_clusters_are_no_problem() {
        let samples = 200_000u32;
        let clusters: Vec<u32> = (0..samples)
            .map(|i| (i / 7).wrapping_mul(2_654_435_761) % 20_000)
            .collect();
        let classes: Vec<u32> = (0..samples)
            .map(|i| {
                if i % 2 == 0 {
                    clusters[i as usize] % 300
                } else {
                    i.wrapping_mul(40_503) % 300
                }
            })
            .collect();
        let related = adjusted_mutual_information(&clusters, &classes).expect("compared");
        assert!((0.05..0.6).contains(&related), "{related}");
        let unrelated: Vec<u32> = (0..samples)
            .map(|i| i.wrapping_mul(2_246_822_519) >> 24)
            .collect();
        let chance = adjusted_mutual_information(&clusters, &unrelated).expect("compared");
        assert!(chance.abs() < 0.01, "{chance}");
    }

    fn labellings() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
        (2usize..60).prop_flat_map(|n| {
            let labels = || prop::collection::vec(0u32..6, n);
            (labels(), labels())
        })
    }

    proptest! {
        #[test]
        fn symmetric_bounded_and_blind_to_names((a, b) in labellings()) {
            for measure in [adjusted_rand_index, adjusted_mutual_information] {
                let value = measure(&a, &b).expect("compared");
                prop_assert!(value <= 1.0 + 1e-9 && value > -1.0, "{value}");
                let swapped = measure(&b, &a).expect("compared");
                prop_assert!((value - swapped).abs() < 1e-9);
                let renamed: Vec<u32> = a.iter().map(|&l| 1_000_000 - 17 * l).collect();
                prop_assert!((measure(&renamed, &b).expect("compared") - value).abs() < 1e-9);
                prop_assert_eq!(measure(&a, &renamed), Ok(1.0));
            }
        }

        /// The expectation by its definition: the mean over all orders of one labelling.
        #[test]
        fn the_expectation_is_the_mean_over_permutations(
            a in prop::collection::vec(0u32..3, 6),
            b in prop::collection::vec(0u32..3, 6),
        ) {
            let (mut sum, mut orders) = (0.0, 0.0);
            let mut order = b.clone();
            each_order(&mut order, 6, &mut |order| {
                sum += Contingency::of(&a, order).expect("compared").mutual_information();
                orders += 1.0;
            });
            prop_assert_eq!(orders, 720.0);
            let got = expected_information(&Contingency::of(&a, &b).expect("compared"));
            prop_assert!((got - sum / orders).abs() < 1e-9, "{} {}", got, sum / orders);
        }
    }

    /// Heap's algorithm.
    fn each_order(values: &mut Vec<u32>, len: usize, visit: &mut impl FnMut(&[u32])) {
        if len <= 1 {
            return visit(values);
        }
        for i in 0..len {
            each_order(values, len - 1, visit);
            values.swap(if len.is_multiple_of(2) { i } else { 0 }, len - 1);
        }
    }
}
