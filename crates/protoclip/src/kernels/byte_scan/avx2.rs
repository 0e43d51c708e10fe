//! The scores by AVX2: `vpmaddubsw` multiplies 32 pairs of bytes and adds neighbours.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi16, _mm256_adds_epi16, _mm256_cmpgt_epi16, _mm256_loadu_si256,
    _mm256_maddubs_epi16, _mm256_movemask_epi8, _mm256_mulhrs_epi16, _mm256_or_si256,
    _mm256_packs_epi16, _mm256_permute4x64_epi64, _mm256_set1_epi16, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm256_storeu_si256, _mm256_testz_si256,
};

use super::packed::{Group, Panel};
use super::{BytePanels, ByteRows, LANES, ROWS, SEGMENT, Scores, Tour, sweep};

/// Scores per register.
const WIDTH: usize = 16;
const REGISTERS: usize = LANES / WIDTH;

#[target_feature(enable = "avx2")]
pub(super) fn scan(
    rows: ByteRows<'_>,
    panels: &BytePanels,
    tour: Tour,
    thresholds: &mut [i16],
    visit: impl FnMut(usize, usize, i16, i16) -> i16,
) {
    sweep(
        rows,
        panels,
        tour,
        thresholds,
        visit,
        |group, panel, checked, scores| tile(group, panel, checked, scores),
        |scores, threshold| above(scores, threshold),
    );
}

/// The scores of a group with a panel, or before which segment they were given up.
#[target_feature(enable = "avx2")]
fn tile(
    group: &Group<'_>,
    panel: &Panel<'_>,
    checked: u64,
    scores: &mut [Scores; ROWS],
) -> Option<u32> {
    let mut sums = [load_scores(panel.bias); ROWS];
    let pairs = group.pairs.chunks(SEGMENT / 2);
    let columns = panel.columns.chunks(SEGMENT / 2);
    for (segment, (pairs, columns)) in pairs.zip(columns).enumerate() {
        let check = segment > 0 && (checked >> (segment % 64)) & 1 == 1;
        if check && !any_above(&sums, group, segment, &panel.rest[segment]) {
            return Some(segment as u32);
        }
        for (sums, correction) in sums.iter_mut().zip(group.segments[segment].correction) {
            let correction = _mm256_set1_epi16(correction);
            *sums = sums.map(|sum| _mm256_add_epi16(sum, correction));
        }
        for (pairs, column) in pairs.iter().zip(columns) {
            let column = load_bytes(column);
            for (sums, &pair) in sums.iter_mut().zip(pairs) {
                let pair = _mm256_set1_epi32(pair);
                for (sum, column) in sums.iter_mut().zip(column) {
                    *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(column, pair));
                }
            }
        }
    }
    for (scores, sums) in scores.iter_mut().zip(sums) {
        for (scores, sum) in scores.as_chunks_mut::<WIDTH>().0.iter_mut().zip(sums) {
            // SAFETY: an array of 16 i16 is 32 bytes that may be written without alignment.
            unsafe { _mm256_storeu_si256(scores.as_mut_ptr().cast(), sum) };
        }
    }
    None
}

/// Whether the numbers from `segment` on can bring any score above its limit.
#[target_feature(enable = "avx2")]
fn any_above(
    sums: &[[__m256i; REGISTERS]; ROWS],
    group: &Group<'_>,
    segment: usize,
    rest: &Scores,
) -> bool {
    let mut above = _mm256_setzero_si256();
    let one = _mm256_set1_epi16(1);
    let rest = load_scores(rest);
    let rows = sums
        .iter()
        .zip(group.segments[segment].rest)
        .zip(group.limits);
    for ((sums, row), &limit) in rows {
        let (row, limit) = (_mm256_set1_epi16(row), _mm256_set1_epi16(limit));
        for (&sum, &candidate) in sums.iter().zip(&rest) {
            // Half of what the rest can add, rounded to nearest and then up; sums saturate.
            let half = _mm256_add_epi16(_mm256_mulhrs_epi16(row, candidate), one);
            let most = _mm256_adds_epi16(_mm256_adds_epi16(sum, half), half);
            above = _mm256_or_si256(above, _mm256_cmpgt_epi16(most, limit));
        }
    }
    _mm256_testz_si256(above, above) == 0
}

/// The lanes with a score above the threshold, as bits.
#[target_feature(enable = "avx2")]
fn above(scores: &Scores, threshold: i16) -> u32 {
    let threshold = _mm256_set1_epi16(threshold);
    let [low, high] = load_scores(scores).map(|s| _mm256_cmpgt_epi16(s, threshold));
    // Packing works within halves of 128 bits; the permutation brings lanes into order.
    let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi16(low, high));
    _mm256_movemask_epi8(bytes) as u32
}

#[target_feature(enable = "avx2")]
fn load_scores(scores: &Scores) -> [__m256i; REGISTERS] {
    let (parts, _) = scores.as_chunks::<WIDTH>();
    // SAFETY: an array of 16 i16 is 32 bytes that may be read without alignment.
    std::array::from_fn(|i| unsafe { _mm256_loadu_si256(parts[i].as_ptr().cast()) })
}

#[target_feature(enable = "avx2")]
fn load_bytes(column: &[u8; 2 * LANES]) -> [__m256i; REGISTERS] {
    let (parts, _) = column.as_chunks::<{ 2 * WIDTH }>();
    // SAFETY: an array of 32 u8 is 32 bytes that may be read without alignment.
    std::array::from_fn(|i| unsafe { _mm256_loadu_si256(parts[i].as_ptr().cast()) })
}
