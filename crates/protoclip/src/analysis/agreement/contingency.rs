//! How often each pair of labels occurs together, sparse.

use rustc_hash::FxHashMap;

use crate::analysis::AnalysisError;
use crate::analysis::error::checked_aligned;

/// Samples with one label of each labelling; labels are renumbered in order of appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) row: u32,
    pub(super) column: u32,
    pub(super) count: u64,
}

/// The contingency table of two labellings; only non-zero cells are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contingency {
    pub(super) cells: Vec<Cell>,
    /// Samples of each label of the first labelling.
    pub(super) rows: Vec<u64>,
    /// Samples of each label of the second labelling.
    pub(super) columns: Vec<u64>,
    pub(super) total: u64,
}

impl Contingency {
    pub(super) fn of(first: &[u32], second: &[u32]) -> Result<Self, AnalysisError> {
        checked_aligned(
            ("the first labelling", first.len()),
            ("the second", second.len()),
        )?;
        if first.is_empty() {
            return Err(AnalysisError::Empty);
        }
        let (first, rows) = renumber(first);
        let (second, columns) = renumber(second);
        let mut pairs: Vec<(u32, u32)> = first.into_iter().zip(second).collect();
        pairs.sort_unstable();
        let cells = pairs
            .chunk_by(|a, b| a == b)
            .map(|same| Cell {
                row: same[0].0,
                column: same[0].1,
                count: same.len() as u64,
            })
            .collect();
        Ok(Self {
            cells,
            rows,
            columns,
            total: pairs.len() as u64,
        })
    }

    /// Whether both labellings form the same groups.
    pub(super) fn is_identity(&self) -> bool {
        self.cells.len() == self.rows.len() && self.cells.len() == self.columns.len()
    }

    /// Σ p(r,c) ln( p(r,c) / (p(r) p(c)) ), in nats.
    pub(super) fn mutual_information(&self) -> f64 {
        let total = self.total as f64;
        self.cells
            .iter()
            .map(|cell| {
                let count = cell.count as f64;
                let row = self.rows[cell.row as usize] as f64;
                let column = self.columns[cell.column as usize] as f64;
                count / total * (total * count / (row * column)).ln()
            })
            .sum()
    }

    /// −Σ p ln p of one side's sizes, in nats.
    pub(super) fn entropy(&self, sizes: &[u64]) -> f64 {
        let total = self.total as f64;
        sizes
            .iter()
            .map(|&size| {
                let share = size as f64 / total;
                -share * share.ln()
            })
            .sum()
    }
}

/// Labels from 0 in order of appearance, and the samples of each.
fn renumber(labels: &[u32]) -> (Vec<u32>, Vec<u64>) {
    let mut number_of: FxHashMap<u32, u32> = FxHashMap::default();
    let mut sizes: Vec<u64> = Vec::new();
    let numbers = labels
        .iter()
        .map(|&label| {
            let number = *number_of.entry(label).or_insert_with(|| {
                sizes.push(0);
                sizes.len() as u32 - 1
            });
            sizes[number as usize] += 1;
            number
        })
        .collect();
    (numbers, sizes)
}
