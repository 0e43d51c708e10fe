//! Both paths against each other and against sums in double precision.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn paths_give_the_same_integers(
        values in prop::collection::vec(-100.0f32..100.0, COLUMNS * 2 * 20),
        rows in 1usize..20,
    ) {
        let panels = band::panels(&values[..rows * 2 * COLUMNS], &[1.5; 2 * COLUMNS], 0);
        let [left, right] = &panels[..] else { panic!("two panels, not {}", panels.len()) };
        let tile_of = |path: IntegerUnit, half: bool| {
            let mut tile = [[0; COLUMNS]; COLUMNS];
            path.tile(left, right, half, &mut tile);
            tile
        };
        let tile = |path: IntegerUnit| tile_of(path, false);
        let upper = |tile: &Tile| -> Vec<i32> {
            tile.iter().enumerate().flat_map(|(row, products)| &products[row..]).copied().collect()
        };
        let half = tile_of(IntegerUnit::detect(), true);
        prop_assert_eq!(upper(&half), upper(&tile(IntegerUnit::Portable)));
        prop_assert_eq!(tile(IntegerUnit::Portable), tile(IntegerUnit::detect()));
        prop_assert!(tile(IntegerUnit::Portable).iter().flatten().any(|&product| product != 0));
    }

    /// Within what rounding a block may take away, at any scale of a column, spikes and odd sizes.
    #[test]
    fn sums_are_those_of_the_definition(
        dim in 1usize..130,
        rows in 1usize..60,
        values in prop::collection::vec(-1.0f32..1.0, 130 * 60),
        spike in 0usize..7800,
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
