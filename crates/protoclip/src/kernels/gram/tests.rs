//! Both paths against each other and against sums in double precision.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn paths_give_the_same_integers(
        values in prop::collection::vec(-32_000i16..=32_000, 2 * COLUMNS * 2..2 * COLUMNS * 40),
    ) {
        let pairs: Vec<Pairs> = values
            .chunks_exact(2 * COLUMNS)
            .map(|row| std::array::from_fn(|lane| packed(row[2 * lane], row[2 * lane + 1])))
            .collect();
        let (left, right) = pairs.split_at(pairs.len() / 2);
        prop_assert_eq!(IntegerUnit::Portable.tile(left, right), IntegerUnit::detect().tile(left, right));
    }

    /// Within what rounding a block may take away, at any scale of a column, spikes and odd sizes.
    #[test]
    fn sums_are_those_of_the_definition(
        dim in 1usize..40,
        rows in 1usize..60,
        values in prop::collection::vec(-1.0f32..1.0, 40 * 60),
        spike in 0usize..2400,
        exponent in -20i32..20,
    ) {
        let mut values = values;
        values[spike] *= 1e4;
        let rows: Vec<f32> = values[..dim * rows].to_vec();
        let scale = |place: usize| if (place % dim).is_multiple_of(3) { 2f32.powi(exponent) } else { 1.0 };
        let rows: Vec<f32> = rows.iter().enumerate().map(|(i, v)| v * scale(i)).collect();
        let mean: Vec<f32> = rows[..dim].iter().map(|v| v * 0.5).collect();
        let mut gram = Gram::new(dim);
        for block in rows.chunks(BLOCK.min(32) * dim) {
            gram.add(block, &mean);
        }
        let got = gram.into_matrix();
        let product = |i: usize, j: usize| -> f64 {
            let centred = |row: &[f32], d: usize| f64::from(row[d]) - f64::from(mean[d]);
            rows.chunks_exact(dim).map(|row| centred(row, i) * centred(row, j)).sum()
        };
        for i in 0..dim {
            for j in 0..dim {
                let norms = (product(i, i) * product(j, j)).sqrt();
                let error = (got[i * dim + j] - product(i, j)).abs();
                // ‖rounding‖ ≤ ½ √rows steps, and a step is at most norm / 32,000, in both columns.
                let rows = (rows.len() / dim) as f64;
                prop_assert!(error <= norms * (rows.sqrt() / 31_000.0 + 1e-5), "{error} of {norms}");
            }
        }
    }
}
