//! The products by AVX2: `vpmaddwd` multiplies 16 numbers and adds neighbours.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm256_storeu_si256,
};

use super::{COLUMNS, GROUP, Pairs, Tile};

/// Sums per register.
const WIDTH: usize = 8;

#[target_feature(enable = "avx2")]
pub(super) fn tile(left: &[Pairs], right: &[Pairs]) -> Tile {
    let mut tile = [[0; COLUMNS]; COLUMNS];
    for group in 0..COLUMNS / GROUP {
        let sums = group_sums(left, right, group * GROUP);
        for (row, sums) in tile[group * GROUP..][..GROUP].iter_mut().zip(sums) {
            for (part, sum) in row.as_chunks_mut::<WIDTH>().0.iter_mut().zip(sums) {
                // SAFETY: an array of 8 i32 is 32 bytes that may be written without alignment.
                unsafe { _mm256_storeu_si256(part.as_mut_ptr().cast(), sum) };
            }
        }
    }
    tile
}

/// The products of `GROUP` columns of the left panel with all of the right.
#[target_feature(enable = "avx2")]
fn group_sums(left: &[Pairs], right: &[Pairs], first: usize) -> [[__m256i; 2]; GROUP] {
    let mut sums = [[_mm256_setzero_si256(); 2]; GROUP];
    for (left, right) in left.iter().zip(right) {
        let (halves, _) = right.as_chunks::<WIDTH>();
        // SAFETY: an array of 8 i32 is 32 bytes that may be read without alignment.
        let right = [0, 1].map(|h| unsafe { _mm256_loadu_si256(halves[h].as_ptr().cast()) });
        for (sums, &pair) in sums.iter_mut().zip(&left[first..][..GROUP]) {
            let pair = _mm256_set1_epi32(pair);
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pair, right));
            }
        }
    }
    sums
}
