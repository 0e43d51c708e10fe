//! Matrix products straight into their place, with the very crate that burn-flex multiplies with.

use std::mem::MaybeUninit;

use gemm::Parallelism;

use super::buffer::written;

/// Multiplications from which a product is spread over threads.
const PARALLEL: usize = 1 << 20;

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
    pub(super) fn times(self, right: Matrix<'_>, threads: Threads) -> Vec<f32> {
        let columns = right.columns;
        #[allow(unsafe_code, reason = "multiply writes all of its target")]
        // SAFETY: `multiply` writes `rows` rows of `columns` numbers, without gaps between them.
        unsafe {
            written(self.rows * columns, |values| {
                multiply(self, right, Target::rows(values, columns), threads);
            })
        }
    }
}

/// Writes `left · right` to `target`; what lies between its rows stays as it is.
pub(super) fn multiply(left: Matrix<'_>, right: Matrix<'_>, target: Target<'_>, threads: Threads) {
    product(left, right, target, false, threads);
}

/// Adds `left · right` to `target`, which holds numbers already.
pub(super) fn multiply_add(
    left: Matrix<'_>,
    right: Matrix<'_>,
    target: &mut [f32],
    row_stride: usize,
) {
    let target = Target {
        values: super::buffer::overwrite(target),
        row_stride,
    };
    product(left, right, target, true, Threads::One);
}

#[allow(unsafe_code, reason = "gemm takes pointers")]
fn product(left: Matrix<'_>, right: Matrix<'_>, target: Target<'_>, add: bool, threads: Threads) {
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
    let parallelism = match threads {
        Threads::Pool if m * n * k >= PARALLEL => Parallelism::Rayon(0),
        _ => Parallelism::None,
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
