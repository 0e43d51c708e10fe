//! Both paths against the definition.

use proptest::prelude::*;

use super::*;

proptest! {
    /// Every path visits the scores above the threshold, with the integers of the
    /// definition, from the first panel on.
    #[test]
    fn scores_follow_the_definition(
        half_width in 1usize..40,
        rows in 1usize..10,
        count in 1usize..150,
        bytes in prop::collection::vec(-28i8..=28, 80 * 160),
        threshold in -9000i16..9000,
        first in 0usize..200,
    ) {
        let width = 2 * half_width;
        let (queries, rest) = bytes.split_at(rows * width);
        let mut panels = BytePanels::new(count, width);
        let mut want = vec![Vec::new(); rows];
        for (candidate, values) in rest.chunks_exact(width).take(count).enumerate() {
            let values: Vec<i8> = values.iter().map(|v| v / 2).collect();
            let bias = 100 - candidate as i16;
            panels.set(candidate, &values, bias);
            for (row, query) in queries.chunks_exact(width).enumerate() {
                let product = |(&q, &c): (&i8, &i8)| i32::from(q) * i32::from(c);
                let sum: i32 = query.iter().zip(&values).map(product).sum();
                let score = (sum + i32::from(bias)) as i16;
                if score > threshold {
                    want[row].push((candidate, score));
                }
            }
        }
        for path in [IntegerUnit::Portable, IntegerUnit::detect()] {
            let mut got = vec![Vec::new(); rows];
            let byte_rows = ByteRows { width, values: queries };
            path.scan(byte_rows, &panels, Tour::of_all_from(first), &mut vec![threshold; rows], |row, candidate, score, _| {
                got[row].push((candidate, score));
                threshold
            });
            let start = first / LANES * LANES;
            for got in &mut got {
                prop_assert!(got.is_sorted_by_key(|&(candidate, _)| (candidate < start, candidate)));
                got.sort_unstable();
            }
            prop_assert_eq!(&got, &want, "{:?}", path);
        }
    }

    /// After a threshold was raised, only higher scores are visited.
    #[test]
    fn a_raised_threshold_holds(
        query in prop::collection::vec(-80i8..=80, 8),
        bytes in prop::collection::vec(-64i8..=63, 8 * 100),
    ) {
        let mut panels = BytePanels::new(100, 8);
        for (candidate, values) in bytes.chunks_exact(8).enumerate() {
            panels.set(candidate, values, 0);
        }
        for path in [IntegerUnit::Portable, IntegerUnit::detect()] {
            let mut visited = vec![i16::MIN];
            let rows = ByteRows { width: 8, values: &query };
            path.scan(rows, &panels, Tour::of_all_from(0), &mut [i16::MIN], |_, _, score, _| {
                visited.push(score);
                score
            });
            prop_assert!(visited.is_sorted_by(|a, b| a < b), "{:?}", visited);
        }
    }
}
