//! Looking up rows of a table, over slices, with a gradient of the rows that were used.
//!
//! A batch uses a few hundred of CLIP's 49,408 token rows. A gradient of all of them would be 38 MB
//! of zeros to write, measure, scale and feed to the optimizer at every step.

use rustc_hash::FxHashMap;

/// Which rows of a table a lookup took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lookup {
    /// Rows of the table, in order of first use.
    pub(super) used: Vec<u32>,
    /// For each result row, its place in `used`.
    places: Vec<u32>,
}

impl Lookup {
    pub(super) fn new(ids: &[u32]) -> Self {
        let mut known = FxHashMap::default();
        let mut used = Vec::new();
        let mut place = |&id: &u32| {
            *known.entry(id).or_insert_with(|| {
                used.push(id);
                used.len() as u32 - 1
            })
        };
        let places = ids.iter().map(&mut place).collect();
        Self { used, places }
    }

    /// `[table rows, width]` → `[ids, width]`.
    pub(super) fn forward(&self, table: &[f32], width: usize) -> Vec<f32> {
        let mut rows = Vec::with_capacity(self.places.len() * width);
        for &place in &self.places {
            let id = self.used[place as usize] as usize;
            rows.extend_from_slice(&table[id * width..(id + 1) * width]);
        }
        rows
    }

    /// The gradient by the used rows, `[used, width]`, given that by the result.
    pub(super) fn backward(&self, gradient: &[f32], width: usize) -> Vec<f32> {
        let mut by_used = vec![0.0; self.used.len() * width];
        for (&place, row) in self.places.iter().zip(gradient.chunks_exact(width)) {
            let start = place as usize * width;
            for (sum, value) in by_used[start..start + width].iter_mut().zip(row) {
                *sum += value;
            }
        }
        by_used
    }
}
