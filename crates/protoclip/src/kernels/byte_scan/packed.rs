//! Rows and panels as the tiles read them, and where tiles are given up.

use super::{ByteRows, LANES, ROWS, SEGMENT, Scores, ZERO, scaled_norm};

/// Thresholds by groups of rows; nothing is above those of rows that are missing in the last one.
pub(super) fn limits(thresholds: &[i16]) -> Vec<[i16; ROWS]> {
    let group = |group: &[i16]| {
        let mut limits = [i16::MAX; ROWS];
        limits[..group.len()].copy_from_slice(group);
        limits
    };
    thresholds.chunks(ROWS).map(group).collect()
}

/// Rows, packed by groups.
pub(super) struct Queries {
    /// `[groups][width / 2][ROWS]`: two bytes each, twice, as they lie in memory. Loading units spread 32 bits over a
    /// register by themselves; 16 bits take a shuffle each, which costs what a product does.
    pub(super) pairs: Vec<[i32; ROWS]>,
    /// `[groups][segments]`.
    pub(super) segments: Vec<Segment>,
}

/// What the products of a segment need of the rows of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// What the candidates' offset adds to scores in this segment, the other way.
    pub(super) correction: [i16; ROWS],
    /// Norms of the numbers from this segment on.
    pub(super) rest: [i16; ROWS],
}

impl Segment {
    const EMPTY: Self = Self {
        correction: [0; ROWS],
        rest: [0; ROWS],
    };
}

/// Rows whose scores with one panel are computed together.
pub(super) struct Group<'a> {
    pub(super) pairs: &'a [[i32; ROWS]],
    pub(super) segments: &'a [Segment],
    pub(super) limits: &'a [i16; ROWS],
}

/// The candidates that a group is compared with.
pub(super) struct Panel<'a> {
    pub(super) columns: &'a [[u8; 2 * LANES]],
    pub(super) bias: &'a Scores,
    /// Norms of the candidates' numbers from a segment on.
    pub(super) rest: &'a [Scores],
}

/// Before which segments scores are compared with what they need, one bit each. Where hardly any tile
/// is given up, only one in sixteen is compared, to learn whether that changes.
#[derive(Debug)]
pub(super) struct Checks {
    tiles: u64,
    useless: u64,
    credit: [i8; 64],
}

impl Checks {
    pub(super) fn new() -> Self {
        Self {
            tiles: 0,
            useless: 0,
            credit: [0; 64],
        }
    }

    #[inline(always)]
    pub(super) fn next(&mut self) -> u64 {
        self.tiles += 1;
        match self.tiles.is_multiple_of(16) {
            true => u64::MAX,
            false => !self.useless,
        }
    }

    /// Takes note of the comparisons of one tile, and before which segment it was given up.
    #[inline(always)]
    pub(super) fn learn(&mut self, checked: u64, given_up: Option<u32>) {
        if checked == u64::MAX {
            let made = given_up.unwrap_or(63).min(63) as usize;
            for credit in &mut self.credit[..made] {
                *credit = (*credit - 1).max(-4);
            }
            if given_up.is_some() {
                self.credit[made] = (self.credit[made] + 8).min(16);
            }
            let bit = |(segment, &credit): (usize, &i8)| u64::from(credit < 0) << segment;
            self.useless = self.credit.iter().enumerate().map(bit).sum();
        }
    }
}

impl Queries {
    pub(super) fn pack(rows: ByteRows<'_>) -> Self {
        let groups = (rows.values.len() / rows.width).div_ceil(ROWS);
        let per_row = rows.width.div_ceil(SEGMENT);
        let mut pairs = vec![[0; ROWS]; groups * rows.width / 2];
        let mut segments = vec![Segment::EMPTY; groups * per_row];
        for (number, row) in rows.values.chunks_exact(rows.width).enumerate() {
            let (group, r) = (number / ROWS, number % ROWS);
            let pairs = &mut pairs[group * rows.width / 2..][..rows.width / 2];
            for (slot, pair) in pairs.iter_mut().zip(row.as_chunks::<2>().0) {
                let [x, y] = pair.map(|v| v as u8);
                slot[r] = i32::from_le_bytes([x, y, x, y]);
            }
            let mut square = 0;
            let segments = &mut segments[group * per_row..][..per_row];
            for (segment, values) in segments.iter_mut().zip(row.chunks(SEGMENT)).rev() {
                let sum: i32 = values.iter().map(|&v| i32::from(v)).sum();
                square += values
                    .iter()
                    .map(|&v| i32::from(v) * i32::from(v))
                    .sum::<i32>();
                segment.correction[r] = (-sum * i32::from(ZERO)) as i16;
                segment.rest[r] = scaled_norm(square);
            }
        }
        Self { pairs, segments }
    }
}
