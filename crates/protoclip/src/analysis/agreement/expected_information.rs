//! Mutual information that two labellings with given sizes share by chance, exactly.

use rayon::prelude::*;

use super::contingency::Contingency;

/// A cluster size and how many clusters have it.
type SizeCount = (u64, f64);

/// Mean mutual information, in nats, over all ways to deal the samples into the row and column sizes
/// of `table` (Vinh, Epps and Bailey 2010, equation 24a). A pair's term depends only on its two
/// sizes, so equal sizes are computed once: n samples have at most about √(2n) distinct ones.
pub(super) fn expected_information(table: &Contingency) -> f64 {
    let total = table.total;
    let factorial = LogFactorials::up_to(total);
    let columns = distinct_sizes(&table.columns);
    let per_row: Vec<f64> = distinct_sizes(&table.rows)
        .par_iter()
        .map(|&(row, rows)| {
            let sum: f64 = columns
                .iter()
                .map(|&(column, columns)| columns * pair_term(row, column, total, &factorial))
                .sum();
            rows * sum
        })
        .collect();
    per_row.iter().sum()
}

/// Σ over possible overlaps of overlap/n · ln(n·overlap / (row·column)) · P(overlap), where P is
/// hypergeometric.
fn pair_term(row: u64, column: u64, total: u64, factorial: &LogFactorials) -> f64 {
    let least = (row + column).saturating_sub(total).max(1);
    let most = row.min(column);
    let n = total as f64;
    let of_sizes = factorial.ln(row)
        + factorial.ln(column)
        + factorial.ln(total - row)
        + factorial.ln(total - column)
        - factorial.ln(total);
    let independent = n / (row as f64 * column as f64);
    (least..=most)
        .map(|overlap| {
            let of_cells = factorial.ln(overlap)
                + factorial.ln(row - overlap)
                + factorial.ln(column - overlap)
                + factorial.ln(total + overlap - row - column);
            let count = overlap as f64;
            count / n * (independent * count).ln() * (of_sizes - of_cells).exp()
        })
        .sum()
}

fn distinct_sizes(sizes: &[u64]) -> Vec<SizeCount> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    sizes
        .chunk_by(|a, b| a == b)
        .map(|same| (same[0], same.len() as f64))
        .collect()
}

/// ln 0!, ln 1!, … by compensated summation.
struct LogFactorials(Vec<f64>);

impl LogFactorials {
    fn up_to(most: u64) -> Self {
        let (mut sum, mut lost) = (0.0f64, 0.0f64);
        let rest = (1..=most).map(|n| {
            let term = (n as f64).ln() - lost;
            let next = sum + term;
            lost = (next - sum) - term;
            sum = next;
            sum
        });
        Self(std::iter::once(0.0).chain(rest).collect())
    }

    fn ln(&self, n: u64) -> f64 {
        self.0[n as usize]
    }
}
