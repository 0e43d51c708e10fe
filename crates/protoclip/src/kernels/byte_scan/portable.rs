//! The scores in plain Rust.

use super::packed::{Group, Panel};
use super::{ROWS, SEGMENT, Scores};

/// The scores of a group with a panel, or before which segment they were given up.
pub(super) fn tile(
    group: &Group<'_>,
    panel: &Panel<'_>,
    checked: u64,
    scores: &mut [Scores; ROWS],
) -> Option<u32> {
    *scores = [*panel.bias; ROWS];
    let pairs = group.pairs.chunks(SEGMENT / 2);
    let columns = panel.columns.chunks(SEGMENT / 2);
    for (segment, (pairs, columns)) in pairs.zip(columns).enumerate() {
        let check = segment > 0 && (checked >> (segment % 64)) & 1 == 1;
        if check && !any_above(scores, group, segment, &panel.rest[segment]) {
            return Some(segment as u32);
        }
        for (r, scores) in scores.iter_mut().enumerate() {
            let correction = group.segments[segment].correction[r];
            scores
                .iter_mut()
                .for_each(|s| *s = s.wrapping_add(correction));
            for (pair, column) in pairs.iter().zip(columns) {
                let [x, y, ..] = pair[r].to_le_bytes().map(|v| i16::from(v as i8));
                for (score, c) in scores.iter_mut().zip(column.chunks_exact(2)) {
                    let products = x * i16::from(c[0]) + y * i16::from(c[1]);
                    *score = score.wrapping_add(products);
                }
            }
        }
    }
    None
}

/// Whether the numbers from `segment` on can bring any score above its limit.
fn any_above(scores: &[Scores; ROWS], group: &Group<'_>, segment: usize, rest: &Scores) -> bool {
    let rows = scores.iter().zip(group.segments[segment].rest);
    rows.zip(group.limits).any(|((scores, row), &limit)| {
        scores.iter().zip(rest).any(|(&score, &candidate)| {
            let most = ((i32::from(row) * i32::from(candidate)) >> 14) + 1;
            i32::from(score) + most > i32::from(limit)
        })
    })
}

pub(super) fn above(scores: &Scores, threshold: i16) -> u32 {
    let bit = |(lane, &score): (usize, &i16)| u32::from(score > threshold) << lane;
    scores.iter().enumerate().map(bit).sum()
}
