//! How similar pictures are to their own captions, and to those of others.

use rayon::prelude::*;
use serde::Serialize;

use super::AnalysisError;
use super::error::{checked_aligned, checked_rows};

/// Bars of a histogram over [−1, 1].
pub const COSINE_BINS: usize = 100;
/// Most unmatched pairs that are looked at.
pub const UNMATCHED_LIMIT: usize = 250_000;

/// Counts of cosines in bars of equal width over [−1, 1].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CosineHistogram {
    /// `[COSINE_BINS]`
    pub counts: Vec<u64>,
    /// Number of pairs; the sum of `counts`.
    pub pairs: u64,
    /// Mean cosine of the pairs; 0 without any.
    pub mean: f64,
}

/// Cosines of matched pairs against those of unmatched ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairCosines {
    /// Every caption with its own picture.
    pub matched: CosineHistogram,
    /// Captions with pictures of others: all of them, or, above [`UNMATCHED_LIMIT`], for each caption
    /// the same number of pictures that follow its own in the order of the rows.
    pub unmatched: CosineHistogram,
    /// Probability in [0, 1] that a matched pair drawn at random is more similar than an unmatched one
    /// (area under the ROC curve), from the bars: pairs in the same bar count half.
    pub separation: f64,
}

/// Histograms of the inner products of L2-normalised `image_features` `[images, dim]` and
/// `text_features` `[texts, dim]`; `image_of_text` `[texts]` names the image of each text. Rows in
/// random order, as an episode draws them, make the unmatched pairs a random sample.
///
/// # Errors
/// When shapes do not fit, a feature is not finite, or a text names no image.
pub fn pair_cosines(
    image_features: &[f32],
    text_features: &[f32],
    dim: usize,
    image_of_text: &[u32],
) -> Result<PairCosines, AnalysisError> {
    let images = checked_rows("image feature", image_features, dim)?;
    let texts = checked_rows("text feature", text_features, dim)?;
    checked_aligned(
        ("text_features", texts),
        ("image_of_text", image_of_text.len()),
    )?;
    if let Some(&label) = image_of_text.iter().find(|&&i| i as usize >= images) {
        return Err(AnalysisError::Label {
            label,
            classes: images,
        });
    }
    let others = (images - 1).min((UNMATCHED_LIMIT / texts).max(1));
    let offsets: Vec<usize> = (1..=others).collect();
    let of = |offsets: &[usize]| {
        let counted = text_features.par_chunks(dim).zip(image_of_text).fold(
            Tally::default,
            |mut tally, (text, &own)| {
                for offset in offsets {
                    let image = (own as usize + offset) % images;
                    tally.add(dot(text, &image_features[image * dim..][..dim]));
                }
                tally
            },
        );
        counted.reduce(Tally::default, Tally::plus).histogram()
    };
    let (matched, unmatched) = (of(&[0]), of(&offsets));
    Ok(PairCosines {
        separation: separation(&matched, &unmatched),
        matched,
        unmatched,
    })
}

impl CosineHistogram {
    /// The lower edge of a bar.
    pub fn edge(bin: usize) -> f64 {
        -1.0 + 2.0 * bin as f64 / COSINE_BINS as f64
    }
}

#[derive(Clone)]
struct Tally {
    counts: Vec<u64>,
    /// In units of 2⁻³², so that the sum does not depend on the order of additions.
    sum: i64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: vec![0; COSINE_BINS],
            sum: 0,
        }
    }
}

const UNIT: f64 = (1_u64 << 32) as f64;

impl Tally {
    fn add(&mut self, cosine: f32) {
        let cosine = f64::from(cosine).clamp(-1.0, 1.0);
        let bin = ((cosine + 1.0) / 2.0 * COSINE_BINS as f64) as usize;
        self.counts[bin.min(COSINE_BINS - 1)] += 1;
        self.sum += (cosine * UNIT) as i64;
    }

    fn plus(mut self, other: Self) -> Self {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum += other.sum;
        self
    }

    fn histogram(self) -> CosineHistogram {
        let pairs: u64 = self.counts.iter().sum();
        CosineHistogram {
            counts: self.counts,
            pairs,
            mean: self.sum as f64 / UNIT / pairs.max(1) as f64,
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    for (a, b) in a.iter().zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

fn separation(matched: &CosineHistogram, unmatched: &CosineHistogram) -> f64 {
    let (mut below, mut won) = (0.0, 0.0);
    for (&own, &other) in matched.counts.iter().zip(&unmatched.counts) {
        won += own as f64 * (below + other as f64 / 2.0);
        below += other as f64;
    }
    let all = matched.pairs as f64 * unmatched.pairs as f64;
    if all > 0.0 { won / all } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_lands_in_its_bar() {
        // Images at 0° and 90°; captions at 0°, at 90° and again at 0°, the last of image 1.
        let images = [1.0, 0.0, 0.0, 1.0];
        let texts = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
        let got = pair_cosines(&images, &texts, 2, &[0, 1, 1]).expect("counted");
        assert_eq!((got.matched.pairs, got.unmatched.pairs), (3, 3));
        assert_eq!(got.matched.counts[COSINE_BINS - 1], 2);
        assert_eq!(got.matched.counts[COSINE_BINS / 2], 1);
        assert_eq!(got.unmatched.counts[COSINE_BINS / 2], 2);
        assert_eq!(got.unmatched.counts[COSINE_BINS - 1], 1);
        assert!((got.matched.mean - 2.0 / 3.0).abs() < 1e-6);
        // Of nine comparisons four are won, four are draws and one is lost.
        assert!(
            (got.separation - 6.0 / 9.0).abs() < 1e-9,
            "{}",
            got.separation
        );
    }

    #[test]
    fn many_pairs_are_sampled_evenly_and_any_number_of_threads_counts_the_same() {
        let rows = 1200;
        let features: Vec<f32> = (0..rows)
            .flat_map(|i| [(i as f32 * 0.37).cos(), (i as f32 * 0.37).sin()])
            .collect();
        let own: Vec<u32> = (0..rows as u32).collect();
        let count = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.expect("threads");
            pool.install(|| pair_cosines(&features, &features, 2, &own).expect("counted"))
        };
        let got = count(1);
        assert_eq!(got, count(3));
        assert_eq!(got.unmatched.pairs as usize, UNMATCHED_LIMIT / rows * rows);
        assert!(got.separation > 0.96 && got.matched.mean > 0.999);
        assert!(got.unmatched.mean.abs() < 0.05, "{}", got.unmatched.mean);
    }

    #[test]
    fn one_picture_has_no_unmatched_pair() {
        let got = pair_cosines(&[1.0], &[1.0, 1.0], 1, &[0, 0]).expect("counted");
        assert_eq!((got.matched.pairs, got.unmatched.pairs), (2, 0));
        assert_eq!(got.separation, 0.5);
    }

    #[test]
    fn a_caption_without_picture_is_refused() {
        let message = pair_cosines(&[1.0], &[1.0], 1, &[1])
            .expect_err("no image 1")
            .to_string();
        assert!(message.contains("label 1"), "{message}");
    }
}
