//! Sums of columns in double precision.

use super::multiversion::multiversion;

multiversion! {
    /// Adds rows `[n, dim]` to `sums` `[dim]`, one after the other.
    fn add(rows: &[f32], sums: &mut [f64]) = add_rows;
}

/// The sums of the columns of rows `[n, dim]`.
pub(crate) fn column_sums(rows: &[f32], dim: usize) -> Vec<f64> {
    let mut sums = vec![0.0; dim];
    add(rows, &mut sums);
    sums
}

#[inline(always)]
fn add_rows<const FMA: bool>(rows: &[f32], sums: &mut [f64]) {
    for row in rows.chunks_exact(sums.len().max(1)) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_summed() {
        for dim in [1, 7, 40] {
            let rows: Vec<f32> = (0..dim * 9).map(|i| (i * i % 23) as f32 - 7.5).collect();
            let expected: Vec<f64> = (0..dim)
                .map(|d| rows.chunks_exact(dim).map(|row| f64::from(row[d])).sum())
                .collect();
            assert_eq!(column_sums(&rows, dim), expected);
        }
        assert_eq!(column_sums(&[], 3), [0.0; 3]);
    }
}
