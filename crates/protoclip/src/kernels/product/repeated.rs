//! A right operand that many blocks of rows are multiplied with, so that what follows a product can be done
//! while a block is still in the cache.

use std::mem::MaybeUninit;

#[cfg(target_arch = "x86_64")]
use super::blocked::{self, Base, Panels, Start};
#[cfg(target_arch = "x86_64")]
use super::takes_blocks;
#[cfg(target_arch = "x86_64")]
use super::tile::Line;
use super::{Matrix, PARALLEL, Target, Threads, multiply};
use crate::config::Precision;
use crate::kernels::buffer::initialised;
use crate::kernels::dense::{add_all, add_to_rows};

/// Rows below which a thread's share may be summed in another order than the whole: as a product of a
/// matrix and a vector.
const FEW_ROWS: usize = 4;

/// `x · weight + bias` for blocks of rows.
#[derive(Debug)]
pub(in crate::kernels) struct Repeated<'a> {
    rows: usize,
    weight: Matrix<'a>,
    /// As long as the weight has columns; absent for a product alone.
    bias: Option<&'a [f32]>,
    precision: Precision,
    #[cfg(target_arch = "x86_64")]
    packed: Option<(Panels, Vec<Line>)>,
}

impl<'a> Repeated<'a> {
    /// For `rows` rows in all. Packs the weight, by the threads of the current pool, where that helps.
    pub(in crate::kernels) fn new(
        rows: usize,
        weight: Matrix<'a>,
        bias: Option<&'a [f32]>,
        precision: Precision,
    ) -> Self {
        assert!(bias.is_none_or(|bias| bias.len() == weight.columns));
        #[cfg(target_arch = "x86_64")]
        let packed = (precision == Precision::F32
            && takes_blocks([rows, weight.columns, weight.rows]))
        .then(|| {
            let bias = bias.map_or_else(Vec::new, blocked::lines_of);
            (Panels::pack(weight, rayon::current_num_threads()), bias)
        });
        Self {
            rows,
            weight,
            bias,
            precision,
            #[cfg(target_arch = "x86_64")]
            packed,
        }
    }

    /// How many rows to multiply at once.
    pub(in crate::kernels) fn rows_of_block(&self) -> usize {
        let threads = rayon::current_num_threads();
        #[cfg(target_arch = "x86_64")]
        if self.packed.is_some() {
            return blocked::rows_of_block(self.rows, threads);
        }
        let multiplications = self.rows * self.weight.rows * self.weight.columns;
        match multiplications < PARALLEL || self.rows < threads * FEW_ROWS {
            true => self.rows.max(1),
            false => self.rows.div_ceil(threads),
        }
    }

    /// Writes `x · weight + bias`, and `base`, of the output's size, added to it; returns the output.
    #[allow(unsafe_code, reason = "products write all of their targets")]
    pub(in crate::kernels) fn multiply<'b>(
        &self,
        x: &[f32],
        base: Option<&[f32]>,
        output: &'b mut [MaybeUninit<f32>],
    ) -> &'b mut [f32] {
        let columns = self.weight.columns;
        let left = Matrix::new(x, self.weight.rows);
        assert_eq!(left.rows * columns, output.len(), "room for a product");
        let target = Target::rows(output, columns);
        #[cfg(target_arch = "x86_64")]
        if let Some((panels, bias)) = &self.packed {
            let base = base.map_or(Base::Nothing, |base| Base::Rows(Matrix::new(base, columns)));
            panels.multiply(left, Start::new(bias, base), target);
            // SAFETY: the product wrote all rows and columns, which lie without gaps.
            return unsafe { initialised(output) };
        }
        multiply(left, self.weight, target, Threads::One, self.precision);
        // SAFETY: as above.
        let output = unsafe { initialised(output) };
        if let Some(bias) = self.bias {
            add_to_rows(output, bias);
        }
        if let Some(base) = base {
            add_all(output, base);
        }
        output
    }
}
