//! Products of f32 matrices on CPUs with AVX2 and FMA, cut into blocks that stay in the caches.
//!
//! The crate `gemm` reaches 55 to 80 % of what the multipliers of such a CPU can do on the long, narrow
//! products of a training step; this reaches 75 to 92 % (`docs/adr/0020`). The right operand is packed
//! into panels of sixteen columns, of which one stays in the first cache, and rows are read where they
//! lie.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::packing::{GROUP, line_of, pack_columns, pack_rows};
use super::tile::{self, COLUMNS, Line, ROWS, Tile};
use super::{Matrix, Target};
use crate::kernels::multiversion::VectorUnit;

/// Most inner indices of a block: a panel of them fills half of the first cache.
const DEPTH: usize = 256;
/// Rows of a block, a multiple of [`ROWS`]: with [`DEPTH`] numbers each, 96 KiB.
const BLOCK_ROWS: usize = 96;
/// Rows whose distance is a multiple of this share their places in the first cache.
const COLLIDING: usize = 1024;
/// Numbers of the right operand from which packing it is spread over threads.
const PARALLEL_PACKING: usize = 1 << 16;

/// Whether this machine runs [`multiply`].
pub(super) fn usable() -> bool {
    VectorUnit::detect() == VectorUnit::Avx2
}

/// A right operand, packed for many blocks of rows.
#[derive(Debug)]
pub(super) struct Panels {
    /// For each block of inner indices, panel after panel.
    lines: Vec<Line>,
    rows: usize,
    columns: usize,
}

/// What is added to a product: a bias for each panel of columns, and numbers of the target's size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'a> {
    bias: &'a [Line],
    base: Base<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Base<'a> {
    Nothing,
    /// What the target holds.
    Target,
    /// A matrix of the target's size whose rows are in order.
    Rows(Matrix<'a>),
}

/// A part of a product: its left operand, where it goes, and what it starts from.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    left: Matrix<'a>,
    start: Start<'a>,
    place: Place,
}

/// Where a product goes, for several threads that write different parts of it.
#[derive(Debug, Clone, Copy)]
struct Place {
    first: *mut f32,
    row_stride: usize,
}

#[allow(unsafe_code, reason = "threads write different parts")]
// SAFETY: `multiply` gives every thread rows or columns of its own.
unsafe impl Send for Place {}
#[allow(unsafe_code, reason = "threads write different parts")]
// SAFETY: as above.
unsafe impl Sync for Place {}

/// Writes `left · right` to the target, or adds it to what the target holds.
///
/// Needs a machine that is [`usable`], sizes that are not 0, and a target that is large enough. Numbers
/// do not depend on `threads`.
pub(super) fn multiply(
    left: Matrix<'_>,
    right: Matrix<'_>,
    target: Target<'_>,
    add: bool,
    threads: usize,
) {
    let start = Start {
        bias: &[],
        base: if add { Base::Target } else { Base::Nothing },
    };
    let part = Part::new(left, right.columns, start, target);
    if left.rows_in_order() || right.rows <= 2 * DEPTH {
        Panels::pack(right, threads).multiply_all(&part, threads);
    } else {
        part.depth_after_depth(right, threads, false);
    }
}

/// Writes `left · right` and returns the sums of the right operand's columns.
///
/// Needs what [`multiply`] needs. Sums are added in an order that the sizes alone decide.
pub(super) fn multiply_and_sum(
    left: Matrix<'_>,
    right: Matrix<'_>,
    target: Target<'_>,
    threads: usize,
) -> Vec<f32> {
    let start = Start {
        bias: &[],
        base: Base::Nothing,
    };
    Part::new(left, right.columns, start, target).depth_after_depth(right, threads, true)
}

/// A bias in lines, with 0 after its end.
pub(super) fn lines_of(bias: &[f32]) -> Vec<Line> {
    bias.chunks(COLUMNS).map(line_of).collect()
}

/// Rows of a block such that every thread gets some.
pub(super) fn rows_of_block(rows: usize, threads: usize) -> usize {
    rows.div_ceil(threads)
        .next_multiple_of(ROWS)
        .min(BLOCK_ROWS)
}

/// Cuts inner indices into blocks of nearly equal length.
fn depths(count: usize) -> impl Iterator<Item = Range<usize>> {
    let depth = count.div_ceil(count.div_ceil(DEPTH));
    pieces(0..count, depth)
}

/// Cuts a range into pieces of this length; the last may be shorter.
fn pieces(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    let starts = range.step_by(length);
    starts.map(move |start| start..(start + length).min(end))
}

impl<'a> Start<'a> {
    pub(super) fn new(bias: &'a [Line], base: Base<'a>) -> Self {
        Self { bias, base }
    }
}

impl Panels {
    /// Packs a matrix, by several threads if it is large.
    pub(super) fn pack(right: Matrix<'_>, threads: usize) -> Self {
        assert!(usable() && right.rows > 0);
        let spread = threads > 1 && right.rows * right.columns >= PARALLEL_PACKING;
        let mut lines = Vec::with_capacity(right.rows * right.columns.div_ceil(COLUMNS));
        for depth in depths(right.rows) {
            append_panels(right.part(depth, 0..right.columns), &mut lines, spread);
        }
        Self {
            lines,
            rows: right.rows,
            columns: right.columns,
        }
    }

    /// Writes `left · self` to a target of as many rows, by this thread.
    pub(super) fn multiply(&self, left: Matrix<'_>, start: Start<'_>, target: Target<'_>) {
        let part = Part::new(left, self.columns, start, target);
        self.multiply_rows(&part, 0..left.rows, &mut Vec::new());
    }

    fn multiply_all(&self, part: &Part<'_>, threads: usize) {
        let rows = part.left.rows;
        if threads > 1 {
            let blocks: Vec<_> = pieces(0..rows, rows_of_block(rows, threads)).collect();
            let blocks = blocks.into_par_iter();
            blocks.for_each_init(Vec::new, |left, rows| self.multiply_rows(part, rows, left));
        } else {
            self.multiply_rows(part, 0..rows, &mut Vec::new());
        }
    }

    fn multiply_rows(&self, part: &Part<'_>, rows: Range<usize>, packed: &mut Vec<[f32; ROWS]>) {
        assert_eq!(part.left.columns, self.rows, "inner sizes of a product");
        let panels = self.columns.div_ceil(COLUMNS);
        let left = part.left;
        let direct = left.rows_in_order() && !left.row_stride.is_multiple_of(COLLIDING);
        for rows in pieces(rows, BLOCK_ROWS) {
            for depth in depths(self.rows) {
                let lines = &self.lines[depth.start * panels..depth.end * panels];
                if !direct {
                    pack_rows(left.part(rows.clone(), depth.clone()), packed);
                }
                let packed = (!direct).then_some(packed.as_slice());
                part.block(rows.clone(), 0..self.columns, depth, lines, packed);
            }
        }
    }
}

impl<'a> Part<'a> {
    /// # Panics
    /// When sizes do not fit each other.
    fn new(left: Matrix<'a>, columns: usize, start: Start<'a>, target: Target<'_>) -> Self {
        let rows = left.rows;
        let fits = rows == 0 || (rows - 1) * target.row_stride + columns <= target.values.len();
        assert!(
            fits && (rows <= 1 || columns <= target.row_stride),
            "room for a product"
        );
        if let Base::Rows(base) = start.base {
            let same = [base.rows, base.columns] == [rows, columns];
            assert!(same && base.rows_in_order(), "numbers to start from");
        }
        Self {
            left,
            start,
            place: Place {
                first: target.values.as_mut_ptr().cast(),
                row_stride: target.row_stride,
            },
        }
    }

    /// Packs both operands block after block of inner indices; threads divide the longer side. Returns
    /// the sums of the right operand's columns if they are wanted.
    fn depth_after_depth(&self, right: Matrix<'_>, threads: usize, sum: bool) -> Vec<f32> {
        assert!(usable() && self.left.columns == right.rows && right.rows > 0);
        let (rows, columns) = (self.left.rows, right.columns);
        let share = |side: usize, unit: usize| side.div_ceil(threads).next_multiple_of(unit);
        let cuts: Vec<_> = if rows > columns {
            let cuts = pieces(0..rows, share(rows, ROWS));
            cuts.map(|rows| (rows, 0..columns)).collect()
        } else {
            let cuts = pieces(0..columns, share(columns, COLUMNS));
            cuts.map(|columns| (0..rows, columns)).collect()
        };
        let work = |(rows, columns): (Range<usize>, Range<usize>)| {
            // Where rows are divided, every thread has all columns.
            let sum = sum && rows.start == 0;
            self.cut_after_depth(right, rows, columns, sum)
        };
        if threads > 1 {
            cuts.into_par_iter().flat_map_iter(work).collect()
        } else {
            cuts.into_iter().flat_map(work).collect()
        }
    }

    /// Some rows and columns of the same; the sums of these columns if they are wanted.
    fn cut_after_depth(
        &self,
        right: Matrix<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
        sum: bool,
    ) -> Vec<f32> {
        let (mut left, mut lines) = (Vec::new(), Vec::new());
        let mut sums = vec![0.0; if sum { columns.len() } else { 0 }];
        for depth in depths(right.rows) {
            let right = right.part(depth.clone(), columns.clone());
            lines.clear();
            append_panels(right, &mut lines, false);
            let panels = lines.chunks_exact(depth.len());
            for (sums, panel) in sums.chunks_mut(COLUMNS).zip(panels) {
                add_lines(panel, sums);
            }
            pack_rows(self.left.part(rows.clone(), depth.clone()), &mut left);
            for block in pieces(rows.clone(), BLOCK_ROWS) {
                let left = &left[(block.start - rows.start) / ROWS * depth.len()..];
                self.block(block, columns.clone(), depth.clone(), &lines, Some(left));
            }
        }
        sums
    }

    /// One block of rows, some columns, and one block of inner indices, whose panels are `lines`. The left
    /// operand is read where it lies unless it was `packed`.
    #[allow(unsafe_code, reason = "tiles are read and written through pointers")]
    fn block(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        depth: Range<usize>,
        lines: &[Line],
        packed: Option<&[[f32; ROWS]]>,
    ) {
        let left = self.left.part(rows.clone(), depth.clone());
        let panels = columns.clone().step_by(COLUMNS);
        for (panel, lines) in panels.zip(lines.chunks_exact(depth.len())) {
            for row in (0..left.rows).step_by(ROWS) {
                let offset = (rows.start + row) * self.place.row_stride + panel;
                let target = self.place.first.wrapping_add(offset);
                let tile = Tile {
                    left: match packed {
                        None => left.values[row * left.row_stride..].as_ptr(),
                        Some(packed) => packed[row / ROWS * depth.len()..].as_ptr().cast(),
                    },
                    left_stride: left.row_stride,
                    right: lines,
                    bias: match depth.start {
                        0 => self.start.bias.get(panel / COLUMNS),
                        _ => None,
                    },
                    base: match self.start.base {
                        Base::Rows(base) if depth.start == 0 => Some((
                            base.values[(rows.start + row) * base.row_stride + panel..].as_ptr(),
                            base.row_stride,
                        )),
                        Base::Nothing if depth.start == 0 => None,
                        _ => Some((target.cast_const(), self.place.row_stride)),
                    },
                    target,
                    target_stride: self.place.row_stride,
                    rows: ROWS.min(left.rows - row),
                    columns: COLUMNS.min(columns.end - panel),
                };
                // SAFETY: the machine has AVX2 and FMA; `left` has these rows and inner indices, or
                // `packed` has them with six rows each; `Part::new` saw that the target, and numbers
                // to start from, have all rows and columns, and no other thread writes these. The
                // target is read only when it holds numbers: the caller's, or those of the
                // block before.
                unsafe {
                    match packed {
                        None => tile::write::<false>(&tile),
                        Some(_) => tile::write::<true>(&tile),
                    }
                }
            }
        }
    }
}

/// Adds lines to sums, of which the last columns may be missing.
fn add_lines(lines: &[Line], sums: &mut [f32]) {
    let mut total = [0.0; COLUMNS];
    for line in lines {
        for (total, number) in total.iter_mut().zip(line.0) {
            *total += number;
        }
    }
    for (sum, total) in sums.iter_mut().zip(total) {
        *sum += total;
    }
}

/// Appends the panels of a matrix, each with one line for each row.
#[allow(unsafe_code, reason = "panels are written in place")]
fn append_panels(right: Matrix<'_>, lines: &mut Vec<Line>, spread: bool) {
    let count = right.columns.div_ceil(COLUMNS) * right.rows;
    lines.reserve(count);
    let room = &mut lines.spare_capacity_mut()[..count];
    let pack = |(group, lines): (usize, &mut [MaybeUninit<Line>])| {
        let columns = GROUP * COLUMNS;
        let columns = group * columns..((group + 1) * columns).min(right.columns);
        // SAFETY: all callers saw that the machine has AVX2.
        unsafe { pack_columns(right.part(0..right.rows, columns), lines) }
    };
    let lines_of_group = GROUP * right.rows;
    if spread {
        let groups = room.par_chunks_mut(lines_of_group);
        groups.enumerate().for_each(pack);
    } else {
        room.chunks_mut(lines_of_group).enumerate().for_each(pack);
    }
    // SAFETY: every panel wrote all of its lines.
    unsafe { lines.set_len(lines.len() + count) };
}
