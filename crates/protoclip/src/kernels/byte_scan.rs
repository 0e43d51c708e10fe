//! Scores of many query rows with many candidates from bytes: a sieve before exact distances.
//!
//! Called by k-means, from any thread. A score is `bias + Σ q·(c − 64)` in 16-bit integers that wrap
//! around, with query bytes in ±127 and candidate bytes in 0..=127, so that a pair of products never
//! saturates. Scores above a row's threshold are handed to a visitor, which may raise the threshold;
//! no matrix of all pairs exists. After every 32 numbers, Cauchy and Schwarz bound what the rest can
//! add, and where no score can come above its threshold the rest is not computed. On AVX2 one instruction multiplies 32 bytes, twice the rate of
//! 16-bit and four times that of f32 products. The portable loop gives the same integers.

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vectors are read and written by address")]
mod avx2;
mod packed;
mod portable;
#[cfg(test)]
mod tests;

use super::multiversion::IntegerUnit;

use packed::{Checks, Group, Panel, Queries, limits};

/// Candidates of one panel.
pub(crate) const LANES: usize = 32;

/// What stands for zero in a candidate's bytes.
pub(crate) const ZERO: u8 = 64;

/// Numbers after which scores that stay low are given up.
const SEGMENT: usize = 32;

/// Query rows whose scores with a panel are kept in registers together.
const ROWS: usize = 6;

/// Largest norm of a row or candidate, and what norms are multiplied by to become whole numbers.
const LARGEST_NORM: f32 = 255.0;
const NORM_SCALE: f32 = 128.0;

/// Scores of one query row with one panel.
type Scores = [i16; LANES];

/// Query rows `[n, width]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteRows<'a> {
    /// Numbers per row, even.
    pub(crate) width: usize,
    /// Between −127 and 127; the norm of a row is at most 255.
    pub(crate) values: &'a [i8],
}

/// Which candidates are compared, and in which order: rising from the panel of `first` on, then those
/// before it, whole panels until `count` are done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tour {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl Tour {
    pub(crate) fn of_all_from(first: usize) -> Self {
        Self {
            first,
            count: usize::MAX,
        }
    }

    fn panels(self, all: usize) -> impl Iterator<Item = usize> {
        let first = (self.first / LANES).min(all);
        (first..all)
            .chain(0..first)
            .take(self.count.div_ceil(LANES))
    }
}

/// Candidates, whose scores must stay in range at every segment's end, packed as
/// `[panels][width / 2][LANES][2]`. Lanes after the last candidate have the lowest score there is, which
/// is above no threshold.
#[derive(Debug)]
pub(crate) struct BytePanels {
    width: usize,
    values: Vec<u8>,
    bias: Vec<Scores>,
    /// `[panels][segments]`: norms of the candidates' numbers from a segment on.
    rest: Vec<Scores>,
}

impl BytePanels {
    /// Room for `count` candidates of even `width`.
    pub(crate) fn new(count: usize, width: usize) -> Self {
        assert!(width.is_multiple_of(2), "bytes are multiplied in pairs");
        let panels = count.div_ceil(LANES);
        Self {
            width,
            values: vec![ZERO; panels * LANES * width],
            bias: vec![[i16::MIN; LANES]; panels],
            rest: vec![[0; LANES]; panels * width.div_ceil(SEGMENT)],
        }
    }

    /// Sets a candidate: `[width]` numbers between −64 and 63 of norm 255 at most, and its bias.
    pub(crate) fn set(&mut self, candidate: usize, values: &[i8], bias: i16) {
        let (panel, lane) = (candidate / LANES, candidate % LANES);
        self.bias[panel][lane] = bias;
        let segments = self.width.div_ceil(SEGMENT);
        let rest = &mut self.rest[panel * segments..][..segments];
        let mut square = 0;
        for (rest, values) in rest.iter_mut().zip(values.chunks(SEGMENT)).rev() {
            square += values
                .iter()
                .map(|&v| i32::from(v) * i32::from(v))
                .sum::<i32>();
            rest[lane] = scaled_norm(square);
        }
        let panel = &mut self.values[panel * LANES * self.width..][..LANES * self.width];
        for (pairs, value) in panel
            .chunks_exact_mut(2 * LANES)
            .zip(values.chunks_exact(2))
        {
            for (slot, &v) in pairs[2 * lane..].iter_mut().zip(value) {
                *slot = v.wrapping_add(ZERO as i8) as u8;
            }
        }
    }
}

/// Calls `visit(row, candidate, score, threshold)` for each score above `thresholds[row]` and stores
/// what it returns as the row's next threshold.
pub(crate) fn scan_bytes(
    rows: ByteRows<'_>,
    panels: &BytePanels,
    tour: Tour,
    thresholds: &mut [i16],
    visit: impl FnMut(usize, usize, i16, i16) -> i16,
) {
    assert_eq!(rows.width, panels.width, "rows and candidates differ");
    assert_eq!(rows.values.len(), rows.width * thresholds.len());
    IntegerUnit::detect().scan(rows, panels, tour, thresholds, visit);
}

impl IntegerUnit {
    #[allow(unsafe_code, reason = "calls a function compiled for AVX2")]
    fn scan(
        self,
        rows: ByteRows<'_>,
        panels: &BytePanels,
        tour: Tour,
        thresholds: &mut [i16],
        visit: impl FnMut(usize, usize, i16, i16) -> i16,
    ) {
        match self {
            Self::Portable => sweep(
                rows,
                panels,
                tour,
                thresholds,
                visit,
                portable::tile,
                portable::above,
            ),
            // SAFETY: `detect` found AVX2 on this CPU, and nothing else makes this variant.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2::scan(rows, panels, tour, thresholds, visit) },
        }
    }
}

/// Panels outside, so that one panel stays in the first cache while all query rows pass by.
#[inline(always)]
fn sweep(
    rows: ByteRows<'_>,
    panels: &BytePanels,
    tour: Tour,
    thresholds: &mut [i16],
    mut visit: impl FnMut(usize, usize, i16, i16) -> i16,
    tile: impl Fn(&Group<'_>, &Panel<'_>, u64, &mut [Scores; ROWS]) -> Option<u32>,
    above: impl Fn(&Scores, i16) -> u32,
) {
    let segments = rows.width.div_ceil(SEGMENT);
    let queries = Queries::pack(rows);
    let mut limits = limits(thresholds);
    let mut scores = [[0; LANES]; ROWS];
    let (columns, _) = panels.values.as_chunks::<{ 2 * LANES }>();
    let mut checks = Checks::new();
    for p in tour.panels(panels.bias.len()) {
        let panel = Panel {
            columns: &columns[p * rows.width / 2..][..rows.width / 2],
            bias: &panels.bias[p],
            rest: &panels.rest[p * segments..][..segments],
        };
        for (g, limits) in limits.iter_mut().enumerate() {
            let group = Group {
                pairs: &queries.pairs[g * rows.width / 2..][..rows.width / 2],
                segments: &queries.segments[g * segments..][..segments],
                limits,
            };
            let checked = checks.next();
            let given_up = tile(&group, &panel, checked, &mut scores);
            checks.learn(checked, given_up);
            if given_up.is_some() {
                continue;
            }
            for (r, (limit, scores)) in limits.iter_mut().zip(&scores).enumerate() {
                let mut lanes = above(scores, *limit);
                while lanes != 0 {
                    let lane = lanes.trailing_zeros() as usize;
                    if scores[lane] > *limit {
                        let candidate = p * LANES + lane;
                        *limit = visit(g * ROWS + r, candidate, scores[lane], *limit);
                    }
                    lanes &= lanes - 1;
                }
            }
        }
    }
    for (threshold, limit) in thresholds.iter_mut().zip(limits.iter().flatten()) {
        *threshold = *limit;
    }
}

/// The norm with this square, rounded up, as a whole number.
fn scaled_norm(square: i32) -> i16 {
    let norm = (square as f32).sqrt();
    assert!(norm <= LARGEST_NORM, "bytes of norm {norm} overflow");
    let scaled = norm * NORM_SCALE;
    // `ceil` is a call where the processor's own instruction may be missing.
    let whole = scaled as i16;
    whole + i16::from(f32::from(whole) < scaled)
}
