//! Operands copied into the order in which tiles read them.

use std::arch::x86_64::{
    __m256, _MM_HINT_T0, _mm_prefetch, _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_setzero_ps,
    _mm256_shuffle_ps, _mm256_store_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};
use std::mem::MaybeUninit;

use super::Matrix;
use super::tile::{COLUMNS, Line, ROWS};

/// Side of the squares that are transposed in registers.
const SQUARE: usize = 8;

/// Panels that are packed together: what lies side by side is read at once.
pub(super) const GROUP: usize = 4;
/// Rows by which the cache is asked ahead: each lies on another page, which it does not foresee.
const AHEAD: usize = 8;

/// Copies up to [`GROUP`] panels of [`COLUMNS`] columns, one line for each row of each panel; what is missing
/// is 0.
#[target_feature(enable = "avx2")]
pub(super) fn pack_columns(group: Matrix<'_>, lines: &mut [MaybeUninit<Line>]) {
    let (rows, panels) = (group.rows, group.columns.div_ceil(COLUMNS));
    assert!(panels <= GROUP && rows * panels == lines.len());
    if group.column_stride != 1 {
        for (panel, lines) in lines.chunks_exact_mut(rows).enumerate() {
            let columns = panel * COLUMNS..((panel + 1) * COLUMNS).min(group.columns);
            transpose(group.part(0..rows, columns), lines);
        }
        return;
    }
    for row in 0..rows {
        let start = row * group.row_stride;
        let from = &group.values[start..][..group.columns];
        for (panel, from) in from.chunks(COLUMNS).enumerate() {
            let ahead = from.as_ptr().wrapping_add(AHEAD * group.row_stride);
            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
            lines[panel * rows + row].write(line_of(from));
        }
    }
}

/// The lines of one panel whose columns are in order.
#[target_feature(enable = "avx2")]
fn transpose(panel: Matrix<'_>, lines: &mut [MaybeUninit<Line>]) {
    let (squares, rest) = lines.as_chunks_mut::<SQUARE>();
    let whole = squares.len() * SQUARE;
    for (square, lines) in squares.iter_mut().enumerate() {
        for first_column in (0..COLUMNS).step_by(SQUARE) {
            transpose_square(panel, square * SQUARE, first_column, lines);
        }
    }
    for (row, line) in rest.iter_mut().enumerate() {
        let number = |column| panel.values[whole + row + column * panel.column_stride];
        line.write(Line(std::array::from_fn(|column| {
            if column < panel.columns {
                number(column)
            } else {
                0.0
            }
        })));
    }
}

/// Up to [`COLUMNS`] numbers, and 0 after them.
#[inline]
pub(super) fn line_of(from: &[f32]) -> Line {
    if let Some(&whole) = from.as_array() {
        return Line(whole);
    }
    let mut line = [0.0; COLUMNS];
    line[..from.len()].copy_from_slice(from);
    Line(line)
}

/// Writes rows `first_row` to `first_row + 8` and the eight columns from `first_column` of a panel whose
/// columns are in order; columns that are missing are 0.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose_square(
    panel: Matrix<'_>,
    first_row: usize,
    first_column: usize,
    lines: &mut [MaybeUninit<Line>; SQUARE],
) {
    let columns: [__m256; SQUARE] = std::array::from_fn(|j| {
        let column = first_column + j;
        if column >= panel.columns {
            return _mm256_setzero_ps();
        }
        let start = column * panel.column_stride + first_row;
        let numbers: &[f32; SQUARE] = panel.values[start..].first_chunk().expect("eight rows");
        // SAFETY: eight numbers are a register, which may be read without alignment.
        unsafe { _mm256_loadu_ps(numbers.as_ptr()) }
    });
    for (line, register) in lines.iter_mut().zip(transposed(columns)) {
        // SAFETY: both halves of a line are as long as a register and aligned to it.
        unsafe { _mm256_store_ps(line.as_mut_ptr().cast::<f32>().add(first_column), register) };
    }
}

/// The eight rows of a square whose columns these are.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(c: [__m256; SQUARE]) -> [__m256; SQUARE] {
    const LOW: i32 = 0b01_00_01_00;
    const HIGH: i32 = 0b11_10_11_10;
    let pairs: [__m256; SQUARE] = std::array::from_fn(|i| {
        let (a, b) = (c[i / 2 * 2], c[i / 2 * 2 + 1]);
        if i % 2 == 0 {
            _mm256_unpacklo_ps(a, b)
        } else {
            _mm256_unpackhi_ps(a, b)
        }
    });
    // Of columns 0 to 3 (then 4 to 7): rows i and i + 4, in the two halves of a register.
    let fours: [__m256; SQUARE] = std::array::from_fn(|i| {
        let (a, b) = (
            pairs[i / 4 * 4 + i % 4 / 2],
            pairs[i / 4 * 4 + 2 + i % 4 / 2],
        );
        if i % 2 == 0 {
            _mm256_shuffle_ps::<LOW>(a, b)
        } else {
            _mm256_shuffle_ps::<HIGH>(a, b)
        }
    });
    std::array::from_fn(|i| {
        let (a, b) = (fours[i % 4], fours[4 + i % 4]);
        if i < 4 {
            _mm256_permute2f128_ps::<0x20>(a, b)
        } else {
            _mm256_permute2f128_ps::<0x31>(a, b)
        }
    })
}

/// Copies a block, [`ROWS`] rows after [`ROWS`] rows, to `ROWS` numbers for each column. `packed` keeps its
/// memory, and what it held where rows are missing.
pub(super) fn pack_rows(block: Matrix<'_>, packed: &mut Vec<[f32; ROWS]>) {
    let columns = block.columns;
    packed.resize(block.rows.div_ceil(ROWS) * columns, [0.0; ROWS]);
    if block.row_stride == 1 {
        // Column after column: what lies side by side is read at once.
        for column in 0..columns {
            let from = &block.values[column * block.column_stride..][..block.rows];
            let (whole, rest) = from.as_chunks::<ROWS>();
            for (panel, numbers) in whole.iter().enumerate() {
                packed[panel * columns + column] = *numbers;
            }
            if !rest.is_empty() {
                packed[whole.len() * columns + column][..rest.len()].copy_from_slice(rest);
            }
        }
        return;
    }
    for row in 0..block.rows {
        let to = &mut packed[row / ROWS * columns..][..columns];
        for (to, from) in to.iter_mut().zip(block.line(row)) {
            to[row % ROWS] = *from;
        }
    }
}
