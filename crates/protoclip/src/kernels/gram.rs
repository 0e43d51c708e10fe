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
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::elementary::NO_FRACTION;
use super::multiversion::{IntegerUnit, multiversion};

/// Rows that are rounded together: two panels of them fit into the first cache.
pub(crate) const BLOCK: usize = 384;

/// Columns of one panel.
const COLUMNS: usize = 16;

/// Columns whose products with a panel are kept in registers together.
const GROUP: usize = 4;

/// Norm of a column after rounding: its square stays below 2³¹.
const NORM: f64 = 46_000.0;

/// One pair of rows in the columns of a panel: 16 bits of the first row below 16 of the second.
type Pairs = [i32; COLUMNS];

/// Products of one panel's columns with another's.
type Tile = [[i32; COLUMNS]; COLUMNS];

/// Sums of products of columns, upper triangle.
#[derive(Debug)]
pub(crate) struct Gram {
    dim: usize,
    /// For every panel of columns its products with itself and all before, `[panel + 1][16][16]`.
    sums: Vec<Vec<f64>>,
}

/// A block of rows in 16 columns.
struct Panel {
    pairs: Vec<Pairs>,
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
        let panels: Vec<Panel> = (0..self.sums.len())
            .into_par_iter()
            .map(|number| Panel::new(rows, mean, number * COLUMNS))
            .collect();
        let path = IntegerUnit::detect();
        self.sums
            .par_iter_mut()
            .zip(&panels)
            .for_each(|(sums, right)| {
                let tiles = sums.chunks_exact_mut(COLUMNS * COLUMNS);
                for (sums, left) in tiles.zip(&panels) {
                    let tile = path.tile(&left.pairs, &right.pairs);
                    add_scaled(sums, &tile, &left.steps, &right.steps);
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
                if row < self.dim && column < self.dim {
                    matrix[row * self.dim + column] = sum;
                    matrix[column * self.dim + row] = sum;
                }
            }
        }
        matrix
    }
}

impl Panel {
    /// Rounds the columns from `first` on; those that are missing are 0.
    fn new(rows: &[f32], mean: &[f32], first: usize) -> Self {
        let mut values = centred(rows, mean, first);
        let (mut squares, mut largest) = ([0.0; COLUMNS], [0.0; COLUMNS]);
        measure(&values, &mut squares, &mut largest);
        let steps = std::array::from_fn(|lane| step(squares[lane], largest[lane]));
        if !values.len().is_multiple_of(2) {
            values.push([0.0; COLUMNS]);
        }
        let mut pairs = vec![[0; COLUMNS]; values.len() / 2];
        round_pairs(&values, &steps.map(|step| (1.0 / step) as f32), &mut pairs);
        Self { pairs, steps }
    }
}

/// The columns from `first` on relative to `mean`; those that are missing are 0.
fn centred(rows: &[f32], mean: &[f32], first: usize) -> Vec<[f32; COLUMNS]> {
    let dim = mean.len();
    let present = COLUMNS.min(dim - first);
    let take = |row: &[f32]| match row[first..].first_chunk::<COLUMNS>() {
        Some(values) => *values,
        None => {
            let mut values = [0.0; COLUMNS];
            values[..present].copy_from_slice(&row[first..]);
            values
        }
    };
    let origin = take(mean);
    let centred = |row: &[f32]| {
        let values = take(row);
        std::array::from_fn(|lane| values[lane] - origin[lane])
    };
    rows.chunks_exact(dim).map(centred).collect()
}

/// The finest step of a column that keeps its norm and its numbers in range.
fn step(square: f64, largest: f32) -> f64 {
    let step = (square.sqrt() / NORM).max(f64::from(largest) / 32_000.0);
    // Columns of nothing, or of less than f32 divides by, stay 0 with any step.
    step.max(f64::from(f32::MIN_POSITIVE))
}

multiversion! {
    /// Sums of squares and largest magnitudes of columns.
    fn measure(
        rows: &[[f32; COLUMNS]],
        squares: &mut [f64; COLUMNS],
        largest: &mut [f32; COLUMNS],
    ) = measure_loop;

    /// Whole numbers of `inverse` steps, two rows together.
    fn round_pairs(
        rows: &[[f32; COLUMNS]],
        inverse: &[f32; COLUMNS],
        pairs: &mut [Pairs],
    ) = round_pairs_loop;

    /// Adds products to sums, each times the steps of its columns.
    fn add_scaled(
        sums: &mut [f64],
        products: &Tile,
        left: &[f64; COLUMNS],
        right: &[f64; COLUMNS],
    ) = add_scaled_loop;
}

#[inline(always)]
fn measure_loop<const FMA: bool>(
    rows: &[[f32; COLUMNS]],
    squares: &mut [f64; COLUMNS],
    largest: &mut [f32; COLUMNS],
) {
    for row in rows {
        for lane in 0..COLUMNS {
            squares[lane] += f64::from(row[lane]) * f64::from(row[lane]);
            largest[lane] = largest[lane].max(row[lane].abs());
        }
    }
}

#[inline(always)]
fn round_pairs_loop<const FMA: bool>(
    rows: &[[f32; COLUMNS]],
    inverse: &[f32; COLUMNS],
    pairs: &mut [Pairs],
) {
    for (pair, rows) in pairs.iter_mut().zip(rows.as_chunks::<2>().0) {
        for lane in 0..COLUMNS {
            let whole = |row: usize| round(rows[row][lane] * inverse[lane]);
            pair[lane] = packed(whole(0), whole(1));
        }
    }
}

#[inline(always)]
fn add_scaled_loop<const FMA: bool>(
    sums: &mut [f64],
    products: &Tile,
    left: &[f64; COLUMNS],
    right: &[f64; COLUMNS],
) {
    let rows = sums.chunks_exact_mut(COLUMNS).zip(products);
    for ((sums, products), &step) in rows.zip(left) {
        for lane in 0..COLUMNS {
            sums[lane] += f64::from(products[lane]) * (step * right[lane]);
        }
    }
}

/// To the nearest whole number, ties to even.
#[inline(always)]
fn round(value: f32) -> i16 {
    (value + NO_FRACTION).to_bits() as i16
}

#[inline(always)]
fn packed(upper: i16, lower: i16) -> i32 {
    i32::from(upper as u16) | i32::from(lower) << 16
}

impl IntegerUnit {
    /// The products of all pairs of columns of two panels.
    #[allow(unsafe_code, reason = "calls a function compiled for AVX2")]
    fn tile(self, left: &[Pairs], right: &[Pairs]) -> Tile {
        match self {
            Self::Portable => portable_tile(left, right),
            // SAFETY: `detect` found AVX2 on this CPU, and nothing else makes this variant.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2::tile(left, right) },
        }
    }
}

fn portable_tile(left: &[Pairs], right: &[Pairs]) -> Tile {
    let mut tile = [[0i32; COLUMNS]; COLUMNS];
    for (left, right) in left.iter().zip(right) {
        for (sums, &l) in tile.iter_mut().zip(left) {
            for (sum, &r) in sums.iter_mut().zip(right) {
                let upper = i32::from(l as i16) * i32::from(r as i16);
                let lower = (l >> 16) * (r >> 16);
                *sum = sum.wrapping_add(upper.wrapping_add(lower));
            }
        }
    }
    tile
}
