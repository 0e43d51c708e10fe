//! Rounding of a block of rows, some panels of columns at a time.
//!
//! A row of a band is a stretch that memory gives at once; single panels would take a part of it each and
//! come back for the next.

use super::super::multiversion::multiversion;
use super::{Pairs, Panel, TALL, WIDE};

/// Panels of one band.
const PANELS: usize = 2;

/// Columns of one band.
pub(super) const COLUMNS: usize = PANELS * super::COLUMNS;

/// Norm of a column after rounding: its square stays below 2³¹.
const NORM: f64 = 46_000.0;

/// Largest number after rounding.
const LARGEST: f64 = 32_000.0;

/// One row in the columns of a band.
type Row = [f32; COLUMNS];

/// What the steps of a band's columns depend on.
pub(super) struct Extent {
    squares: [f64; COLUMNS],
    largest: Row,
}

/// Rounds the columns from `first` on of rows `[n, dim]` relative to `mean` `[dim]`; those that are missing
/// in the last panel are 0.
pub(super) fn panels(rows: &[f32], mean: &[f32], first: usize) -> Vec<Panel> {
    let dim = mean.len();
    let count = rows.len() / dim;
    let present = COLUMNS.min(dim - first);
    let mut origin = [0.0; COLUMNS];
    origin[..present].copy_from_slice(&mean[first..][..present]);
    let mut centred = vec![[0.0; COLUMNS]; count.next_multiple_of(2)];
    for (centred, row) in centred.iter_mut().zip(rows.chunks_exact(dim)) {
        centred[..present].copy_from_slice(&row[first..][..present]);
    }
    let mut extent = Extent {
        squares: [0.0; COLUMNS],
        largest: [0.0; COLUMNS],
    };
    centre(&mut centred[..count], &origin, &mut extent);
    let steps = extent.steps();
    let inverse = steps.map(|step| (1.0 / step) as f32);
    let wide_parts = super::COLUMNS / WIDE;
    let (steps, _) = steps.as_chunks::<{ super::COLUMNS }>();
    (0..present.div_ceil(super::COLUMNS))
        .map(|number| {
            let mut wide = vec![[0; WIDE]; wide_parts * centred.len() / 2];
            for (part, pairs) in wide.chunks_exact_mut(centred.len() / 2).enumerate() {
                whole(&centred, &inverse, number * wide_parts + part, pairs);
            }
            Panel {
                tall: tall(&wide, centred.len() / 2),
                wide,
                steps: steps[number],
            }
        })
        .collect()
}

multiversion! {
    /// Takes the origin from all rows and measures them.
    fn centre(rows: &mut [Row], origin: &Row, extent: &mut Extent) = centre_rows;
    /// The whole numbers of one part of `WIDE` columns.
    fn whole(rows: &[Row], inverse: &Row, part: usize, pairs: &mut [Pairs<WIDE>]) = whole_numbers;
}

#[inline(always)]
fn centre_rows<const FMA: bool>(rows: &mut [Row], origin: &Row, extent: &mut Extent) {
    let Extent { squares, largest } = extent;
    for row in rows {
        for lane in 0..COLUMNS {
            let value = row[lane] - origin[lane];
            row[lane] = value;
            squares[lane] += f64::from(value) * f64::from(value);
            largest[lane] = largest[lane].max(value.abs());
        }
    }
}

#[inline(always)]
fn whole_numbers<const FMA: bool>(
    rows: &[Row],
    inverse: &Row,
    part: usize,
    pairs: &mut [Pairs<WIDE>],
) {
    let inverse = &inverse.as_chunks::<WIDE>().0[part];
    for (pairs, [upper, lower]) in pairs.iter_mut().zip(rows.as_chunks::<2>().0) {
        let upper = &upper.as_chunks::<WIDE>().0[part];
        let lower = &lower.as_chunks::<WIDE>().0[part];
        for lane in 0..WIDE {
            let upper = round(upper[lane] * inverse[lane]);
            let lower = round(lower[lane] * inverse[lane]);
            pairs[lane] = (upper & 0xffff | lower << 16).cast_signed();
        }
    }
}

/// To the nearest whole number, ties to even, in the lower 16 bits: the last bits of a sum with
/// 1.5 · 2²³ count ones.
#[inline(always)]
fn round(value: f32) -> u32 {
    (value + 12_582_912.0).to_bits()
}

/// A panel's other layout: `[COLUMNS / WIDE][pairs]` as `[COLUMNS / TALL][pairs]`.
fn tall(wide: &[Pairs<WIDE>], pairs: usize) -> Vec<Pairs<TALL>> {
    let mut tall = vec![[0; TALL]; super::COLUMNS / TALL * pairs];
    for pair in 0..pairs {
        let mut row = [0; super::COLUMNS];
        for (row, wide) in row
            .as_chunks_mut()
            .0
            .iter_mut()
            .zip(wide.chunks_exact(pairs))
        {
            *row = wide[pair];
        }
        for (tall, row) in tall.chunks_exact_mut(pairs).zip(row.as_chunks().0) {
            tall[pair] = *row;
        }
    }
    tall
}

impl Extent {
    /// The finest step of each column that keeps its norm and its numbers in range.
    fn steps(&self) -> [f64; COLUMNS] {
        std::array::from_fn(|lane| {
            let step = self.squares[lane].sqrt() / NORM;
            let step = step.max(f64::from(self.largest[lane]) / LARGEST);
            // Columns of nothing, or of less than f32 divides by, stay 0 with any step.
            step.max(f64::from(f32::MIN_POSITIVE))
        })
    }
}
