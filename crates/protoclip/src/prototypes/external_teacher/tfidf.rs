//! TF-IDF of captions over words and character n-grams, sketched into a fixed number of dimensions.
//!
//! Terms are known by a 64-bit hash. A sketch adds each term's weight, with a sign, to a few
//! dimensions that its hash chooses: a sparse random projection that keeps inner products in
//! expectation and needs no matrix.

use rustc_hash::FxHashMap;

/// Dimensions that one term touches.
const SPREAD: usize = 4;
/// Lengths of character n-grams, in characters of a word with a space on either side.
const GRAMS: std::ops::RangeInclusive<usize> = 3..=5;
/// Captions that must hold a term for it to count: a term of one caption groups nothing.
const LEAST_CAPTIONS: u32 = 2;

/// Inverse document frequencies of the terms of some captions.
#[derive(Debug)]
pub(super) struct Vocabulary {
    rarity_of: FxHashMap<u64, f32>,
    /// Dimensions of a sketch.
    dim: usize,
}

/// How often a caption uses each term.
#[derive(Debug, Default)]
struct Terms {
    words: FxHashMap<u64, u32>,
    grams: FxHashMap<u64, u32>,
}

impl Vocabulary {
    /// Counts terms; rarity is `ln((1 + n) / (1 + captions with the term)) + 1`. Sketches will have
    /// `dim` dimensions.
    pub(super) fn fit(captions: &[String], dim: usize) -> Self {
        let mut holding: FxHashMap<u64, u32> = FxHashMap::default();
        for caption in captions {
            let terms = Terms::of(caption);
            for &term in terms.words.keys().chain(terms.grams.keys()) {
                *holding.entry(term).or_default() += 1;
            }
        }
        let all = 1.0 + captions.len() as f32;
        let rarity_of = holding
            .into_iter()
            .filter(|&(_, count)| count >= LEAST_CAPTIONS)
            .map(|(term, count)| (term, (all / (1.0 + count as f32)).ln() + 1.0))
            .collect();
        Self { rarity_of, dim }
    }

    /// Dimensions of a sketch.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// The sketch of a caption, `[dim]`. Words and n-grams are L2-normalised apart, so that both
    /// weigh the same; all zero when no term is known.
    pub(super) fn sketch(&self, caption: &str) -> Vec<f64> {
        let terms = Terms::of(caption);
        let mut sketch = vec![0.0; self.dim];
        for counts in [terms.words, terms.grams] {
            self.add(&counts, &mut sketch);
        }
        sketch
    }

    fn add(&self, counts: &FxHashMap<u64, u32>, sketch: &mut [f64]) {
        let mut weighted: Vec<(u64, f64)> = counts
            .iter()
            .filter_map(|(&term, &count)| {
                let rarity = f64::from(*self.rarity_of.get(&term)?);
                Some((term, (1.0 + f64::from(count).ln()) * rarity))
            })
            .collect();
        // A fixed order of summation, so that sketches are equal to the last bit.
        weighted.sort_unstable_by_key(|&(term, _)| term);
        let norm = weighted.iter().map(|(_, w)| w * w).sum::<f64>().sqrt();
        for (term, weight) in weighted {
            let share = weight / norm / (SPREAD as f64).sqrt();
            for (dimension, sign) in places(term, self.dim) {
                sketch[dimension] += sign * share;
            }
        }
    }
}

impl Terms {
    fn of(caption: &str) -> Self {
        let mut terms = Self::default();
        let lower = caption.to_lowercase();
        for word in lower
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| !w.is_empty())
        {
            *terms.words.entry(hash(b'w', word)).or_default() += 1;
            terms.add_grams(&format!(" {word} "));
        }
        terms
    }

    fn add_grams(&mut self, padded: &str) {
        let mut ends: Vec<usize> = padded.char_indices().map(|(at, _)| at).collect();
        ends.push(padded.len());
        for length in GRAMS {
            for window in ends.windows(length + 1) {
                let gram = &padded[window[0]..window[length]];
                *self.grams.entry(hash(b'g', gram)).or_default() += 1;
            }
        }
    }
}

/// The dimensions and signs of a term.
fn places(term: u64, dim: usize) -> impl Iterator<Item = (usize, f64)> {
    (0..SPREAD as u64).map(move |place| {
        let bits = mix(term ^ mix(place + 1));
        let sign = if bits >> 63 == 0 { 1.0 } else { -1.0 };
        ((bits % dim as u64) as usize, sign)
    })
}

/// FNV-1a, which never changes, unlike the hashers of the standard library.
fn hash(kind: u8, text: &str) -> u64 {
    std::iter::once(kind)
        .chain(text.bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// The finaliser of SplitMix64: every input bit reaches every output bit.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    fn captions() -> Vec<String> {
        [
            "flag of Chad",
            "flag of Peru",
            "flag of Chile",
            "red heart",
            "blue heart",
            "red apple",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    #[test]
    fn captions_that_share_rare_terms_are_closer() {
        let captions = captions();
        let vocabulary = Vocabulary::fit(&captions, 384);
        let sketches: Vec<Vec<f64>> = captions.iter().map(|c| vocabulary.sketch(c)).collect();
        assert!(dot(&sketches[0], &sketches[1]) > 3.0 * dot(&sketches[0], &sketches[3]).abs());
        assert!(dot(&sketches[3], &sketches[4]) > dot(&sketches[3], &sketches[0]));
    }

    #[test]
    fn case_and_punctuation_do_not_matter_and_unknown_terms_give_zero() {
        let vocabulary = Vocabulary::fit(&captions(), 384);
        assert_eq!(
            vocabulary.sketch("RED, heart!"),
            vocabulary.sketch("red heart")
        );
        assert!(vocabulary.sketch("zzz 猫").iter().all(|&v| v == 0.0));
        assert!(vocabulary.sketch("").iter().all(|&v| v == 0.0));
    }

    #[test]
    fn a_sketch_keeps_length_nearly() {
        let captions: Vec<String> = (0..400).map(|i| format!("item number{}", i % 40)).collect();
        let vocabulary = Vocabulary::fit(&captions, 384);
        // Words and n-grams have length 1 each.
        let mean = captions[..40]
            .iter()
            .map(|c| dot(&vocabulary.sketch(c), &vocabulary.sketch(c)))
            .sum::<f64>()
            / 40.0;
        assert!((mean - 2.0).abs() < 0.3, "{mean}");
    }
}
