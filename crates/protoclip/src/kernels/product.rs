//! Matrix products straight into their place: by [`blocked`] where the CPU suits it, else with the very crate
//! that burn-flex multiplies with.

#[cfg(target_arch = "x86_64")]
mod blocked;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vectors are read and written by address")]
mod packing;
mod repeated;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "operands are read and written by address")]
mod tile;

use std::mem::MaybeUninit;
use std::ops::Range;

use gemm::Parallelism;

use super::bf16_product;
use super::buffer::{overwrite, written};
use crate::config::Precision;

pub(super) use repeated::Repeated;

/// Multiplications from which a product is spread over threads.
const PARALLEL: usize = 1 << 20;

/// Multiplications from which [`blocked`] is faster than the crate, and the least size of each side.
#[cfg(target_arch = "x86_64")]
const BLOCKED: (usize, usize) = (1 << 16, 4);

/// A matrix inside a slice: element (i, j) at `i·row_stride + j·column_stride`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// Where a product goes: row i starts at `i·row_stride`.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) values: &'a mut [MaybeUninit<f32>],
    pub(super) row_stride: usize,
}

/// Whether the product is spread over the current rayon pool when it is large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    One,
    Pool,
}

impl<'a> Target<'a> {
    /// Rows of `columns` numbers without gaps.
    pub(super) fn rows(values: &'a mut [MaybeUninit<f32>], columns: usize) -> Self {
        Self {
            values,
            row_stride: columns,
        }
    }
}

impl<'a> Matrix<'a> {
    /// As many rows of `columns` numbers as there are.
    pub(super) fn new(values: &'a [f32], columns: usize) -> Self {
        Self::strided(values, [values.len() / columns, columns], columns)
    }

    /// `rows` of `columns` numbers whose starts are `row_stride` apart.
    ///
    /// # Panics
    /// When the last row does not fit.
    pub(super) fn strided(
        values: &'a [f32],
        [rows, columns]: [usize; 2],
        row_stride: usize,
    ) -> Self {
        let fits = rows == 0 || (rows - 1) * row_stride + columns <= values.len();
        assert!(fits, "a matrix reaches beyond its slice");
        Self {
            values,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// A block of it.
    ///
    /// # Panics
    /// When it reaches beyond the matrix.
    pub(super) fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && columns.end <= self.columns);
        let start = rows.start * self.row_stride + columns.start * self.column_stride;
        Self {
            values: &self.values[start..],
            rows: rows.len(),
            columns: columns.len(),
            ..self
        }
    }

    /// Whether the numbers of a row lie side by side; else those of a column do.
    pub(super) fn rows_in_order(self) -> bool {
        self.column_stride == 1
    }

    /// One row of a matrix whose [rows are in order](Self::rows_in_order).
    #[inline(always)]
    pub(super) fn line(self, row: usize) -> &'a [f32] {
        debug_assert!(self.rows_in_order());
        &self.values[row * self.row_stride..][..self.columns]
    }

    /// The slice from its first to its last element; the matrix is not empty.
    pub(super) fn span(self) -> &'a [f32] {
        let last = (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride;
        &self.values[..=last]
    }

    /// The same matrix of other values, laid out as its [`span`](Self::span).
    pub(super) fn with<'b>(self, values: &'b [f32]) -> Matrix<'b> {
        assert_eq!(values.len(), self.span().len(), "values of a matrix");
        Matrix {
            values,
            rows: self.rows,
            columns: self.columns,
            row_stride: self.row_stride,
            column_stride: self.column_stride,
        }
    }

    pub(super) fn transpose(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// `self · right`, row-major.
    pub(super) fn times(
        self,
        right: Matrix<'_>,
        threads: Threads,
        precision: Precision,
    ) -> Vec<f32> {
        let columns = right.columns;
        #[allow(unsafe_code, reason = "multiply writes all of its target")]
        // SAFETY: `multiply` writes `rows` rows of `columns` numbers, without gaps between them.
        unsafe {
            written(self.rows * columns, |values| {
                multiply(
                    self,
                    right,
                    Target::rows(values, columns),
                    threads,
                    precision,
                );
            })
        }
    }
}

/// Writes `left · right` to `target`; what lies between its rows stays as it is.
pub(super) fn multiply(
    left: Matrix<'_>,
    right: Matrix<'_>,
    target: Target<'_>,
    threads: Threads,
    precision: Precision,
) {
    product(left, right, target, false, threads, precision);
}

/// `left · right`, row-major, and the sums of the right operand's columns if they can be had on the way.
pub(super) fn times_and_sums(
    left: Matrix<'_>,
    right: Matrix<'_>,
    precision: Precision,
) -> (Vec<f32>, Option<Vec<f32>>) {
    #[cfg(target_arch = "x86_64")]
    if precision == Precision::F32 && takes_blocks([left.rows, right.columns, left.columns]) {
        let mut sums = None;
        let size = left.rows * right.columns;
        let threads = rayon::current_num_threads();
        #[allow(unsafe_code, reason = "the product writes all of its target")]
        // SAFETY: `multiply_and_sum` writes all rows and columns, without gaps between them.
        let product = unsafe {
            written(size, |values| {
                let target = Target::rows(values, right.columns);
                sums = Some(blocked::multiply_and_sum(left, right, target, threads));
            })
        };
        return (product, sums);
    }
    (left.times(right, Threads::Pool, precision), None)
}

/// Adds `left · right` to `target`, which holds numbers already.
pub(super) fn multiply_add(
    left: Matrix<'_>,
    right: Matrix<'_>,
    target: &mut [f32],
    row_stride: usize,
    precision: Precision,
) {
    let target = Target {
        values: overwrite(target),
        row_stride,
    };
    product(left, right, target, true, Threads::One, precision);
}

fn product(
    left: Matrix<'_>,
    right: Matrix<'_>,
    target: Target<'_>,
    add: bool,
    threads: Threads,
    precision: Precision,
) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    assert_eq!(k, right.rows, "inner sizes of a product");
    if m == 0 || n == 0 {
        return;
    }
    let needed = (m - 1) * target.row_stride + n;
    let fits = needed <= target.values.len() && (m == 1 || n <= target.row_stride);
    assert!(fits, "a product reaches beyond its target");
    if k == 0 {
        if !add {
            for row in target.values.chunks_mut(target.row_stride) {
                row[..n].fill(MaybeUninit::new(0.0));
            }
        }
        return;
    }
    match precision {
        Precision::F32 => multiply_f32(left, right, target, add, threads),
        Precision::Bf16 => bf16_product::multiply(left, right, target, add, threads),
    }
}

/// Whether [`blocked`] is for a product of these rows, columns and inner indices.
#[cfg(target_arch = "x86_64")]
fn takes_blocks(sizes: [usize; 3]) -> bool {
    let (multiplications, side) = BLOCKED;
    blocked::usable()
        && sizes.iter().product::<usize>() >= multiplications
        && sizes.iter().all(|&size| size >= side)
}

/// The product in f32 of sizes that are not 0 and fit; with `add` the target holds numbers.
pub(super) fn multiply_f32(
    left: Matrix<'_>,
    right: Matrix<'_>,
    target: Target<'_>,
    add: bool,
    threads: Threads,
) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    let threads = match threads {
        Threads::Pool if m * n * k >= PARALLEL => rayon::current_num_threads(),
        _ => 1,
    };
    #[cfg(target_arch = "x86_64")]
    if takes_blocks([m, n, k]) {
        return blocked::multiply(left, right, target, add, threads);
    }
    multiply_by_crate(left, right, target, add, threads);
}

#[allow(unsafe_code, reason = "gemm takes pointers")]
fn multiply_by_crate(
    left: Matrix<'_>,
    right: Matrix<'_>,
    target: Target<'_>,
    add: bool,
    threads: usize,
) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    let needed = (m - 1) * target.row_stride + n;
    assert!(needed <= target.values.len() && k == right.rows);
    let parallelism = match threads {
        1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    };
    // SAFETY: a `Matrix` lies inside its slice and `needed` shows the same of the target, whose rows
    // do not overlap; gemm reads the target only when adding, and then it was initialised.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target.values.as_mut_ptr().cast::<f32>(),
            1,
            target.row_stride as isize,
            add,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests;
