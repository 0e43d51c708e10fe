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
    /// `[groups][width / 2][ROWS]`: two bytes each, as they lie in memory.
    pub(super) pairs: Vec<[i16; ROWS]>,
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

/// Rows whose scores with one panel are computed together.
pub(super) struct Group<'a> {
    pub(super) pairs: &'a [[i16; ROWS]],
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
        let mut pairs = Vec::new();
        let mut segments = Vec::new();
        for group in rows.values.chunks(ROWS * rows.width) {
            let row = |r: usize| group.chunks_exact(rows.width).nth(r).unwrap_or(&[]);
            let start = pairs.len();
            pairs.resize(start + rows.width / 2, [0; ROWS]);
            for r in 0..ROWS {
                for (slot, pair) in pairs[start..].iter_mut().zip(row(r).chunks_exact(2)) {
                    slot[r] = i16::from_le_bytes([pair[0] as u8, pair[1] as u8]);
                }
            }
            for start in (0..rows.width).step_by(SEGMENT) {
                let rest = |r: usize| row(r).get(start..).unwrap_or(&[]);
                segments.push(Segment {
                    correction: std::array::from_fn(|r| {
                        let sum = rest(r)
                            .iter()
                            .take(SEGMENT)
                            .map(|&v| i32::from(v))
                            .sum::<i32>();
                        (-sum * i32::from(ZERO)) as i16
                    }),
                    rest: std::array::from_fn(|r| scaled_norm(rest(r))),
                });
            }
        }
        Self { pairs, segments }
    }
}
