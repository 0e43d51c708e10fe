//! Six rows times sixteen columns of a product in the registers of a CPU with AVX2 and FMA.
//!
//! Twelve sums stay in registers while one pair of loads and six broadcasts feed twelve
//! multiply-adds. An element is always summed in the order of the inner index, wherever in a
//! tile it lies, so that a product does not depend on how it is cut.

use std::arch::x86_64::{
    __m256, _MM_HINT_T0, _mm_prefetch, _mm256_add_ps, _mm256_broadcast_ss, _mm256_fmadd_ps,
    _mm256_load_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

/// Rows of a tile.
pub(super) const ROWS: usize = 6;
/// Columns of a tile.
pub(super) const COLUMNS: usize = 16;
/// Numbers in a register.
const WIDTH: usize = 8;
/// Inner indices per turn of the loop.
const UNROLL: usize = 4;

/// Sixteen numbers that fill one cache line: a row of a panel.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [f32; COLUMNS]);

/// One tile of a product and where its numbers lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile<'a> {
    /// The first number of the left operand's rows.
    pub(super) left: *const f32,
    /// Distance of the left operand's rows when they are not packed.
    pub(super) left_stride: usize,
    /// The right operand's rows, as many as there are inner indices.
    pub(super) right: &'a [Line],
    /// Added to every row.
    pub(super) bias: Option<&'a Line>,
    /// What else is added: its first number and the distance of its rows. It may be the target.
    pub(super) base: Option<(*const f32, usize)>,
    pub(super) target: *mut f32,
    pub(super) target_stride: usize,
    /// How many rows there are, 1 to [`ROWS`].
    pub(super) rows: usize,
    /// How many columns there are, 1 to [`COLUMNS`].
    pub(super) columns: usize,
}

/// Writes one tile.
///
/// The left operand is either `PACKED`, [`ROWS`] numbers for each inner index, or rows
/// `left_stride` apart whose numbers lie side by side.
///
/// # Safety
/// The left operand can be read at `rows` rows (`ROWS` when packed) and `right.len()` inner
/// indices, the base at `rows` rows and `columns` columns, and the target can be written there.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn write<const PACKED: bool>(tile: &Tile<'_>) {
    // SAFETY: the caller's promise is the same.
    unsafe {
        match tile.columns {
            COLUMNS if tile.rows == ROWS => write_whole::<PACKED>(tile),
            columns if columns > WIDTH => write_wide::<PACKED, 2>(tile),
            _ => write_wide::<PACKED, 1>(tile),
        }
    }
}

/// [`write`] of a tile with all rows and columns: nothing is asked while its sums are in registers.
///
/// # Safety
/// As [`write`], and `rows` and `columns` are [`ROWS`] and [`COLUMNS`].
#[target_feature(enable = "avx2,fma")]
unsafe fn write_whole<const PACKED: bool>(tile: &Tile<'_>) {
    // SAFETY: all rows of the target and of the base exist; prefetching reads nothing.
    unsafe {
        let target: [*mut f32; ROWS] =
            std::array::from_fn(|i| tile.target.add(i * tile.target_stride));
        for row in target {
            _mm_prefetch::<_MM_HINT_T0>(row.cast());
            _mm_prefetch::<_MM_HINT_T0>(row.add(COLUMNS - 1).cast());
        }
        let sums = products::<PACKED, true, 2>(tile);
        let sums = match tile.base {
            None => sums,
            Some((base, stride)) => std::array::from_fn(|i| {
                std::array::from_fn(|v| {
                    let base = base.add(i * stride + v * WIDTH);
                    _mm256_add_ps(_mm256_loadu_ps(base), sums[i][v])
                })
            }),
        };
        for (row, sums) in target.into_iter().zip(sums) {
            _mm256_storeu_ps(row, sums[0]);
            _mm256_storeu_ps(row.add(WIDTH), sums[1]);
        }
    }
}

/// [`write`] with as many registers per row as the columns need.
///
/// # Safety
/// As [`write`], and `columns` is at most `VECTORS · WIDTH`.
#[target_feature(enable = "avx2,fma")]
unsafe fn write_wide<const PACKED: bool, const VECTORS: usize>(tile: &Tile<'_>) {
    // SAFETY: `row` is a row of the target; prefetching reads nothing.
    unsafe {
        for i in 0..tile.rows {
            let row = tile.target.add(i * tile.target_stride);
            _mm_prefetch::<_MM_HINT_T0>(row.cast());
            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(VECTORS * WIDTH - 1).cast());
        }
        let sums = products::<PACKED, false, VECTORS>(tile);
        if tile.columns == VECTORS * WIDTH {
            finish(tile, &sums);
        } else {
            finish_columns(tile, &sums);
        }
    }
}

/// The sums of a tile; rows that do not exist repeat the last one.
///
/// # Safety
/// As [`write`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn products<const PACKED: bool, const WHOLE: bool, const VECTORS: usize>(
    tile: &Tile<'_>,
) -> [[__m256; VECTORS]; ROWS] {
    let step = if PACKED { ROWS } else { 1 };
    // SAFETY: packed rows lie side by side; others are those of the left operand, the last of
    // them repeated.
    let mut rows: [*const f32; ROWS] = std::array::from_fn(|i| unsafe {
        if PACKED {
            tile.left.add(i)
        } else if WHOLE {
            tile.left.add(i * tile.left_stride)
        } else {
            tile.left.add(i.min(tile.rows - 1) * tile.left_stride)
        }
    });
    let start: [__m256; VECTORS] = match tile.bias {
        // SAFETY: a line is two registers long and aligned to both.
        Some(line) => {
            std::array::from_fn(|v| unsafe { _mm256_load_ps(line.0.as_ptr().add(v * WIDTH)) })
        }
        None => [_mm256_setzero_ps(); VECTORS],
    };
    let mut sums = [start; ROWS];
    let (turns, rest) = tile.right.as_chunks::<UNROLL>();
    for lines in turns {
        for (index, line) in lines.iter().enumerate() {
            // SAFETY: `index` is one of the inner indices that are left.
            unsafe { add_products(&mut sums, &rows, index * step, line) };
        }
        // Past the last turn the pointers may leave the operand, but then nothing reads them.
        rows = rows.map(|row| row.wrapping_add(UNROLL * step));
    }
    for (index, line) in rest.iter().enumerate() {
        // SAFETY: `index` is one of the inner indices that are left.
        unsafe { add_products(&mut sums, &rows, index * step, line) };
    }
    sums
}

/// Adds the products of one inner index.
///
/// # Safety
/// Every row can be read at `offset`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn add_products<const VECTORS: usize>(
    sums: &mut [[__m256; VECTORS]; ROWS],
    rows: &[*const f32; ROWS],
    offset: usize,
    line: &Line,
) {
    // SAFETY: a line is two registers long and aligned to both.
    let right: [__m256; VECTORS] =
        std::array::from_fn(|v| unsafe { _mm256_load_ps(line.0.as_ptr().add(v * WIDTH)) });
    for (sums, row) in sums.iter_mut().zip(rows) {
        // SAFETY: promised by the caller.
        let left = _mm256_broadcast_ss(unsafe { &*row.add(offset) });
        for (sum, right) in sums.iter_mut().zip(right) {
            *sum = _mm256_fmadd_ps(left, right, *sum);
        }
    }
}

/// Writes the sums of a tile whose registers are full.
///
/// # Safety
/// As [`write`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn finish<const VECTORS: usize>(tile: &Tile<'_>, sums: &[[__m256; VECTORS]; ROWS]) {
    for (i, sums) in sums.iter().enumerate() {
        if i >= tile.rows {
            return;
        }
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: row `i` exists in the base and in the target, and so do its columns.
            unsafe {
                let sum = match tile.base {
                    Some((base, stride)) => {
                        _mm256_add_ps(_mm256_loadu_ps(base.add(i * stride + v * WIDTH)), sum)
                    }
                    None => sum,
                };
                _mm256_storeu_ps(tile.target.add(i * tile.target_stride + v * WIDTH), sum);
            }
        }
    }
}

/// Writes the columns that exist.
///
/// # Safety
/// As [`write`].
#[cold]
#[target_feature(enable = "avx2,fma")]
unsafe fn finish_columns<const VECTORS: usize>(tile: &Tile<'_>, sums: &[[__m256; VECTORS]; ROWS]) {
    for (i, sums) in sums.iter().enumerate().take(tile.rows) {
        let mut row = [0.0; COLUMNS];
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: `row` is as long as two registers.
            unsafe { _mm256_storeu_ps(row.as_mut_ptr().add(v * WIDTH), sum) };
        }
        for (j, sum) in row.iter().enumerate().take(tile.columns) {
            // SAFETY: row `i` and column `j` exist in the base and in the target.
            unsafe {
                let base = tile.base.map(|(base, stride)| *base.add(i * stride + j));
                *tile.target.add(i * tile.target_stride + j) = base.unwrap_or(0.0) + sum;
            }
        }
    }
}
