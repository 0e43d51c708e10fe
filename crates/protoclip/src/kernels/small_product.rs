//! Products of small strided matrices, for attention over a few dozen tokens.

use super::elementary::fma;

/// Rows of the result that are held in registers together.
const ROWS: usize = 4;

/// A row-major matrix inside a larger slice: row i starts at `i · stride`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strided<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
}

impl<'a> Strided<'a> {
    #[inline(always)]
    pub(super) fn new(data: &'a [f32], stride: usize) -> Self {
        Self { data, stride }
    }
}

/// Writes `left [rows, inner] · right [inner, columns]` to `out`, whose rows are `out_stride` apart.
#[inline(always)]
pub(super) fn multiply<const FMA: bool>(
    left: Strided<'_>,
    right: Strided<'_>,
    out: &mut [f32],
    out_stride: usize,
    [rows, inner, columns]: [usize; 3],
) {
    let mut column = 0;
    while column < columns {
        let right = Strided {
            data: &right.data[column..],
            ..right
        };
        let out = &mut out[column..];
        column += match columns - column {
            16.. => strip::<FMA, 16>(left, right, out, out_stride, rows, inner),
            8.. => strip::<FMA, 8>(left, right, out, out_stride, rows, inner),
            _ => strip::<FMA, 1>(left, right, out, out_stride, rows, inner),
        };
    }
}

/// All rows of `COLUMNS` columns; returns `COLUMNS`.
///
/// The last block moves up so that it is full, and computes some rows a second time: one block of
/// single rows costs more than that.
#[inline(always)]
fn strip<const FMA: bool, const COLUMNS: usize>(
    left: Strided<'_>,
    right: Strided<'_>,
    out: &mut [f32],
    out_stride: usize,
    rows: usize,
    inner: usize,
) -> usize {
    let mut row = 0;
    while row < rows {
        let height = if rows < ROWS { 1 } else { ROWS };
        let first = row.min(rows - height);
        let left = Strided::new(&left.data[first * left.stride..], left.stride);
        let out = &mut out[first * out_stride..];
        match height {
            ROWS => tile::<FMA, ROWS, COLUMNS>(left, right, out, out_stride, inner),
            _ => tile::<FMA, 1, COLUMNS>(left, right, out, out_stride, inner),
        }
        row = first + height;
    }
    COLUMNS
}

/// One block of the result.
#[expect(
    clippy::needless_range_loop,
    reason = "i walks the columns of one matrix and the rows of the other"
)]
#[inline(always)]
fn tile<const FMA: bool, const HEIGHT: usize, const COLUMNS: usize>(
    left: Strided<'_>,
    right: Strided<'_>,
    out: &mut [f32],
    out_stride: usize,
    inner: usize,
) {
    let mut sums = [[0.0; COLUMNS]; HEIGHT];
    let left_rows: [&[f32]; HEIGHT] =
        std::array::from_fn(|r| &left.data[r * left.stride..][..inner]);
    for i in 0..inner {
        let Some(values) = right.data[i * right.stride..].first_chunk::<COLUMNS>() else {
            break;
        };
        for r in 0..HEIGHT {
            let factor = left_rows[r][i];
            for c in 0..COLUMNS {
                sums[r][c] = fma::<FMA>(factor, values[c], sums[r][c]);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        out[r * out_stride..][..COLUMNS].copy_from_slice(sums);
    }
}

/// Writes the transpose of `source [rows, columns]` to `out`, whose `columns` rows are `out_stride`
/// apart; what lies between them stays as it is.
#[inline(always)]
pub(super) fn transpose(
    source: Strided<'_>,
    out: &mut [f32],
    out_stride: usize,
    [rows, columns]: [usize; 2],
) {
    for r in 0..rows {
        let row = &source.data[r * source.stride..][..columns];
        for (c, &value) in row.iter().enumerate() {
            out[c * out_stride + r] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_every_small_shape_are_exact_for_small_integers() {
        let value = |i: usize| ((i * 5) % 7) as f32 - 3.0;
        for rows in [1, 3, 4, 6, 9] {
            for inner in [1, 5, 8] {
                for columns in [1, 7, 8, 16, 25, 31] {
                    let (ls, rs, os) = (inner + 2, columns + 3, columns + 1);
                    let left: Vec<f32> = (0..rows * ls).map(value).collect();
                    let right: Vec<f32> = (0..inner * rs).map(value).collect();
                    let mut out = vec![f32::NAN; rows * os];
                    let sizes = [rows, inner, columns];
                    multiply::<false>(
                        Strided::new(&left, ls),
                        Strided::new(&right, rs),
                        &mut out,
                        os,
                        sizes,
                    );
                    for r in 0..rows {
                        for c in 0..columns {
                            let wanted: f32 = (0..inner)
                                .map(|i| left[r * ls + i] * right[i * rs + c])
                                .sum();
                            assert_eq!(out[r * os + c], wanted, "{rows} {inner} {columns}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_transpose_swaps_rows_and_columns() {
        let source = Strided {
            data: &[1.0, 2.0, 9.0, 3.0, 4.0, 9.0],
            stride: 3,
        };
        let mut out = [0.0; 6];
        transpose(source, &mut out, 3, [2, 2]);
        assert_eq!(out, [1.0, 3.0, 0.0, 2.0, 4.0, 0.0]);
    }
}
