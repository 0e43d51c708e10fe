//! The products by AVX2: `vpmaddwd` multiplies 16 numbers and adds neighbours.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm256_storeu_si256,
};

use super::{Pairs, Panel, TALL, Tile, WIDE, each_part};

/// Sums per register.
const LANES: usize = 8;

/// Registers of the sums of one column: with all columns, two of the other panel, a pair and a
/// product there are as many as the processor has.
const PARTS: usize = WIDE / LANES;

#[target_feature(enable = "avx2")]
pub(super) fn tile(left: &Panel, right: &Panel, half: bool, tile: &mut Tile) {
    each_part(left, right, half, tile, |left, right| sums(left, right));
}

#[target_feature(enable = "avx2")]
fn sums(left: &[Pairs<TALL>], right: &[Pairs<WIDE>]) -> [[i32; WIDE]; TALL] {
    let mut all = [[_mm256_setzero_si256(); PARTS]; TALL];
    for (left, right) in left.iter().zip(right) {
        let (parts, _) = right.as_chunks::<LANES>();
        let right: [__m256i; PARTS] =
            // SAFETY: an array of 8 i32 is 32 bytes that may be read without alignment.
            std::array::from_fn(|p| unsafe { _mm256_loadu_si256(parts[p].as_ptr().cast()) });
        for (sums, &pair) in all.iter_mut().zip(left) {
            let pair = _mm256_set1_epi32(pair);
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pair, right));
            }
        }
    }
    let mut stored = [[0; WIDE]; TALL];
    for (stored, sums) in stored.iter_mut().zip(all) {
        for (part, sum) in stored.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
            // SAFETY: an array of 8 i32 is 32 bytes that may be written without alignment.
            unsafe { _mm256_storeu_si256(part.as_mut_ptr().cast(), sum) };
        }
    }
    stored
}
