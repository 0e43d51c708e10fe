//! Products of packed pairs of bfloat16 numbers by AVX-512 BF16's dot product instruction.
//!
//! Both sides are cut into blocks that fit the caches and packed as panels of neighbouring rows (of
//! the left side) or columns (of the right side), two inner steps in each 32-bit value. Sums run in
//! the order of the inner dimension, whatever the number of threads.

#![allow(unsafe_code, reason = "the instruction has no safe form")]

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_setzero_ps, _mm512_storeu_ps,
};
use std::mem::{MaybeUninit, transmute};
use std::sync::OnceLock;

use rayon::prelude::*;

use super::bf16_bits;
use crate::kernels::multiversion::multiversion;
use crate::kernels::product::{Matrix, Target, Threads};

/// Inner steps per block, a multiple of 2: a panel of the right side stays in the first-level cache.
const INNER: usize = 384;

/// Most rows per block, a multiple of [`HEIGHT`]: a block of the left side stays in the second-level
/// cache.
const ROWS: usize = 96;

/// Columns of the right side that are packed at once, a multiple of [`WIDTH`].
const COLUMNS: usize = 1024;

/// Rows of a tile.
const HEIGHT: usize = 12;

/// Columns of a tile: two registers.
const WIDTH: usize = 32;

/// Multiplications from which a product is spread over threads.
const PARALLEL: usize = 1 << 20;

type Tile = [[f32; WIDTH]; HEIGHT];

/// Whether this machine has the instruction.
pub(super) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
    })
}

/// `left · right`, written to the target, or added to what it holds. The machine must have the
/// instruction.
pub(super) fn multiply(
    left: Matrix<'_>,
    right: Matrix<'_>,
    target: Target<'_>,
    add: bool,
    threads: Threads,
) {
    assert!(available(), "this machine has no AVX-512 BF16");
    let (m, n, k) = (left.rows, right.columns, left.columns);
    let parallel = threads == Threads::Pool && m * n * k >= PARALLEL;
    let share = m.div_ceil(rayon::current_num_threads());
    let rows = if parallel { share.clamp(1, ROWS) } else { ROWS };
    let rows = rows.next_multiple_of(HEIGHT);
    let stride = target.row_stride;
    let mut panels = Vec::new();
    for columns in blocks(n, COLUMNS) {
        for inner in blocks(k, INNER) {
            let block = right.part(inner.clone(), columns.clone());
            pack(block.transpose(), WIDTH, &mut panels);
            let work = |at: usize, target: &mut [MaybeUninit<f32>], packed: &mut Vec<u32>| {
                let rows = at * rows..((at + 1) * rows).min(m);
                pack(left.part(rows.clone(), inner.clone()), HEIGHT, packed);
                let target = Target {
                    values: &mut target[columns.start..],
                    row_stride: stride,
                };
                let size = [rows.len(), columns.len()];
                tiles(packed, &panels, size, target, add || inner.start > 0);
            };
            let pieces = m.div_ceil(rows);
            if parallel {
                let targets = target.values.par_chunks_mut(rows * stride).take(pieces);
                targets
                    .enumerate()
                    .for_each_init(Vec::new, |packed, (at, target)| work(at, target, packed));
            } else {
                let mut packed = Vec::new();
                let targets = target.values.chunks_mut(rows * stride).take(pieces);
                for (at, target) in targets.enumerate() {
                    work(at, target, &mut packed);
                }
            }
        }
    }
}

/// `0..n` in pieces of `length`.
fn blocks(n: usize, length: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..n)
        .step_by(length)
        .map(move |first| first..(first + length).min(n))
}

/// `[rows, inner]` → `[panels][⌈inner/2⌉][height]`, filled up with zeros.
fn pack(block: Matrix<'_>, height: usize, packed: &mut Vec<u32>) {
    let steps = block.columns.div_ceil(2);
    packed.clear();
    packed.resize(block.rows.div_ceil(height) * steps * height, 0);
    let panels = packed.chunks_exact_mut(steps * height);
    for (panel, rows) in panels.zip(blocks(block.rows, height)) {
        let panel_rows = block.part(rows, 0..block.columns);
        match panel_rows.rows_in_order() {
            true => pack_rows(panel_rows, height, panel),
            false => pack_columns(panel_rows, height, panel),
        }
    }
}

multiversion! {
    fn pack_rows(rows: Matrix<'_>, height: usize, panel: &mut [u32]) = pack_rows_loop;
    fn pack_columns(rows: Matrix<'_>, height: usize, panel: &mut [u32]) = pack_columns_loop;
}

/// Of rows whose numbers lie side by side: pairs are neighbours.
#[inline(always)]
fn pack_rows_loop<const FMA: bool>(rows: Matrix<'_>, height: usize, panel: &mut [u32]) {
    let mut pairs = [0; INNER / 2];
    for row in 0..rows.rows {
        let (neighbours, last) = rows.line(row).as_chunks::<2>();
        for (pair, [low, high]) in pairs.iter_mut().zip(neighbours) {
            *pair = bf16_bits(*low) | bf16_bits(*high) << 16;
        }
        if let [last] = last {
            pairs[neighbours.len()] = bf16_bits(*last);
        }
        for (line, pair) in panel.chunks_exact_mut(height).zip(pairs) {
            line[row] = pair;
        }
    }
}

/// Of columns whose numbers lie side by side: pairs are made of two columns.
#[inline(always)]
fn pack_columns_loop<const FMA: bool>(rows: Matrix<'_>, height: usize, panel: &mut [u32]) {
    let columns = rows.transpose();
    for (line, step) in panel.chunks_exact_mut(height).zip((0..).step_by(2)) {
        for (pair, &low) in line.iter_mut().zip(columns.line(step)) {
            *pair = bf16_bits(low);
        }
        if step + 1 < columns.rows {
            for (pair, &high) in line.iter_mut().zip(columns.line(step + 1)) {
                *pair |= bf16_bits(high) << 16;
            }
        }
    }
}

/// All tiles of one packed block with all packed panels; `size` are the rows and columns that exist.
fn tiles(left: &[u32], right: &[u32], size: [usize; 2], target: Target<'_>, add: bool) {
    let [rows, columns] = size;
    let steps = left.len() / rows.next_multiple_of(HEIGHT);
    let mut sums: Tile = [[0.0; WIDTH]; HEIGHT];
    for (right, columns) in right
        .chunks_exact(steps * WIDTH)
        .zip(blocks(columns, WIDTH))
    {
        for (left, rows) in left.chunks_exact(steps * HEIGHT).zip(blocks(rows, HEIGHT)) {
            // SAFETY: `multiply` made sure of the instructions, before it was called.
            unsafe { tile(left, right, &mut sums) };
            for (sums, row) in sums.iter().zip(rows) {
                let start = row * target.row_stride + columns.start;
                let out = &mut target.values[start..start + columns.len()];
                for (out, &sum) in out.iter_mut().zip(sums) {
                    if add {
                        // SAFETY: with `add` the target holds numbers, by the caller or by the
                        // block before.
                        out.write(unsafe { out.assume_init_read() } + sum);
                    } else {
                        out.write(sum);
                    }
                }
            }
        }
    }
}

/// The product of a panel of [`HEIGHT`] rows with one of [`WIDTH`] columns.
///
/// # Safety
/// The machine must have AVX-512 BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile(left: &[u32], right: &[u32], sums: &mut Tile) {
    // SAFETY: zero is a value of this type; both types are 64 plain bytes in what follows, and every
    // load and store covers the 16 values of an array of that length.
    unsafe {
        let mut lanes: [[__m512; 2]; HEIGHT] = [[_mm512_setzero_ps(); 2]; HEIGHT];
        let (left, right) = (left.as_chunks::<HEIGHT>().0, right.as_chunks::<WIDTH>().0);
        for (rows, columns) in left.iter().zip(right) {
            let columns = [
                transmute::<__m512i, __m512bh>(_mm512_loadu_si512(columns.as_ptr().cast())),
                transmute::<__m512i, __m512bh>(_mm512_loadu_si512(
                    columns[WIDTH / 2..].as_ptr().cast(),
                )),
            ];
            for (lanes, &row) in lanes.iter_mut().zip(rows) {
                let row = transmute::<__m512i, __m512bh>(_mm512_set1_epi32(row.cast_signed()));
                lanes[0] = _mm512_dpbf16_ps(lanes[0], row, columns[0]);
                lanes[1] = _mm512_dpbf16_ps(lanes[1], row, columns[1]);
            }
        }
        for (sums, lanes) in sums.iter_mut().zip(lanes) {
            _mm512_storeu_ps(sums.as_mut_ptr(), lanes[0]);
            _mm512_storeu_ps(sums[WIDTH / 2..].as_mut_ptr(), lanes[1]);
        }
    }
}
