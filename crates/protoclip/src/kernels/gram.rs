//! Products of all pairs of columns of a tall matrix, from 16-bit integers.
//!
//! Called by principal components, from any thread. Every block of rows is rounded column by column, as
//! finely as lets 32-bit sums never overflow: by Cauchy and Schwarz a sum is at most the product of
//! two columns' norms. A block's products are then off by about 1e-5 of these norms, at random; over
//! many blocks that averages out to less than what f32 sums lose. On AVX2 an instruction multiplies and
//! adds twice as many of these as of f32 numbers. The portable loop gives the same integers.

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vectors are read and written by address")]
mod avx2;
mod band;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::multiversion::{IntegerUnit, multiversion};

/// Rows that are rounded together: what a tile reads of them stays in the first cache.
pub(crate) const BLOCK: usize = 512;

/// Columns of one panel, a multiple of [`TALL`] and [`WIDE`].
const COLUMNS: usize = 48;

/// Columns of a panel that are kept in registers together, times ..
const TALL: usize = 6;

/// .. those of another.
const WIDE: usize = 16;

/// One pair of rows in some columns: 16 bits of the first row below those of the second.
type Pairs<const N: usize> = [i32; N];

/// Products of one panel's columns with another's.
type Tile = [[i32; COLUMNS]; COLUMNS];

/// Sums of products of columns, upper triangle.
#[derive(Debug)]
pub(crate) struct Gram {
    dim: usize,
    /// For every panel of columns its products with itself and all before, `[panel + 1][COLUMNS][COLUMNS]`.
    sums: Vec<Vec<f64>>,
}

/// A block of rows in the columns of a panel, once for each side of a product.
#[derive(Debug, Clone, PartialEq)]
struct Panel {
    /// `[COLUMNS / TALL][rows / 2]`
    tall: Vec<Pairs<TALL>>,
    /// `[COLUMNS / WIDE][rows / 2]`
    wide: Vec<Pairs<WIDE>>,
    /// What a column's whole numbers are multiples of.
    steps: [f64; COLUMNS],
}

impl Gram {
    pub(crate) fn new(dim: usize) -> Self {
        let panel = |number: usize| vec![0.0; (number + 1) * COLUMNS * COLUMNS];
        Self {
            dim,
            sums: (0..dim.div_ceil(COLUMNS)).map(panel).collect(),
        }
    }

    /// Adds the products of at most [`BLOCK`] finite rows `[n, dim]` relative to `mean` `[dim]`.
    pub(crate) fn add(&mut self, rows: &[f32], mean: &[f32]) {
        assert!(
            rows.len() <= BLOCK * self.dim,
            "more rows than sums can hold"
        );
        let panels: Vec<Panel> = (0..self.dim.div_ceil(band::COLUMNS))
            .into_par_iter()
            .flat_map_iter(|number| band::panels(rows, mean, number * band::COLUMNS))
            .collect();
        let path = IntegerUnit::detect();
        self.sums
            .par_iter_mut()
            .zip(&panels)
            .for_each(|(sums, right)| {
                let mut tile = [[0; COLUMNS]; COLUMNS];
                let tiles = sums.as_chunks_mut::<COLUMNS>().0;
                for (sums, left) in tiles.chunks_exact_mut(COLUMNS).zip(&panels) {
                    // Of its own products a panel has the others by symmetry.
                    let half = std::ptr::eq(left, right);
                    path.tile(left, right, half, &mut tile);
                    add_tile(&tile, &left.steps, &right.steps, sums);
                }
            });
    }

    /// The symmetric matrix `[dim, dim]` of all sums.
    pub(crate) fn into_matrix(self) -> Vec<f64> {
        let mut matrix = vec![0.0; self.dim * self.dim];
        for (right, sums) in self.sums.iter().enumerate() {
            for (place, &sum) in sums.iter().enumerate() {
                let (row, lane) = (place / COLUMNS, place % COLUMNS);
                let column = right * COLUMNS + lane;
                if row <= column && column < self.dim {
                    matrix[row * self.dim + column] = sum;
                    matrix[column * self.dim + row] = sum;
                }
            }
        }
        matrix
    }
}

multiversion! {
    /// Adds whole products times what they are multiples of.
    fn add_tile(tile: &Tile, left: &[f64; COLUMNS], right: &[f64; COLUMNS], sums: &mut [[f64; COLUMNS]]) = add_products;
}

#[inline(always)]
fn add_products<const FMA: bool>(
    tile: &Tile,
    left: &[f64; COLUMNS],
    right: &[f64; COLUMNS],
    sums: &mut [[f64; COLUMNS]],
) {
    for ((sums, row), step) in sums.iter_mut().zip(tile).zip(left) {
        for lane in 0..COLUMNS {
            sums[lane] += f64::from(row[lane]) * (step * right[lane]);
        }
    }
}

impl IntegerUnit {
    /// The products of all pairs of columns of two panels, or `half` of them: those of left columns up to
    /// the right one, and some others.
    #[allow(unsafe_code, reason = "calls a function compiled for AVX2")]
    fn tile(self, left: &Panel, right: &Panel, half: bool, tile: &mut Tile) {
        match self {
            Self::Portable => each_part(left, right, half, tile, portable_sums),
            // SAFETY: `detect` found AVX2 on this CPU, and nothing else makes this variant.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2::tile(left, right, half, tile) },
        }
    }
}

/// Fills a tile from the products of `TALL` columns with `WIDE` others.
#[inline(always)]
fn each_part(
    left: &Panel,
    right: &Panel,
    half: bool,
    tile: &mut Tile,
    sums: impl Fn(&[Pairs<TALL>], &[Pairs<WIDE>]) -> [[i32; WIDE]; TALL],
) {
    let pairs = (left.tall.len() * TALL / COLUMNS).max(1);
    for (right, first) in right.wide.chunks_exact(pairs).zip((0..).step_by(WIDE)) {
        let rows = tile.as_chunks_mut::<TALL>().0;
        let wanted = match half {
            true => (first + WIDE).div_ceil(TALL),
            false => rows.len(),
        };
        for (rows, left) in rows[..wanted].iter_mut().zip(left.tall.chunks_exact(pairs)) {
            for (row, sums) in rows.iter_mut().zip(sums(left, right)) {
                row[first..][..WIDE].copy_from_slice(&sums);
            }
        }
    }
}

fn portable_sums(left: &[Pairs<TALL>], right: &[Pairs<WIDE>]) -> [[i32; WIDE]; TALL] {
    let mut all = [[0i32; WIDE]; TALL];
    for (left, right) in left.iter().zip(right) {
        for (sums, &l) in all.iter_mut().zip(left) {
            for (sum, &r) in sums.iter_mut().zip(right) {
                let upper = i32::from(l as i16) * i32::from(r as i16);
                let lower = (l >> 16) * (r >> 16);
                *sum = sum.wrapping_add(upper.wrapping_add(lower));
            }
        }
    }
    all
}
